"""One dialog of a party that watches whether the others keep theirs, and what a test does with it."""

import time
from dataclasses import dataclass, field
from typing import Protocol

from support.ear import Ear
from support.sip_parts import tag_of
from support.sip_peer import Message, describe


class Speaker(Protocol):
    """Who sends what a leg has to say."""

    def ask(self, leg: "Leg", method: str, body: str = "", extra: str = "") -> None:
        """Send a request of a dialog, again and again until it is answered."""

    def answer(self, leg: "Leg", code: int, body: str = "") -> None:
        """Answer the INVITE that waits."""

    def acknowledge(self, leg: "Leg", answer: Message) -> None:
        """Send the ACK of a final answer to an INVITE of ours."""


@dataclass(eq=False)
class Leg:
    """One dialog, from its INVITE on."""

    party: Speaker
    call_id: str
    local: str
    remote: str
    target: str
    ear: Ear
    routes: list[str] = field(default_factory=list)
    invite: Message | None = None
    """What the other side began with; None for a call of ours."""
    said: Message | None = None
    """The final answer to an INVITE of ours."""
    codes: list[int] = field(default_factory=list)
    """All answers to the first INVITE, ours or theirs."""
    end: str = ""
    """How it ended: "BYE", "our BYE", "cancelled", or "refused"."""
    end_s: float = 0.0
    last_words: Message | None = None
    """The BYE that ended it."""
    answered_s: float = 0.0
    number: int = 0
    their_number: int = -1
    branch: str = ""
    directions: list[str] = field(default_factory=list)
    """Of the descriptions that the other side offered within the dialog."""
    waiting: Message | None = None
    """An INVITE of theirs that is not answered."""
    owed: Message | None = None
    """A 2xx of theirs that is not acknowledged."""
    version: int = 1

    @property
    def tag(self) -> str:
        """Our tag."""
        return tag_of(self.local)

    @property
    def final(self) -> int:
        """The final answer to the first INVITE; 0 for none yet."""
        return next((code for code in self.codes if code >= 200), 0)

    # What the test does with it

    def ring(self) -> None:
        """Answer 180."""
        self.party.answer(self, 180)

    def take(self) -> None:
        """Answer 200."""
        self.party.answer(self, 200, describe(self.ear.port))

    def hang_up(self) -> None:
        """Send BYE."""
        self.party.ask(self, "BYE")
        self.finish("our BYE")

    def cancel(self) -> None:
        """Send CANCEL (section 9.1)."""
        self.party.ask(self, "CANCEL")

    def offer(self, direction: str) -> None:
        """Send a re-INVITE, to hold the other side or to take it back."""
        self.version += 1
        self.party.ask(self, "INVITE", describe(self.ear.port, direction=direction, version=self.version))

    def refer(self, target: str) -> None:
        """Ask the other side to call somebody else (RFC 3515)."""
        self.party.ask(self, "REFER", extra=f"Refer-To: <{target}>\r\n")

    def acknowledge(self) -> None:
        """Send the ACK that was held back."""
        if self.owed is not None:
            self.party.acknowledge(self, self.owed)

    def finish(self, how: str) -> None:
        """Note the end."""
        if not self.end:
            self.end, self.end_s = how, time.monotonic()
