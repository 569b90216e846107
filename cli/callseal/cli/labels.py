"""Words for the codes that manifests and vCons carry: directions, results, endings, what was checked.

Conventions: a code that is not known here stands for itself; codes themselves never change.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from callseal.cli.i18n import _, language, mark
from callseal.config.business import BUILTIN, BusinessType
from callseal.seal import reasons
from callseal.seal.reasons import Language

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inbound": mark("inbound"),
        "outbound": mark("outbound"),
        "internal": mark("internal"),
        "in-person": mark("in person"),
        "unknown": mark("unknown"),
        "ok": mark("ok"),
        "degraded": mark("degraded"),
        "failed": mark("failed"),
        "exempt": mark("exempt"),
        "recording": mark("not ended"),
        "bridge": mark("desk"),
        "siprec": mark("gateway"),
        "agent": mark("agent"),
        "customer": mark("customer"),
        "hangup": mark("hung up"),
        "busy": mark("busy"),
        "cancelled": mark("cancelled"),
        "rejected": mark("rejected"),
        "no-answer": mark("no answer"),
        "unreachable": mark("unreachable"),
        "refused": mark("refused"),
        "source-died": mark("source died"),
        "continues": mark("which this one goes on from"),
        "same-conversation": mark("the same conversation, before or after a transfer"),
        "same-call": mark("the same call at the same time, other parties"),
        "not-checked": mark("not checked"),
        "note": mark("note"),
        "warning": mark("warning"),
        "manifest": mark("manifest"),
        "signature": mark("signature"),
        "signer": mark("signer"),
        "folder": mark("folder"),
        "object": mark("object"),
        "extra": mark("surplus"),
        "ledger": mark("ledger"),
    }
)


def word(code: str) -> str:
    """Return the word for a code."""
    known = _WORDS.get(code)
    return code if known is None else _(known)


def result(code: str, why: Sequence[str]) -> str:
    """Return the words for a result and its reasons."""
    words = " ".join(reasons.words(one, language()) for one in why)
    return _("{result}: {reasons}").format(result=word(code), reasons=words) if words else word(code)


def business(code: str | None, types: Mapping[str, BusinessType] = BUILTIN) -> str:
    """Return the label of a business type."""
    if code is None:
        return ""
    known = types.get(code)
    if known is None:
        return code
    return known.label_zh if language() is Language.CHINESE else known.label_en
