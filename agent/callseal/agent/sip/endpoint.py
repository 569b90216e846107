"""The SIP endpoint: takes messages, answers what it can by itself, and tells the application the rest.

It is the user agent server of RFC 3261, with UPDATE (RFC 3311), PRACK (RFC 3262), INFO (RFC 6086), session
timers (RFC 4028) and the corrections of RFC 6026, for an application that is called and never calls. Within a
dialog it sends BYE, and UPDATE where the peer leaves the refreshing of the session to it.

There are no sockets and no clock in here. Feed what arrives to `receive`, call `tick` when `due_s` says so,
and after either send what `take_outgoing` gives and look at `take_events`. Invited and Asked wait for
`accept` or `reject`, at once or later; after these too there may be something to send.

Conventions: `now_s` is seconds of a clock that never goes back. Whatever a peer sends, these methods raise
nothing; how much of it is kept is in `Limits`.
"""

from collections.abc import Callable, Iterable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.answerer import Answerer
from callseal.agent.sip.capabilities import RECORDER, Capabilities
from callseal.agent.sip.counters import Counts
from callseal.agent.sip.dialog import Dialog, Stage, Turn
from callseal.agent.sip.dialog_store import DialogStore
from callseal.agent.sip.events import Acknowledged, Asked, DialogId, Event, Invited
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.incoming import Incoming, has_offer
from callseal.agent.sip.limits import Limits
from callseal.agent.sip.message import Request, Response, respond
from callseal.agent.sip.session_timer import agree
from callseal.agent.sip.statuses import Status
from callseal.agent.sip.transaction import Action, Input, State, Transaction
from callseal.agent.sip.transaction_store import TransactionStore

RETRY_AFTER_S: Final = 10
"""What a gateway is told when there is no room: soon, since a place is free whenever a call ends."""
SESSION_EXPIRES_S: Final = 1800
"""What RFC 4028 section 4 recommends."""

_REFUSED: Final = (State.COMPLETED, State.CONFIRMED)
_TARGET_REFRESHES: Final = ("INVITE", "UPDATE")
_MAY_REQUIRE_ANYTHING: Final = ("BYE", "CANCEL")
"""Nothing is gained by refusing an end; for CANCEL, RFC 3261 section 8.2.2.3 says so."""


class Endpoint:
    """A SIP user agent that is called."""

    def __init__(
        self,
        *,
        contact: Callable[[Flow], str],
        random: Callable[[int], bytes],
        capabilities: Capabilities = RECORDER,
        limits: Limits | None = None,
        session_expires_s: int = SESSION_EXPIRES_S,
    ) -> None:
        """Begin without dialogs.

        `contact` gives the value of Contact for a peer on that flow; that of a recorder has the feature tag
        of RFC 7866 section 6.2, as in ``<sip:10.0.0.1:5070;transport=tcp>;+sip.srs``. `random` gives that
        many random bytes.
        `session_expires_s` is the longest interval of session timers, 0 leaves them to the peers.
        """
        limits = limits or Limits()
        self._store = TransactionStore(limits)
        self._answerer = Answerer(self._store, contact=contact, random=random, capabilities=capabilities)
        self._dialogs = DialogStore(self._store, self._answerer, random=random, limits=limits)
        self._session_expires_s = session_expires_s
        self._retry_after_s: int | None = None
        self._malformed = self._dropped = 0
        self._handlers: dict[str, Callable[[Incoming, float], None]] = {
            "INVITE": self._on_invite,
            "BYE": self._on_bye,
            "CANCEL": self._on_cancel,
            "OPTIONS": self._on_options,
            "UPDATE": self._on_update,
            "INFO": self._on_question,
            "PRACK": self._on_question,
        }

    # What arrives, and the time

    def receive(self, message: Request | Response, flow: Flow, now_s: float) -> None:
        """Take a message from a peer."""
        if isinstance(message, Response):
            self._dropped += not self._dialogs.on_response(message, now_s)
            return
        incoming = Incoming(message, flow)
        if message.method == "ACK":
            self._on_ack(incoming, now_s)
            return
        known = self._store.find(incoming.key)
        if known is not None:
            # A peer may have come back on another connection, or through another port of its NAT.
            known.flow, known.destination = flow, incoming.reply_to
            self._store.resent += self._store.take(known, Input.REQUEST, now_s) is Action.SEND
            return
        handler = self._handlers.get(message.method)
        if handler is None or message.method not in self._answerer.capabilities.methods:
            self._answerer.reply(
                incoming, statuses.METHOD_NOT_ALLOWED, now_s, self._answerer.capabilities.allow
            )
        elif message.method in _MAY_REQUIRE_ANYTHING or not self._answerer.refuses_extensions(
            incoming, now_s
        ):
            handler(incoming, now_s)

    def reject_malformed(self, error: SipSyntaxError, flow: Flow, now_s: float) -> None:
        """Answer what could not be parsed, where that is possible; nothing is kept of it."""
        del now_s  # answered and forgotten
        self._malformed += 1
        self._answerer.reply_malformed(error, flow)

    def due_s(self) -> float | None:
        """Return when `tick` is to be called, None while nothing waits."""
        return self._store.schedule.due_s()

    def tick(self, now_s: float) -> None:
        """Do what is due: send again, give up, refresh and end sessions."""
        while (item := self._store.schedule.take_due(now_s)) is not None:
            if isinstance(item, Transaction):
                self._dialogs.on_transaction_due(item, now_s)
            elif isinstance(item, Dialog):
                self._dialogs.on_dialog_due(item, now_s)

    # What leaves

    def take_outgoing(self) -> list[Outgoing]:
        """Return the messages to be sent since the last time, in order."""
        outgoing, self._store.outgoing = self._store.outgoing, []
        return outgoing

    def take_events(self) -> list[Event]:
        """Return what has happened since the last time, in order."""
        events, self._dialogs.events = self._dialogs.events, []
        return events

    # What the application says

    def accept(
        self,
        transaction: int,
        *,
        body: bytes = b"",
        content_type: str = "",
        headers: Iterable[tuple[str, str]] = (),
        now_s: float,
    ) -> bool:
        """Answer 200; False if nothing waits for that any more, because the peer has given up meanwhile.

        Raises ValueError for a header with a line's end in it.
        """
        waiting = self._dialogs.pending.get(transaction)
        dialog = self._dialogs.of(waiting)
        if waiting is None or waiting.request is None or dialog is None:
            return False
        request = waiting.request
        fields = tuple(headers)
        timer = None
        if request.method in _TARGET_REFRESHES:
            timer = agree(request, wanted_s=self._session_expires_s)
            ours = self._answerer.self_description(waiting.flow, timer)
            fields = (*ours, *fields)
        answer = respond(
            request,
            *statuses.OK,
            to_tag=waiting.local_tag,
            headers=fields,
            body=body,
            content_type=content_type,
        )
        self._dialogs.answer(waiting, answer, now_s)
        if request.method in _TARGET_REFRESHES:
            self._dialogs.set_timer(dialog, timer, now_s)
        if request.method == "INVITE":
            dialog.unacknowledged = waiting
            dialog.has_open_offer = bool(body) and not has_offer(request)
            self._dialogs.turn(dialog, Turn.ACCEPTED, now_s)
        return True

    def reject(
        self,
        transaction: int,
        status: int,
        reason: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        now_s: float,
    ) -> bool:
        """Answer with a refusal, 300 to 699; False if nothing waits for that any more.

        An INVITE of a dialog that is not known here is answered 481, unless the fault is ours (5xx). Raises
        ValueError for a status that refuses nothing, or a header with a line's end in it.
        """
        if not statuses.is_refusal(status):
            raise ValueError("a refusal has a status from 300 to 699")
        waiting = self._dialogs.pending.get(transaction)
        dialog = self._dialogs.of(waiting)
        if waiting is None or dialog is None:
            return False
        answer = Status(status, reason)
        if dialog.is_orphan and dialog.stage is Stage.EARLY and status < statuses.SERVER_ERROR.code:
            answer = statuses.NO_SUCH_CALL
        self._dialogs.refuse(waiting, answer, now_s, tuple(headers))
        self._dialogs.turn(dialog, Turn.REJECTED, now_s)
        return True

    def hang_up(self, dialog: DialogId, now_s: float, *, reason: str = "") -> None:
        """End a dialog: BYE, as soon as the peer has confirmed; one that is over already stays so.

        `reason` is the value of a Reason header (RFC 3326), as in ``SIP;cause=200;text="moved"``.
        """
        known = self._dialogs.find(dialog)
        if known is not None:
            known.reason = reason
            self._dialogs.turn(known, Turn.HANG_UP, now_s)

    def set_readiness(self, ready: bool, retry_after_s: int = RETRY_AFTER_S) -> None:  # noqa: FBT001 - all that it says
        """Say whether new calls are taken; while not, INVITE and OPTIONS get 503 with Retry-After."""
        self._retry_after_s = None if ready else retry_after_s

    # What there is

    @property
    def dialogs(self) -> tuple[DialogId, ...]:
        """All dialogs that are not over."""
        return self._dialogs.names

    @property
    def counts(self) -> Counts:
        """How much there is at the moment."""
        return Counts(
            dialogs=len(self._dialogs),
            transactions=len(self._store),
            pending=len(self._dialogs.pending),
            stored_bytes=self._store.stored_bytes,
            resent=self._store.resent,
            refused=self._answerer.refused,
            malformed=self._malformed,
            dropped=self._dropped,
        )

    # Requests

    def _on_invite(self, incoming: Incoming, now_s: float) -> None:
        if self._answerer.refuses_interval(incoming, now_s):
            return
        dialog = self._dialogs.find(incoming.dialog) if incoming.to_tag else None
        if dialog is not None:
            self._on_reinvite(dialog, incoming, now_s)
            return
        if not incoming.to_tag and self._store.is_merged(incoming.key):
            self._answerer.reply(incoming, statuses.LOOP_DETECTED, now_s)
            return
        retry_after_s = self._busy_s()
        if retry_after_s is not None:
            self._answerer.reply_unavailable(incoming, retry_after_s, now_s)
            return
        dialog = Dialog(
            DialogId(
                call_id=incoming.call_id,
                local_tag=incoming.to_tag or self._answerer.new_tag(),
                remote_tag=incoming.from_tag,
            ),
            incoming.request,
            flow=incoming.flow,
            reply_to=incoming.reply_to,
            is_orphan=bool(incoming.to_tag),
        )
        self._dialogs.add(dialog)
        self._invited(dialog, incoming, now_s, is_new=not incoming.to_tag)

    def _on_reinvite(self, dialog: Dialog, incoming: Incoming, now_s: float) -> None:
        if not self._enter(dialog, incoming, now_s):
            return
        if not self._may_offer(dialog, incoming, now_s):
            return
        if dialog.unacknowledged is not None:
            # The peer has our answer, else it would not go on: its ACK is lost or late (RFC 5407, 3.1).
            self._dialogs.acknowledge(dialog, now_s)
        self._invited(dialog, incoming, now_s, is_new=False)

    def _on_update(self, incoming: Incoming, now_s: float) -> None:
        dialog = self._dialog_for(incoming, now_s)
        if dialog is None or self._answerer.refuses_interval(incoming, now_s):
            return
        if incoming.request.body:
            self._ask(dialog, incoming, now_s)
            return
        timer = agree(incoming.request, wanted_s=self._session_expires_s)
        self._dialogs.set_timer(dialog, timer, now_s)
        ours = self._answerer.self_description(incoming.flow, timer)
        self._answerer.reply(incoming, statuses.OK, now_s, ours)

    def _on_question(self, incoming: Incoming, now_s: float) -> None:
        """Take INFO or PRACK.

        No answer of ours asks for a PRACK. One that comes nevertheless is agreed to: RFC 3262 section 3 would
        have it refused with 481, which ends calls.
        """
        dialog = self._dialog_for(incoming, now_s)
        if dialog is None:
            return
        if incoming.request.body:
            self._ask(dialog, incoming, now_s)
        else:
            self._answerer.reply(incoming, statuses.OK, now_s)

    def _on_bye(self, incoming: Incoming, now_s: float) -> None:
        dialog = self._dialogs.find(incoming.dialog)
        if dialog is None:
            self._answerer.reply(incoming, statuses.NO_SUCH_CALL, now_s)
        elif self._is_in_order(dialog, incoming, now_s):
            self._answerer.reply(incoming, statuses.OK, now_s)
            self._dialogs.turn(dialog, Turn.BYE, now_s, incoming.request)

    def _on_cancel(self, incoming: Incoming, now_s: float) -> None:
        invite = self._store.find(incoming.key_as("INVITE"))
        if invite is None:
            self._answerer.reply(incoming, statuses.NO_SUCH_CALL, now_s)
            return
        self._answerer.reply(incoming, statuses.OK, now_s, to_tag=invite.local_tag)
        dialog = self._dialogs.of(invite)
        if dialog is not None and invite.id in self._dialogs.pending:
            self._dialogs.refuse(invite, statuses.TERMINATED, now_s)
            self._dialogs.turn(dialog, Turn.CANCEL, now_s, incoming.request)

    def _on_options(self, incoming: Incoming, now_s: float) -> None:
        retry_after_s = self._busy_s()
        if retry_after_s is not None and not incoming.to_tag:
            self._answerer.reply_unavailable(incoming, retry_after_s, now_s)
        else:
            self._answerer.reply(incoming, statuses.OK, now_s, self._answerer.full_description(incoming.flow))

    def _on_ack(self, incoming: Incoming, now_s: float) -> None:
        invite = self._store.find(incoming.key_as("INVITE"))
        if invite is not None and invite.state in _REFUSED:
            self._store.take(invite, Input.ACK, now_s)
            return
        dialog = self._dialogs.find(incoming.dialog)
        answered = None if dialog is None else dialog.unacknowledged
        if dialog is None or answered is None or answered.number != incoming.number:
            self._dropped += 1
            return
        self._dialogs.hear(dialog, incoming)
        self._dialogs.events.append(Acknowledged(dialog=dialog.id, request=incoming.request))
        self._dialogs.acknowledge(dialog, now_s)

    # Within dialogs

    def _dialog_for(self, incoming: Incoming, now_s: float) -> Dialog | None:
        """Return the dialog of a request that may be handled, None if it has been answered."""
        dialog = self._dialogs.find(incoming.dialog)
        if dialog is None:
            self._answerer.reply(incoming, statuses.NO_SUCH_CALL, now_s)
            return None
        return dialog if self._enter(dialog, incoming, now_s) else None

    def _enter(self, dialog: Dialog, incoming: Incoming, now_s: float) -> bool:
        """Take a request into its dialog; False if it has been answered."""
        if not self._is_in_order(dialog, incoming, now_s):
            return False
        if dialog.is_leaving:
            self._answerer.reply(incoming, statuses.NO_SUCH_CALL, now_s)
            return False
        if dialog.stage is Stage.EARLY:  # one that is not known yet whether it will be adopted
            self._answerer.reply_later(incoming, now_s)
            return False
        self._dialogs.hear(dialog, incoming)
        return True

    def _is_in_order(self, dialog: Dialog, incoming: Incoming, now_s: float) -> bool:
        """Check the number of a request (RFC 3261 section 12.2.2); False if it has been answered."""
        if incoming.number <= dialog.remote_cseq:
            self._answerer.reply_later(incoming, now_s)
            return False
        dialog.remote_cseq = incoming.number
        return True

    def _may_offer(self, dialog: Dialog, incoming: Incoming, now_s: float) -> bool:
        """Check that no offer is open, ours or the peer's (RFC 3261 section 14.2, RFC 3311 section 5.2)."""
        if dialog.has_open_offer:
            self._answerer.reply(incoming, statuses.PENDING, now_s)
            return False
        if self._dialogs.has_pending_offer(dialog) or not self._dialogs.may_wait(dialog):
            self._answerer.reply_later(incoming, now_s)
            return False
        return True

    def _ask(self, dialog: Dialog, incoming: Incoming, now_s: float) -> None:
        # Metadata alone are no offer and can't cross one.
        if has_offer(incoming.request):
            if not self._may_offer(dialog, incoming, now_s):
                return
        elif not self._dialogs.may_wait(dialog):
            self._answerer.reply_later(incoming, now_s)
            return
        number = self._dialogs.wait(dialog, incoming, now_s)
        self._dialogs.events.append(
            Asked(transaction=number, dialog=dialog.id, request=incoming.request, flow=incoming.flow)
        )

    def _invited(self, dialog: Dialog, incoming: Incoming, now_s: float, *, is_new: bool) -> None:
        number = self._dialogs.wait(dialog, incoming, now_s)
        self._dialogs.events.append(
            Invited(
                transaction=number,
                dialog=dialog.id,
                request=incoming.request,
                flow=incoming.flow,
                is_new=is_new,
                is_orphan=dialog.stage is Stage.EARLY and not is_new,
            )
        )

    def _busy_s(self) -> int | None:
        """Return when new calls may be taken again, None if they are taken."""
        if self._retry_after_s is None and self._dialogs.is_full:
            return RETRY_AFTER_S
        return self._retry_after_s
