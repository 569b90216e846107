"""The dialogs of an endpoint, the requests in them that wait for the application, and our own requests.

Conventions: as in `endpoint`, whose other half this is.
"""

import math
from collections.abc import Callable
from typing import Final

from callseal.agent.sip import statuses
from callseal.agent.sip.answerer import Answerer, kind_of
from callseal.agent.sip.dialog import Dialog, Stage, Turn
from callseal.agent.sip.events import DialogId, Ended, Event
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.incoming import Incoming, has_offer, size_bytes
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.session_timer import SessionTimer, raised, read_answer
from callseal.agent.sip.statuses import Status
from callseal.agent.sip.transaction import CLIENT, INVITE_SERVER, SERVER, Action, Input, Transaction
from callseal.agent.sip.transaction_store import TransactionStore
from callseal.agent.sip.uri import parse_name_addr
from callseal.agent.sip.via import BRANCH_COOKIE, Via

_BRANCH_BYTES: Final = 12


class DialogStore:
    """All dialogs that are not over."""

    def __init__(
        self, store: TransactionStore, answerer: Answerer, *, random: Callable[[int], bytes], limits: Limits
    ) -> None:
        self.events: list[Event] = []
        self.pending: dict[int, Transaction] = {}
        """The requests that wait for the application, by the numbers that it knows them by."""
        self._store = store
        self._answerer = answerer
        self._random = random
        self._limits = limits
        self._dialogs: dict[DialogId, Dialog] = {}

    def __len__(self) -> int:
        return len(self._dialogs)

    @property
    def names(self) -> tuple[DialogId, ...]:
        """What the dialogs are known by."""
        return tuple(self._dialogs)

    @property
    def is_full(self) -> bool:
        """Whether no dialog may be added."""
        return (
            len(self._dialogs) >= self._limits.dialogs
            or len(self.pending) >= self._limits.pending
            or self._store.is_full
        )

    def find(self, name: DialogId) -> Dialog | None:
        """Return a dialog that is not over."""
        return self._dialogs.get(name)

    def of(self, transaction: Transaction | None) -> Dialog | None:
        """Return the dialog that a transaction belongs to, if it is not over."""
        if transaction is None or transaction.dialog is None:
            return None
        return self._dialogs.get(transaction.dialog)

    def add(self, dialog: Dialog) -> None:
        """Keep a dialog until it ends."""
        self._dialogs[dialog.id] = dialog
        self._store.hold(dialog, dialog.size_bytes)

    def hear(self, dialog: Dialog, incoming: Incoming) -> None:
        """Learn from a request where the peer is now."""
        dialog.hear(incoming.request, incoming.flow, incoming.reply_to)
        self._store.hold(dialog, dialog.size_bytes)

    # Requests that wait for the application

    def may_wait(self, dialog: Dialog) -> bool:
        """Say whether there is room for one more request of a dialog that waits."""
        return (
            len(dialog.pending) < self._limits.pending_in_dialog
            and len(self.pending) < self._limits.pending
            and not self._store.is_full
        )

    def has_pending_offer(self, dialog: Dialog) -> bool:
        """Say whether the peer has made an offer that the application has not answered yet."""
        waiting = (self.pending[number].request for number in dialog.pending)
        return any(
            request is not None and (request.method == "INVITE" or has_offer(request)) for request in waiting
        )

    def wait(self, dialog: Dialog, incoming: Incoming, now_s: float) -> int:
        """Let a request wait for the application, and return the number of its transaction."""
        is_invite = incoming.request.method == "INVITE"
        request = incoming.stamped
        transaction = Transaction(
            INVITE_SERVER if is_invite else SERVER,
            self._store.next_number(),
            incoming.key,
            flow=incoming.flow,
            destination=incoming.reply_to,
            request=request,
            request_bytes=size_bytes(request),
            local_tag=dialog.id.local_tag,
            dialog=dialog.id,
        )
        transaction.end_s = now_s + self._limits.answer_s
        if is_invite:
            transaction.data = bytes(respond(request, *statuses.TRYING, to_tag=""))
        self._store.add(transaction, is_fresh=is_invite and not incoming.to_tag)
        self._store.send(transaction)
        self.pending[transaction.id] = transaction
        dialog.pending.add(transaction.id)
        return transaction.id

    def answer(self, waiting: Transaction, answer: Response, now_s: float) -> None:
        """Answer a request that waits."""
        data = bytes(answer)
        del self.pending[waiting.id]
        dialog = self.of(waiting)
        if dialog is not None:
            dialog.pending.discard(waiting.id)
        waiting.answer(data)
        self._store.take(waiting, kind_of(answer.status), now_s)

    def refuse(self, waiting: Transaction, status: Status, now_s: float, headers: Fields = ()) -> None:
        """Answer a request that waits with a refusal."""
        if waiting.request is not None:
            refusal = respond(waiting.request, *status, to_tag=waiting.local_tag, headers=headers)
            self.answer(waiting, refusal, now_s)

    # What happens to dialogs

    def turn(self, dialog: Dialog, turn: Turn, now_s: float, request: Request | None = None) -> None:
        """Let something happen to a dialog, and do what follows from it."""
        outcome = dialog.take(turn)
        if outcome is None:
            return
        how, says_bye = outcome
        if says_bye:
            self._send(dialog, "BYE", now_s, (("reason", dialog.reason),) if dialog.reason else ())
        if dialog.stage not in (Stage.CLOSING, Stage.ENDED):
            return
        for number in tuple(dialog.pending):
            self.refuse(self.pending[number], statuses.TERMINATED, now_s)
        self._confirm(dialog, now_s)
        self.set_timer(dialog, None, now_s)
        if dialog.stage is Stage.ENDED:
            del self._dialogs[dialog.id]
            self._store.hold(dialog, 0)
            if how is not None:
                self.events.append(Ended(dialog=dialog.id, how=how, request=request))

    def acknowledge(self, dialog: Dialog, now_s: float) -> None:
        """Take the peer's word that our answer to its INVITE has arrived."""
        self._confirm(dialog, now_s)
        self.turn(dialog, Turn.ACK, now_s)

    def set_timer(self, dialog: Dialog, timer: SessionTimer | None, now_s: float) -> None:
        """Count the session's time from now."""
        dialog.set_timer(timer, now_s)
        self._arm(dialog)

    def on_dialog_due(self, dialog: Dialog, now_s: float) -> None:
        """Refresh the session of a dialog, or end it."""
        if dialog.expires_s <= now_s:
            self.turn(dialog, Turn.EXPIRED, now_s)
        elif dialog.timer is not None:
            dialog.refresh_s = math.inf
            self._arm(dialog)
            fields = (self._answerer.contact(dialog.flow), *dialog.timer.request_headers())
            self._send(dialog, "UPDATE", now_s, fields)

    def on_transaction_due(self, transaction: Transaction, now_s: float) -> None:
        """Send again, or draw the conclusion from a time that is up."""
        if self._store.on_time(transaction, now_s) is not Action.GIVE_UP:
            return
        dialog = self.of(transaction)
        if transaction.id in self.pending:
            self.refuse(transaction, statuses.SERVER_ERROR, now_s)
            turn = Turn.NO_ANSWER
        elif transaction.machine is INVITE_SERVER:
            turn = Turn.NO_ACK
        else:
            turn = Turn.BYE_ANSWERED if transaction.method == "BYE" else Turn.EXPIRED
        if dialog is not None:
            self.turn(dialog, turn, now_s)

    def on_response(self, response: Response, now_s: float) -> bool:
        """Take the answer to a request of ours; False if it answers none."""
        transaction = self._store.find_client(response.via.branch, response.cseq.method)
        if transaction is None:
            return False
        if self._store.take(transaction, kind_of(response.status), now_s) is not Action.TELL:
            return True
        dialog = self.of(transaction)
        if dialog is None:
            return True
        if transaction.method == "BYE":
            self.turn(dialog, Turn.BYE_ANSWERED, now_s)
        elif response.status in statuses.FATAL_TO_DIALOG:
            self.turn(dialog, Turn.EXPIRED, now_s)
        elif kind_of(response.status) is Input.SUCCESS:
            self.set_timer(dialog, read_answer(response.headers), now_s)
        elif dialog.timer is not None:
            longer = (
                raised(dialog.timer, response.headers)
                if response.status == statuses.INTERVAL_TOO_SMALL.code
                else None
            )
            dialog.put_off(longer or dialog.timer, now_s, is_longer=longer is not None)
            self._arm(dialog)
        return True

    def _confirm(self, dialog: Dialog, now_s: float) -> None:
        answered, dialog.unacknowledged = dialog.unacknowledged, None
        dialog.has_open_offer = False
        if answered is not None:
            self._store.take(answered, Input.ACK, now_s)

    def _arm(self, dialog: Dialog) -> None:
        if dialog.due_s == math.inf:
            self._store.schedule.drop(dialog)
        else:
            self._store.schedule.set(dialog, dialog.due_s)

    def _send(self, dialog: Dialog, method: str, now_s: float, headers: Fields) -> None:
        """Send a request of our own."""
        branch = BRANCH_COOKIE + self._random(_BRANCH_BYTES).hex()
        request = dialog.request(method, self._via(dialog.flow, branch), headers)
        transaction = Transaction(
            CLIENT,
            self._store.next_number(),
            (branch, "", dialog.id.call_id, request.cseq.number, "", method),
            flow=dialog.flow,
            destination=dialog.next_hop(),
            dialog=dialog.id,
        )
        transaction.data = bytes(request)
        transaction.begin(now_s)
        self._store.add(transaction)
        self._store.send(transaction)

    def _via(self, flow: Flow, branch: str) -> str:
        ours = parse_name_addr(self._answerer.contact(flow)[1]).address
        via = Via(
            transport=flow.transport.value,
            host=ours.host,
            port=ours.port,
            params=(("branch", branch), ("rport", "")),
        )
        return str(via)
