"""The child's dialogs as a witness sees them, so that they can be ended in its stead.

The router tells of every request and every answer that goes to the child or comes from it. Should the child
die, `endings` has for each dialog that stands what the child would have said: a BYE with its tags, its route
set and a CSeq above all that it has used, and before it the ACK that it still owed.

A BYE does not wait for the ACK of an answer that the child gave a moment before, as RFC 3261 section 15 asks:
it would be heard by nobody. No password is known here, so that a BYE that is challenged has no effect.

Conventions: *local* is the child. Messages are as they were received (`received`) or as the router has them
sent, without our Via (`forwarded`). Seconds are those of a clock that never goes back. Pure.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from callseal.agent.sip.limits import GIVE_UP_S
from callseal.agent.sip.message import Request, Response
from callseal.agent.sources.bridge.edge.carry import credentials
from callseal.agent.sources.bridge.edge.dialog import Dialog, Key, contact_of, usable_uri
from callseal.agent.sources.bridge.edge.facts import Party

MAX_DIALOGS: Final = 256
"""The child has four legs at most; others are dialogs whose end was lost. The oldest gives way."""
MAX_INVITES: Final = 256
"""INVITEs and UPDATEs whose answer is awaited. The oldest gives way."""
MAX_FORKS: Final = 8
"""Dialogs that one INVITE may make, if it was forked on its way (RFC 3261 section 12.1)."""

_TRYING, _OK, _REDIRECTED, _NO_DIALOG = 100, 200, 300, 481

_Transaction = tuple[str, str, str, int, str]
_Name = TypeVar("_Name")
_Value = TypeVar("_Value")


@dataclass(slots=True, kw_only=True)
class _Invite:
    """An INVITE or UPDATE whose answer is awaited."""

    request: Request = field(repr=False)
    from_line: bool
    other: Party
    token: str
    is_initial: bool
    early: set[str] = field(default_factory=set)
    """To tags of the dialogs that it has made and that are not answered."""
    answered: set[str] = field(default_factory=set)
    """To tags of its 2xx."""
    until_s: float = math.inf
    """Once it is answered: until when others of its forks may do so too (RFC 6026 section 7.2)."""

    def key(self, to_tag: str) -> Key:
        """Return what names the dialog that an answer with this tag makes."""
        tags = (self.request.from_tag, to_tag) if self.from_line else (to_tag, self.request.from_tag)
        return (self.request.call_id, *tags)


class Dialogs:
    """All dialogs that an INVITE has made and that the child takes part in."""

    def __init__(self, *, is_ours: Callable[[str], bool], max_dialogs: int = MAX_DIALOGS) -> None:
        """Begin with none; `is_ours` says of a Record-Route's value whether the edge has put it there."""
        self._is_ours = is_ours
        self._max_dialogs = max_dialogs
        self._dialogs: dict[Key, Dialog] = {}
        self._invites: dict[_Transaction, _Invite] = {}
        self._ended: dict[Key, None] = {}
        """Those that a BYE was given out for."""
        self._left: dict[tuple[str, str], tuple[int, Party]] = {}
        """Call-ID and local tag of INVITEs of a child that is gone: the highest CSeq used, and where to."""

    def __len__(self) -> int:
        return len(self._dialogs)

    def request(
        self, received: Request, *, from_line: bool, other: Party, token: str = "", now_s: float
    ) -> None:
        """Take note of a request that is passed on, from the child (`from_line`) or to it.

        `other` is the side at the other end; `token` is needed of an INVITE that makes a dialog.
        """
        self._drop_old(now_s)
        dialog = self.of(received, from_line=from_line)
        method, number = received.cseq.method, received.cseq.number
        if dialog is None:
            if method == "INVITE" and not received.to_tag:
                self._await(
                    _Invite(request=received, from_line=from_line, other=other, token=token, is_initial=True)
                )
            return
        if method == "ACK":
            if from_line and dialog.owed_ack == number:
                dialog.owed_ack = None
            return
        if from_line:
            dialog.cseq = max(dialog.cseq, number)
        if method == "BYE":
            del self._dialogs[dialog.key]
        elif method in ("INVITE", "UPDATE"):
            self._await(
                _Invite(
                    request=received,
                    from_line=from_line,
                    other=dialog.other,
                    token=dialog.token,
                    is_initial=False,
                )
            )

    def response(self, received: Request, forwarded: Request, response: Response, now_s: float) -> None:
        """Take note of an answer to a request that `request` was told of; any other is passed over."""
        transaction = _transaction(received)
        invite = self._invites.get(transaction)
        if invite is None or response.status == _TRYING:
            return
        if not invite.is_initial:
            self._refresh(invite, forwarded, response)
            is_over = response.status >= _OK
        elif response.status < _OK:
            self._ring(invite, forwarded, response)
            is_over = False
        elif response.status < _REDIRECTED:
            invite.until_s = min(invite.until_s, now_s + GIVE_UP_S)
            self._answer(invite, forwarded, response)
            is_over = False
        else:
            self._drop_early(invite)
            is_over = True
        if is_over:
            del self._invites[transaction]

    def of(self, request: Request, *, from_line: bool) -> Dialog | None:
        """Return the dialog that a request belongs to."""
        tags = (request.from_tag, request.to_tag) if from_line else (request.to_tag, request.from_tag)
        return self._dialogs.get((request.call_id, *tags))

    def find_replaced(self, call_id: str, to_tag: str, from_tag: str, *, side: Party = "phone") -> str | None:
        """Return the call whose dialog with a side is meant by a Replaces which that side wrote.

        Its to-tag is the one of whom the side talks to, which is the child (RFC 3891 section 3); the dialog
        may be an early one. None where the child has no dialog with that side of which all three are true.
        """
        dialog = self._dialogs.get((call_id, to_tag, from_tag))
        return dialog.token if dialog is not None and dialog.other == side else None

    def tokens(self, now_s: float) -> set[str]:
        """Return the calls that are not over."""
        waiting = {invite.token for invite in self._invites.values() if invite.until_s > now_s}
        return waiting | {dialog.token for dialog in self._dialogs.values()}

    def last_words(self) -> list[tuple[Request, Party]]:
        """Return what would end all dialogs now, in this order, and to whom; nothing is forgotten."""
        return [
            (request, dialog.other)
            for dialog in self._dialogs.values()
            if dialog.is_confirmed
            for request in dialog.last_words()
        ]

    def endings(self) -> list[tuple[Request, Party]]:
        """Return what ends all dialogs, to be sent in this order, and to whom; and forget the dialogs.

        Those that are not answered yet end with their INVITE, which the proxy answers or cancels.
        """
        ends = self.last_words()
        for dialog in self._dialogs.values():
            if dialog.is_confirmed:
                _keep(self._ended, dialog.key, None, self._max_dialogs)
        for invite in self._invites.values():
            if invite.from_line:
                whose = invite.request.call_id, invite.request.from_tag
                used = [dialog.cseq for dialog in self._dialogs.values() if dialog.key[:2] == whose]
                highest = max([invite.request.cseq.number, *used])
                _keep(self._left, whose, (highest, invite.other), self._max_dialogs)
        self._dialogs.clear()
        self._invites.clear()
        return ends

    def orphan(self, forwarded: Request, response: Response) -> list[tuple[Request, Party]]:
        """Return what a 2xx gets that came for an INVITE of a child that is gone, and to whom: ACK and BYE.

        The ACK alone where the BYE was given out before: the 2xx came again, or was for a re-INVITE of a
        dialog that `endings` has ended. Nothing for an INVITE that `endings` did not find waiting.
        """
        left = self._left.get((forwarded.call_id, forwarded.from_tag))
        if left is None:
            return []
        highest, other = left
        dialog = self._called(forwarded, response, "", other)
        dialog.cseq = max(dialog.cseq, highest)
        if dialog.key in self._ended:
            words = dialog.ack(forwarded.cseq.number)
        else:
            words = dialog.last_words()
            _keep(self._ended, dialog.key, None, self._max_dialogs)
        return [(request, other) for request in words]

    def _await(self, invite: _Invite) -> None:
        _keep(self._invites, _transaction(invite.request), invite, MAX_INVITES)

    def _ring(self, invite: _Invite, forwarded: Request, response: Response) -> None:
        """Begin an early dialog, or follow it."""
        tag = response.to_tag
        if not tag or tag in invite.answered or (tag not in invite.early and len(invite.early) >= MAX_FORKS):
            return
        invite.early.add(tag)
        self._put(self._made(invite, forwarded, response))

    def _answer(self, invite: _Invite, forwarded: Request, response: Response) -> None:
        """Begin a dialog that stands: not again when the answer is, for it may be over by then."""
        tag = response.to_tag
        if tag in invite.answered or len(invite.answered) >= MAX_FORKS:
            return
        invite.answered.add(tag)
        dialog = self._made(invite, forwarded, response)
        dialog.is_confirmed = True
        self._put(dialog)
        invite.early.discard(tag)
        self._drop_early(invite)

    def _refresh(self, invite: _Invite, forwarded: Request, response: Response) -> None:
        """Follow the answer to a request that may say where the other party is (section 12.2)."""
        dialog = self._dialogs.get(invite.key(invite.request.to_tag))
        if dialog is None:
            return
        if response.status == _NO_DIALOG:
            del self._dialogs[dialog.key]
        elif response.status in range(_OK, _REDIRECTED):
            dialog.target = contact_of(response if invite.from_line else invite.request) or dialog.target
            if invite.from_line and invite.request.method == "INVITE":
                dialog.owed_ack = invite.request.cseq.number
                dialog.credentials = credentials(forwarded)

    def _made(self, invite: _Invite, forwarded: Request, response: Response) -> Dialog:
        if invite.from_line:
            return self._called(forwarded, response, invite.token, invite.other)
        return self._invited(invite, response)

    def _called(self, forwarded: Request, response: Response, token: str, other: Party) -> Dialog:
        """Make the dialog of an INVITE that the child has sent (section 12.1.2)."""
        number = forwarded.cseq.number
        return Dialog(
            call_id=forwarded.call_id,
            local_tag=forwarded.from_tag,
            remote_tag=response.to_tag,
            token=token,
            other=other,
            local=forwarded.headers.get("from") or "",
            remote=response.headers.get("to") or "",
            target=contact_of(response) or usable_uri(response.headers.get("to") or ""),
            routes=self._routes(tuple(reversed(response.headers.all("record-route")))),
            cseq=number,
            owed_ack=number if response.status >= _OK else None,
            credentials=credentials(forwarded),
        )

    def _invited(self, invite: _Invite, response: Response) -> Dialog:
        """Make the dialog of an INVITE that the child was sent (section 12.1.1)."""
        request = invite.request
        return Dialog(
            call_id=request.call_id,
            local_tag=response.to_tag,
            remote_tag=request.from_tag,
            token=invite.token,
            other=invite.other,
            local=response.headers.get("to") or "",
            remote=request.headers.get("from") or "",
            target=contact_of(request) or usable_uri(request.headers.get("from") or ""),
            routes=self._routes(request.headers.all("record-route")),
            cseq=0,
        )

    def _put(self, dialog: Dialog) -> None:
        """Keep a dialog, in the place of the early one that it was; one that stands is not made again."""
        known = self._dialogs.get(dialog.key)
        if known is not None:
            if known.is_confirmed:
                return
            dialog.cseq = max(dialog.cseq, known.cseq)
            dialog.refers = known.refers
        _keep(self._dialogs, dialog.key, dialog, self._max_dialogs)

    def _drop_early(self, invite: _Invite) -> None:
        for tag in invite.early:
            dialog = self._dialogs.get(invite.key(tag))
            if dialog is not None and not dialog.is_confirmed:
                del self._dialogs[dialog.key]
        invite.early.clear()

    def _routes(self, routes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(route for route in routes if not self._is_ours(route))

    def _drop_old(self, now_s: float) -> None:
        for transaction, invite in list(self._invites.items()):
            if invite.until_s <= now_s:
                del self._invites[transaction]


def _transaction(received: Request) -> _Transaction:
    """Return what names the transaction of a request, also where its branch does not (RFC 2543)."""
    via, cseq = received.via, received.cseq
    return via.sent_by, via.branch, received.call_id, cseq.number, cseq.method


def _keep(table: dict[_Name, _Value], name: _Name, value: _Value, limit: int) -> None:
    """Put something into a table in which the oldest gives way."""
    table.pop(name, None)
    while len(table) >= limit:
        del table[next(iter(table))]
    table[name] = value
