"""Calls that go straight from one side to the other, without being recorded: when they are taken and over.

They leave a trace all the same, so that nothing is missing that nobody decided to leave out.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from callseal.agent.call import Side
from callseal.agent.sip.message import Request, Response
from callseal.agent.sources.bridge.edge.facts import OTHER_PARTY, Party
from callseal.agent.sources.bridge.edge.gate import Gate

MAX_PASSED: Final = 64
"""Of which more are known, the oldest counts as over: its BYE was lost."""

_WHO: Final[dict[Party, Side]] = {"phone": "agent", "pbx": "customer"}
_CANCELLED: Final = 487
_DECLINED: Final = (486, 600, 603)
_SUCCESS: Final = range(200, 300)

_Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class _Call:
    token: str
    caller: Party
    is_answered: bool = False


class PassedCalls:
    """The calls that go past the child."""

    def __init__(self, gate: Gate) -> None:
        """`gate` is told what becomes of them."""
        self._gate = gate
        self._calls: OrderedDict[_Key, _Call] = OrderedDict()

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, invite: Request, token: str, caller: Party) -> None:
        """Follow a call from its INVITE on."""
        key = (invite.call_id, invite.from_tag)
        if key in self._calls:  # the same INVITE, with a password this time
            self._end(key, status=0, by=None)
        while len(self._calls) >= MAX_PASSED:
            self._end(next(iter(self._calls)), status=0, by=None)
        self._calls[key] = _Call(token=token, caller=caller)

    def knows(self, request: Request) -> bool:
        """Say whether a request of a dialog belongs to one of them."""
        return any((request.call_id, tag) in self._calls for tag in (request.from_tag, request.to_tag))

    def request(self, request: Request) -> None:
        """Take note of what is passed on within a dialog."""
        if request.method != "BYE":
            return
        for tag, is_caller in ((request.from_tag, True), (request.to_tag, False)):
            call = self._calls.get((request.call_id, tag))
            if call is not None:
                by = call.caller if is_caller else OTHER_PARTY[call.caller]
                self._end((request.call_id, tag), status=0, by=by)
                return

    def response(self, request: Request, response: Response) -> None:
        """Take note of an answer."""
        key = (request.call_id, request.from_tag)
        call = self._calls.get(key)
        if call is None or call.is_answered or request.method != "INVITE" or request.to_tag:
            return
        if response.status in _SUCCESS:
            call.is_answered = True
            self._gate.passed_answered(call.token)
        elif response.status >= _SUCCESS.stop:
            by = call.caller if response.status == _CANCELLED else None
            if response.status in _DECLINED:
                by = OTHER_PARTY[call.caller]
            self._end(key, status=response.status, by=by)

    def _end(self, key: _Key, *, status: int, by: Party | None) -> None:
        call = self._calls.pop(key)
        who = None if by is None else _WHO[by]
        self._gate.passed_ended(call.token, answered=call.is_answered, status=status, by=who)
