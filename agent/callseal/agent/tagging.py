"""Which rule of the settings a call falls under, and what that means for it.

The rules are tried in their order and the first that matches counts. A call that no rule matches is
recorded, with every announcement, as unclassified: what nobody thought of must not be lost. A call for
help comes before all rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from callseal.agent.call import Direction
from callseal.agent.numbering import Numbering, matches
from callseal.config.business import UNCLASSIFIED, BusinessType
from callseal.config.settings import Rule, Settings

__all__ = ["EMERGENCY", "RULE_NEVER", "Decision", "Tagging"]

# Reason codes, as they stand in a manifest.
EMERGENCY = "emergency"
RULE_NEVER = "rule-never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the settings say of one call."""

    rule_index: int | None
    """Position in `[[rule]]`, from 0; None where no rule decided."""
    record: Literal["always", "never"]
    announcements: tuple[str, ...]
    """Names, in the order in which they are played; empty for what is not recorded."""
    business: str
    retention_class: str
    reason: str = ""
    """Why the call is not recorded: a reason code, empty when it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
    """The rules of one device, ready to be asked."""

    numbering: Numbering
    rules: tuple[Rule, ...]
    announcements: tuple[str, ...]
    """Names of all announcements, in the settings' order."""
    business_types: Mapping[str, BusinessType]

    @classmethod
    def of(cls, settings: Settings, numbering: Numbering) -> "Tagging":
        """Take the rules from settings that were checked."""
        return cls(
            numbering=numbering,
            rules=settings.rules,
            announcements=tuple(announcement.name for announcement in settings.announcements),
            business_types=settings.business_types(),
        )

    def decide(self, *, direction: Direction, called: str, calling: str) -> Decision:
        """Decide about a call between two numbers, each as `Numbering.normalise` gives it.

        An outbound call for help is never recorded. An inbound one can't be any: what was called is an
        extension of this house, whatever its digits.
        """
        if direction == "outbound" and self.numbering.is_emergency(called):
            return self._decision(None, record="never", announcements=(), reason=EMERGENCY)
        for index, rule in enumerate(self.rules):
            if (
                rule.direction in ("any", direction)
                and matches(rule.called, called)
                and matches(rule.calling, calling)
            ):
                return self._by_rule(index, rule)
        return self._decision(None, record="always", announcements=self.announcements)

    def _by_rule(self, index: int, rule: Rule) -> Decision:
        if rule.record == "never":
            return self._decision(
                index, record="never", announcements=(), business=rule.business, reason=RULE_NEVER
            )
        named = self.announcements if rule.announcements is None else rule.announcements
        return self._decision(index, record="always", announcements=named, business=rule.business)

    def _decision(
        self,
        rule_index: int | None,
        *,
        record: Literal["always", "never"],
        announcements: tuple[str, ...],
        business: str = UNCLASSIFIED,
        reason: str = "",
    ) -> Decision:
        return Decision(
            rule_index=rule_index,
            record=record,
            announcements=announcements,
            business=business,
            retention_class=self.business_types[business].retention_class,
            reason=reason,
        )
