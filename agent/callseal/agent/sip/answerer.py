"""Answers that need no decision of the application's.

Conventions: each answer opens a transaction that repeats it when the request is repeated, unless there is no
room for one; then it is given once for each request, which RFC 3261 section 8.2.7 allows.
"""

from collections.abc import Callable
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.capabilities import Capabilities
from callseal.agent.sip.flow import Flow, Outgoing
from callseal.agent.sip.headers import Fields
from callseal.agent.sip.incoming import Incoming
from callseal.agent.sip.limits import MAX_SPREAD_S
from callseal.agent.sip.message import respond
from callseal.agent.sip.session_timer import MIN_SE_S, SessionTimer, is_too_short
from callseal.agent.sip.statuses import Status
from callseal.agent.sip.transaction import INVITE_SERVER, SERVER, Input, Transaction
from callseal.agent.sip.transaction_store import TransactionStore
from callseal.agent.sip.via import reply_address, stamp

_TAG_BYTES: Final = 8
"""RFC 3261 section 19.3 asks for 32 bits of randomness at least."""
_LAST_PROVISIONAL: Final = 199
_LAST_SUCCESS: Final = 299


class Answerer:
    """Gives answers."""

    def __init__(
        self,
        store: TransactionStore,
        *,
        contact: Callable[[Flow], str],
        random: Callable[[int], bytes],
        capabilities: Capabilities,
    ) -> None:
        self.capabilities = capabilities
        self.refused = 0
        self._store = store
        self._contact = contact
        self._random = random

    def new_tag(self) -> str:
        """Return a tag that nobody guesses."""
        return self._random(_TAG_BYTES).hex()

    def contact(self, flow: Flow) -> tuple[str, str]:
        """Return our Contact."""
        return ("contact", self._contact(flow))

    def self_description(self, flow: Flow, timer: SessionTimer | None) -> Fields:
        """Return what a 2xx answer to INVITE or UPDATE says about us (section 13.3.1.4)."""
        return (self.contact(flow), *self.capabilities.offered, *(timer.answer_headers() if timer else ()))

    def full_description(self, flow: Flow) -> Fields:
        """Return what an answer to OPTIONS says about us (section 11.2)."""
        return (self.contact(flow), *self.capabilities.all)

    def reply(
        self, incoming: Incoming, status: Status, now_s: float, headers: Fields = (), *, to_tag: str = ""
    ) -> None:
        """Answer a request."""
        response = respond(
            incoming.stamped, *status, to_tag=to_tag or incoming.to_tag or self.new_tag(), headers=headers
        )
        machine = INVITE_SERVER if incoming.request.method == "INVITE" else SERVER
        transaction = Transaction(
            machine,
            self._store.next_number(),
            incoming.key,
            flow=incoming.flow,
            destination=incoming.reply_to,
        )
        transaction.answer(bytes(response))
        if self._store.is_full:
            self._store.send(transaction)
            return
        self._store.add(transaction)
        self._store.take(transaction, kind_of(status.code), now_s)

    def reply_later(self, incoming: Incoming, now_s: float) -> None:
        """Answer that the request may come again, at a time that no two peers share (section 14.2)."""
        pause_s = self._random(1)[0] % (MAX_SPREAD_S + 1)
        self.reply(incoming, statuses.SERVER_ERROR, now_s, (("retry-after", str(pause_s)),))

    def reply_unavailable(self, incoming: Incoming, retry_after_s: int, now_s: float) -> None:
        """Answer that there is no room, so that the peer chooses another recorder."""
        # A question by OPTIONS is no call.
        self.refused += incoming.request.method == "INVITE"
        self.reply(incoming, statuses.UNAVAILABLE, now_s, (("retry-after", str(retry_after_s)),))

    def reply_malformed(self, error: SipSyntaxError, flow: Flow) -> None:
        """Answer what could not be parsed, as far as that is possible; nothing is kept of it."""
        if error.request is None or not error.status:
            return
        try:
            request = stamp(error.request, flow.remote)
            data = bytes(respond(request, error.status, str(error), to_tag=self.new_tag()))
        except (SipSyntaxError, ValueError):  # what an answer needs is what is wrong
            return
        self._store.outgoing.append(Outgoing(data=data, flow=flow, destination=reply_address(request, flow)))

    def refuses_extensions(self, incoming: Incoming, now_s: float) -> bool:
        """Answer 420 to a request for what is not known here (section 8.2.2.3), and say so."""
        unknown = self.capabilities.not_understood(incoming.request.headers.all("require"))
        if unknown:
            self.reply(incoming, statuses.BAD_EXTENSION, now_s, (("unsupported", ", ".join(unknown)),))
        return bool(unknown)

    def refuses_interval(self, incoming: Incoming, now_s: float) -> bool:
        """Answer 422 to a session timer that is too short, and say so."""
        is_refused = is_too_short(incoming.request.headers)
        if is_refused:
            self.reply(incoming, statuses.INTERVAL_TOO_SMALL, now_s, (("min-se", str(MIN_SE_S)),))
        return is_refused


def kind_of(status: int) -> Input:
    """Return what a status means to a transaction."""
    if status <= _LAST_PROVISIONAL:
        return Input.PROVISIONAL
    return Input.SUCCESS if status <= _LAST_SUCCESS else Input.FAILURE
