"""The transactions of an endpoint or a proxy: found by what a message says, timed, and kept within limits.

Conventions: seconds and bytes. Whatever else has a time (dialogs) stands in the same schedule.
"""

import itertools
import math
from collections import Counter
from typing import Final, Protocol

from callseal.agent.sip.flow import Outgoing
from callseal.agent.sip.schedule import Schedule
from callseal.agent.sip.transaction import Action, Input, Key, State, Transaction

_ANSWERED: Final = (State.COMPLETED, State.CONFIRMED)
"""What is still kept then only serves for messages that come again."""

_Attempt = tuple[str, str, int]


class Holder(Protocol):
    """What keeps text of a peer's."""

    held_bytes: int


class Room(Protocol):
    """How much may be kept."""

    @property
    def transactions(self) -> int:
        """At most so many."""

    @property
    def stored_bytes(self) -> int:
        """And so much text."""


class TransactionStore:
    """All transactions that are not over."""

    def __init__(self, limits: Room) -> None:
        self.schedule: Schedule[object] = Schedule()
        self.outgoing: list[Outgoing] = []
        self.stored_bytes = 0
        self.resent = 0
        """How many messages were sent again, for whatever reason."""
        self._limits = limits
        self._server: dict[Key, Transaction] = {}
        self._client: dict[tuple[str, str], Transaction] = {}
        self._attempts: dict[_Attempt, Transaction] = {}
        self._of_face: Counter[str] = Counter()
        """Peers' requests, by the face that they came in at."""
        self._last = 0

    def __len__(self) -> int:
        return len(self._server) + len(self._client)

    @property
    def is_full(self) -> bool:
        """Whether nothing may be added that can be refused."""
        return len(self) >= self._limits.transactions or self.stored_bytes >= self._limits.stored_bytes

    def next_number(self) -> int:
        """Return a number that no transaction has had."""
        self._last += 1
        return self._last

    def find(self, key: Key) -> Transaction | None:
        """Return the transaction of a peer's request."""
        return self._server.get(key)

    def find_client(self, branch: str, method: str) -> Transaction | None:
        """Return the transaction of a request of ours."""
        return self._client.get((branch, method))

    def find_sent(self, outgoing: Outgoing) -> Transaction | None:
        """Return the transaction of a request that was sent, None for whatever else was."""
        branch, _, method = outgoing.key.partition(" ")
        return self._client.get((branch, method))

    def is_merged(self, key: Key) -> bool:
        """Say whether an INVITE outside of dialogs has come already, another way (RFC 3261 section 8.2.2.2).

        One that was refused may come again, as gateways do that have tried another recorder meanwhile.
        """
        return _attempt(key) in self._attempts

    def add(self, transaction: Transaction, *, is_fresh: bool = False) -> None:
        """Keep a transaction; `is_fresh` for an INVITE outside of dialogs, until it is refused."""
        self.hold(transaction, transaction.size_bytes)
        if transaction.due_s < math.inf:
            self.schedule.set(transaction, transaction.due_s)
        if transaction.machine.is_client:
            self._client[transaction.key[0], transaction.method] = transaction
        else:
            self._of_face[transaction.flow.face] += transaction.key not in self._server
            self._server[transaction.key] = transaction
            if is_fresh:
                self._attempts[_attempt(transaction.key)] = transaction

    def hold(self, holder: Holder, size_bytes: int) -> None:
        """Count what is kept for a transaction or a dialog from now on; 0 when it is forgotten."""
        self.stored_bytes += size_bytes - holder.held_bytes
        holder.held_bytes = size_bytes

    def send(self, transaction: Transaction) -> None:
        """Send what the transaction has to say, if it has."""
        if transaction.data:
            is_client = transaction.machine.is_client
            self.outgoing.append(
                Outgoing(
                    data=transaction.data,
                    flow=transaction.flow,
                    destination=transaction.destination,
                    key=f"{transaction.key[0]} {transaction.method}" if is_client else "",
                )
            )

    def take(self, transaction: Transaction, what: Input, now_s: float) -> Action:
        """Let something happen to a transaction: send, set its timer, or forget it."""
        if what is Input.FAILURE:
            self._forget_attempt(transaction)
        return self._settle(transaction, transaction.take(what, now_s))

    def on_time(self, transaction: Transaction, now_s: float) -> Action:
        """Do what is due for a transaction."""
        self.resent += transaction.end_s > now_s
        return self._settle(transaction, transaction.on_time(now_s))

    def forget(self, transaction: Transaction) -> None:
        """Keep a transaction no longer."""
        self.schedule.drop(transaction)
        if transaction.machine.is_client:
            self._client.pop((transaction.key[0], transaction.method), None)
        else:
            self._of_face[transaction.flow.face] -= self._server.pop(transaction.key, None) is not None
            self._forget_attempt(transaction)
        self.hold(transaction, 0)

    def make_room(self) -> bool:
        """Forget what is answered, the oldest first; False where there is still no room.

        First requests of ours, then those of the face at which the most have come in.
        """
        while self.is_full:
            face = max(self._of_face, key=self._of_face.__getitem__, default="")
            asked = (one for one in self._client.values() if one.method != "INVITE")
            heard = (one for one in self._server.values() if one.flow.face == face)
            oldest = next((one for one in itertools.chain(asked, heard) if one.state in _ANSWERED), None)
            if oldest is None:
                return False
            self.forget(oldest)
        return True

    def forget_server(self, face: str) -> None:
        """Keep no transaction longer of a request that came in at this face."""
        for transaction in tuple(self._server.values()):
            if transaction.flow.face == face:
                self.forget(transaction)

    def forget_client(self, face: str) -> None:
        """Keep no transaction longer of a request that went out at this face."""
        for transaction in tuple(self._client.values()):
            if transaction.flow.face == face:
                self.forget(transaction)

    def extend(self, transaction: Transaction, end_s: float) -> None:
        """Let the time of a transaction's state be up then."""
        transaction.end_s = end_s
        self.schedule.set(transaction, transaction.due_s)

    def _settle(self, transaction: Transaction, action: Action) -> Action:
        if action is Action.SEND:
            self.send(transaction)
        if transaction.is_over:
            self.forget(transaction)
        else:
            self.hold(transaction, transaction.size_bytes)
            self.schedule.set(transaction, transaction.due_s)
        return action

    def _forget_attempt(self, transaction: Transaction) -> None:
        attempt = _attempt(transaction.key)
        if self._attempts.get(attempt) is transaction:
            del self._attempts[attempt]


def _attempt(key: Key) -> _Attempt:
    return key[2], key[4], key[3]
