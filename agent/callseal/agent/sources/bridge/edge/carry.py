"""What the two halves of a bridged call have to say to each other, which the child between them does not.

The child takes part in two dialogs of its own making; what one side's INVITE says besides addresses and media
is put onto the other side's here, and what the other side answers onto the answer. So digest authentication
passes through: the telephone's credentials go out with the second leg, whose request URI they cover, and the
telephone system's challenge goes back with the refusal. No password is ever known.

The leg that a transfer adds is given none of that: the telephone's credentials cover the request URI of its
own INVITE alone (RFC 7616 section 3.4.6) and are of no use for another one, and it only answers challenges of
its own requests. Where the telephone system challenges that leg, the transfer fails and the call goes on.

Conventions: messages as they were received, or as the router will have them sent, without our Via. A *token*
names a call: the one in `Facts`. Seconds are those of a clock that never goes back. Pure.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from callseal.agent.sip.headers import Fields, Headers
from callseal.agent.sip.limits import GIVE_UP_S
from callseal.agent.sip.message import Request, Response
from callseal.agent.sources.bridge.edge.facts import Facts, Party, read_facts

if TYPE_CHECKING:
    from callseal.agent.sources.bridge.edge.refer import Referred

CALL: Final = "x-callseal-call"
"""Says in an INVITE to or from the child which call it belongs to."""
FROM: Final = "x-callseal-from"
"""Says in an INVITE to the child which side it comes from."""
TO: Final = "x-callseal-to"
"""Says in an INVITE of the child which side it goes to."""

TOKEN_BYTES: Final = 16
MAX_CALLS_KNOWN: Final = 256
"""A desk has two calls at a time, and an INVITE that was challenged is known for `GRACE_S` more. One takes no
more room than a few messages' heads, of 64 kB each at most."""
MAX_TRANSFERS_KNOWN: Final = 8
"""Of one call: earlier ones are over."""
GRACE_S: Final = GIVE_UP_S
"""How long a call is known after its last dialog: as long as answers may still come."""

CREDENTIALS: Final = frozenset(("authorization", "proxy-authorization"))
_OURS: Final = "x-callseal-"
_PARTIES: Final[dict[str, Party]] = {"phone": "phone", "pbx": "pbx"}
_OTHER_DIALOGS: Final = frozenset(("join", "replaces", "target-dialog"))
"""They name dialogs by what only one side knows them by (RFC 3891, 3911, 4538)."""
_NOT_CARRIED_NAMES: Final = """
    via from to call-id cseq contact max-forwards max-breadth route record-route path service-route timestamp
    mime-version allow allow-events accept accept-encoding accept-language supported require proxy-require
    unsupported recv-info info-package session-expires min-se rseq rack p-early-media feature-caps
    security-client security-server security-verify user-agent server
"""
_NOT_CARRIED: Final = frozenset(_NOT_CARRIED_NAMES.split()) | CREDENTIALS | _OTHER_DIALOGS
"""What belongs to the hop, the dialog or the media of one side; `content-*` besides."""
_IN_BODY: Final = "<cid:"
"""A value that points into a body (RFC 2392), which is not carried."""
_OF_SENDER: Final = frozenset(("privacy", "p-preferred-identity"))
"""What goes with every INVITE in the telephone's name, whoever is called."""
_ANSWERED_NAMES: Final = """
    p-asserted-identity privacy alert-info call-info warning retry-after reason error-info user-to-user
    history-info authentication-info proxy-authentication-info
"""
_ANSWERED: Final = frozenset(_ANSWERED_NAMES.split())
_CHALLENGED: Final = frozenset((401, 407))
_CHALLENGES: Final = frozenset(("www-authenticate", "proxy-authenticate"))
_REDIRECTED: Final = frozenset((*range(300, 400), 485))
"""Their Contact says where else to try (RFC 3261 sections 21.3 and 21.4.23); the child's leads back to it."""
_NOT_ACCEPTABLE: Final = 406
"""What the child's library says of some descriptions, though it is about Accept (RFC 3261 section 21.4.7)."""
_NOT_ACCEPTABLE_HERE: Final = 488
"""Of a description (section 21.4.26): with it a telephone tries again without SRTP."""
_FAILED: Final = 300
_TRYING: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """A transfer's leg, which the child was told to dial."""

    replaces: str = field(repr=False)
    referred_by: str = field(repr=False)


@dataclass(slots=True, kw_only=True)
class _Record:
    """What is remembered of a call. Credentials and numbers stay out of its `repr`."""

    facts: Facts
    carried: Fields = field(repr=False)
    credentials: Fields = field(repr=False)
    touched_s: float
    second: tuple[str, int] = field(default=("", 0), repr=False)
    """Call-ID and CSeq of the second leg's INVITE."""
    heard: dict[int, Response] = field(default_factory=dict, repr=False)
    """The last answer of each class to it, without its body."""
    expected: _Expected | None = None
    transfers: dict[str, _Expected] = field(default_factory=dict, repr=False)
    """By Call-ID: the child may send the same INVITE again, as after 422 (RFC 4028)."""


class Calls:
    """The calls that the edge knows, by their tokens."""

    def __init__(self, *, random: Callable[[int], bytes], max_calls: int = MAX_CALLS_KNOWN) -> None:
        self._random = random
        self._max_calls = max_calls
        self._records: dict[str, _Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def begin(self, request: Request, side: Party, now_s: float, *, phone_uri: str = "") -> Facts | None:
        """Remember an INVITE from outside that begins a call, under a new token.

        None where so many calls are known that it has to be refused (503). Raises SipSyntaxError where the
        request URI is none.
        """
        if self.is_full:
            return None
        token = self._random(TOKEN_BYTES).hex()
        facts = read_facts(request, side=side, token=token, phone_uri=phone_uri)
        fields = request.headers.fields
        self._records[token] = _Record(
            facts=facts,
            carried=tuple((name, value) for name, value in fields if _is_carried(name, value)),
            credentials=credentials(request),
            touched_s=now_s,
        )
        return facts

    def to_line(self, facts: Facts, request: Request) -> Request:
        """Return the INVITE as the child is to have it: marked, and without what it must not act on.

        Other dialogs are not named to it: the library would carry a Replaces out by itself.
        """
        kept = (
            (name, value)
            for name, value in without_marks(request.headers).fields
            if name not in CREDENTIALS and name not in _OTHER_DIALOGS
        )
        return _with_fields(request, (*kept, (CALL, facts.token), (FROM, facts.side)))

    def second_leg(self, request: Request, now_s: float) -> tuple[Request, Party] | None:
        """Return an INVITE of the child as it is to go out, and to which side.

        None where it belongs to no call that is known.
        """
        headers = request.headers
        record = self._records.get(headers.get(CALL) or "")
        side = _PARTIES.get(headers.get(TO) or "")
        if record is None or side is None:
            return None
        record.touched_s = now_s
        transfer = _transfer(record, request.call_id, side)
        if transfer is not None:
            added = _of_transfer(record, transfer)
        elif side == record.facts.side:  # no INVITE goes back to where it came from with what it brought
            added = ()
        else:
            record.second = (request.call_id, request.cseq.number)
            added = (*record.carried, *record.credentials)
        fields = without_marks(headers).fields
        present = {name for name, _ in fields} - {"require"}
        return _with_fields(request, (*fields, *(item for item in added if item[0] not in present))), side

    def acknowledging(self, token: str, ack: Request) -> Request:
        """Return the child's ACK of a 2xx with the credentials of its INVITE (RFC 3261 section 22.1)."""
        record = self._records.get(token)
        if record is None or record.second != (ack.call_id, ack.cseq.number):
            return ack
        return _with_fields(ack, (*ack.headers.fields, *record.credentials))

    def passing(self, received: Request, forwarded: Request, response: Response, now_s: float) -> Response:
        """Return an answer as it is to go back; every answer may be given, most stay as they are.

        What the second leg is answered is noted, and put onto the answer of the same class to the first.
        """
        if received.method != "INVITE" or response.status == _TRYING:
            return response
        record = self._records.get(forwarded.headers.get(CALL) or "")
        if record is not None:
            record.touched_s = now_s
            return _answering(response, record.heard.get(response.status // 100))
        record = self._records.get(received.headers.get(CALL) or "")
        if record is not None:
            record.touched_s = now_s
            if record.second == (received.call_id, received.cseq.number):
                record.heard[response.status // 100] = replace(response, body=b"", head=b"")
        return response

    def expect_transfer(self, referred: "Referred") -> None:
        """Know the child's next INVITE of a call to the telephone system for that of a transfer.

        To be called before the child is told. A call that is not known is passed over.
        """
        record = self._records.get(referred.token)
        if record is not None:
            record.expected = _Expected(replaces=referred.replaces, referred_by=referred.referred_by)

    def facts(self, token: str) -> Facts | None:
        """Return what is known of a call."""
        record = self._records.get(token)
        return None if record is None else record.facts

    def forget(self, token: str) -> None:
        """Forget a call at once: one that was refused, or that goes past the bridge."""
        self._records.pop(token, None)

    @property
    def is_full(self) -> bool:
        """Whether no further call can be remembered."""
        return len(self._records) >= self._max_calls

    def make_room(self, in_use: Collection[str]) -> None:
        """Forget the call that has been over for longest, if one is: those in use are not."""
        over = (token for token in self._records if token not in in_use)
        longest = min(over, key=lambda token: self._records[token].touched_s, default=None)
        if longest is not None:
            del self._records[longest]

    def forget_old(self, now_s: float, in_use: Collection[str]) -> None:
        """Forget the calls that have been over for `GRACE_S`; those of `Dialogs.tokens` are not over."""
        for token, record in list(self._records.items()):
            if token in in_use:
                record.touched_s = now_s
            elif now_s - record.touched_s >= GRACE_S:
                del self._records[token]


def without_marks(headers: Headers) -> Headers:
    """Return headers without those that only the edge and its child may write."""
    return Headers(fields=tuple(item for item in headers.fields if not item[0].startswith(_OURS)))


def credentials(request: Request) -> Fields:
    """Return the headers by which a request authenticates its sender: not for logs."""
    return tuple(item for item in request.headers.fields if item[0] in CREDENTIALS)


def _is_carried(name: str, value: str) -> bool:
    if name in _NOT_CARRIED or name.startswith((_OURS, "content-")):
        return False
    return _IN_BODY not in value.lower()


def _transfer(record: _Record, call_id: str, side: Party) -> _Expected | None:
    known = record.transfers.get(call_id)
    if known is not None or record.expected is None or side != "pbx":
        return known
    expected, record.expected = record.expected, None
    if len(record.transfers) >= MAX_TRANSFERS_KNOWN:
        del record.transfers[next(iter(record.transfers))]
    record.transfers[call_id] = expected
    return expected


def _of_transfer(record: _Record, transfer: _Expected) -> Fields:
    added: Fields = ()
    if record.facts.side == "phone":
        added = tuple(item for item in record.carried if item[0] in _OF_SENDER)
    if transfer.referred_by:
        added = (*added, ("referred-by", transfer.referred_by))
    if transfer.replaces:
        # Required, so that it fails where nobody can do it (RFC 3891 section 6.2). Else somebody who is in
        # the call that is to be taken over would be rung for a further one.
        added = (*added, ("replaces", transfer.replaces), ("require", "replaces"))
    return added


def _answering(response: Response, heard: Response | None) -> Response:
    fields = response.headers.fields
    status = response.status
    if status in _REDIRECTED:
        fields = tuple(item for item in fields if item[0] != "contact")
    if heard is None:
        if status == _NOT_ACCEPTABLE:
            response = replace(response, status=_NOT_ACCEPTABLE_HERE, reason="Not Acceptable Here", head=b"")
        return response if fields == response.headers.fields else _answer_with(response, fields)
    carried = _ANSWERED
    if heard.status == status:
        if status in _CHALLENGED:
            carried |= _CHALLENGES
        elif status in _REDIRECTED:
            carried |= {"contact"}
        if status >= _FAILED:
            response = replace(response, reason=heard.reason)
    present = {name for name, _ in fields}
    added = (item for item in heard.headers.fields if item[0] in carried and item[0] not in present)
    return _answer_with(response, (*fields, *added))


def _with_fields(request: Request, fields: Fields) -> Request:
    return replace(request, headers=Headers(fields=fields), head=b"")


def _answer_with(response: Response, fields: Fields) -> Response:
    return replace(response, headers=Headers(fields=fields), head=b"")
