"""A SIP telephone, or a telephone system, that keeps its dialogs and complains of whoever does not.

It does what RFC 3261 asks of a user agent by itself: sends again over UDP, acknowledges, answers CANCEL with
487, answers BYE. What a peer does that no user agent has to put up with goes into `complaints`; `unfinished`
says what still hangs. Whether it rings, takes a call or says nothing is the test's.
"""

import itertools
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Self

from support.ear import Ear
from support.sip_parts import branch_of, direction_of, number_of, tag_of
from support.sip_peer import Message, describe
from support.watchful_leg import Leg

Manner = Literal["silent", "rings", "early", "takes"]
T1_S: Final = 0.5
GIVE_UP_S: Final = 32.0
_TURN_S: Final = 0.02
_ANSWERS: Final = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}
_numbers = itertools.count(1)


@dataclass(eq=False)
class Sent:
    """A request of ours, sent again until it is answered, or a 2xx until it is acknowledged."""

    text: str
    what: str
    since_s: float
    again_s: float
    pause_s: float = T1_S
    is_over: bool = False
    is_quiet: bool = False
    """Whether it is not to be sent again: an INVITE that was answered provisionally, or no UDP."""


class Party:
    """A UDP port with telephones behind it."""

    def __init__(self, name: str, port: int, desk: int, new_ear: Callable[[], Ear]) -> None:
        """`new_ear` gives the ear and mouth of one more call."""
        self.name = name
        self._new_ear = new_ear
        self.port = port
        self.manner: Manner = "takes"
        self.holds_ack_back = False
        self.ignores: set[str] = set()
        """Methods within dialogs that are not answered for the moment."""
        self.legs: list[Leg] = []
        self.complaints: list[str] = []
        self._desk = ("127.0.0.1", desk)
        self._sent: dict[tuple[str, str], Sent] = {}
        self._answers: dict[tuple[str, str], str] = {}
        self._asked: dict[tuple[str, str], Leg] = {}
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self._socket.settimeout(_TURN_S)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    # What the test does

    def call(self, called: str, *, user: str = "6001") -> Leg:
        """Send an INVITE."""
        number = next(_numbers)
        with self._lock:
            leg = Leg(
                party=self,
                call_id=f"watchful-{number}-{time.monotonic_ns()}",
                local=f"<sip:{user}@127.0.0.1:{self.port}>;tag=near{number}",
                remote=f"<sip:{called}@127.0.0.1:{self._desk[1]}>",
                target=f"sip:{called}@127.0.0.1:{self._desk[1]}",
                ear=self._new_ear(),
            )
            self.legs.append(leg)
            self.ask(leg, "INVITE", describe(leg.ear.port))
        return leg

    def unfinished(self) -> list[str]:
        """Say what hangs: dialogs that stand, requests and answers that nobody has reacted to."""
        with self._lock:
            hanging = [f"{self.name}: {leg.codes} has not ended" for leg in self.legs if not leg.end]
            hanging += [f"{self.name}: {sent.what}" for sent in self._sent.values() if not sent.is_over]
            hanging += [f"{self.name}: an INVITE not answered" for leg in self.legs if leg.waiting]
        return hanging

    def forget(self) -> None:
        """Begin anew: what is over is known no more, so that whatever comes for it is complained of."""
        with self._lock:
            self.legs.clear()
            self.manner, self.holds_ack_back = "takes", False
            self.ignores.clear()

    # What is sent

    def ask(self, leg: Leg, method: str, body: str = "", extra: str = "") -> None:
        """Send a request of a dialog, again and again until it is answered."""
        with self._lock:
            branch = f"z9hG4bK{next(_numbers)}x{time.monotonic_ns()}"
            if method == "CANCEL":
                branch = leg.branch
            else:
                leg.number += 1
            if method == "INVITE":
                leg.branch = branch
            text = self._compose(leg, method, branch, body, extra)
            self._asked[branch, method] = leg
            self._repeat((branch, method), text, f"{method} of ours without an answer")

    def acknowledge(self, leg: Leg, answer: Message) -> None:
        """Send the ACK of a final answer to an INVITE of ours."""
        with self._lock:
            leg.owed = None
            number = int(answer.header("CSeq").split(" ")[0])
            branch = branch_of(answer) if answer.code >= 300 else f"z9hG4bK{next(_numbers)}ack"
            self._send(self._compose(leg, "ACK", branch, number=number, to=answer.header("To")))

    def answer(self, leg: Leg, code: int, body: str = "") -> None:
        """Answer the INVITE that waits; one that is answered finally waits no more."""
        with self._lock:
            invite = leg.waiting
            if invite is None:
                return
            if invite is leg.invite:
                leg.codes.append(code)
            if code >= 200:
                leg.waiting = None
            text = self._respond(invite, code, to=leg.local, body=body)
            if code >= 200:
                what = f"{code} to INVITE without an ACK"
                self._repeat((branch_of(invite), "ACK"), text, what)
            else:
                self._send(text)
            if 200 <= code < 300:
                leg.answered_s = leg.answered_s or time.monotonic()
            elif code >= 300 and invite is leg.invite:
                leg.finish("cancelled" if code == 487 else "refused")

    def _compose(
        self,
        leg: Leg,
        method: str,
        branch: str,
        body: str = "",
        extra: str = "",
        *,
        number: int = 0,
        to: str = "",
    ) -> str:
        routes = "".join(f"Route: {route}\r\n" for route in leg.routes)
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {leg.target} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch};rport\r\n{routes}"
            f"From: {leg.local}\r\nTo: {to or leg.remote}\r\nCall-ID: {leg.call_id}\r\n"
            f"CSeq: {number or leg.number} {method}\r\nContact: <sip:peer@127.0.0.1:{self.port}>\r\n"
            f"Max-Forwards: 70\r\n{kind}{extra}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _respond(self, request: Message, code: int, *, to: str = "", body: str = "") -> str:
        vias = "".join(f"Via: {value}\r\n" for value in request.headers("Via"))
        routes = "".join(f"Record-Route: {value}\r\n" for value in request.headers("Record-Route"))
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"SIP/2.0 {code} Said\r\n{vias}{routes}From: {request.header('From')}\r\n"
            f"To: {to or request.header('To')}\r\nCall-ID: {request.header('Call-ID')}\r\n"
            f"CSeq: {request.header('CSeq')}\r\nContact: <sip:peer@127.0.0.1:{self.port}>\r\n"
            f"{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self._answers[branch_of(request), request.method] = text
        return text

    def _repeat(self, key: tuple[str, str], text: str, what: str) -> None:
        now_s = time.monotonic()
        self._sent[key] = Sent(text=text, what=what, since_s=now_s, again_s=now_s + T1_S)
        self._send(text)

    def _send(self, text: str) -> None:
        self._socket.sendto(text.encode(), self._desk)

    # What comes

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                data, source = self._socket.recvfrom(65_535)
            except TimeoutError:
                data = b""
            with self._lock:
                if data:
                    self._take(Message(data.decode("latin-1"), source))
                self._send_again(time.monotonic())

    def _send_again(self, now_s: float) -> None:
        for sent in self._sent.values():
            if sent.is_over or sent.is_quiet or now_s < sent.again_s:
                continue
            if now_s - sent.since_s > GIVE_UP_S:
                sent.is_quiet = True
                self.complain(sent.what)
                continue
            sent.pause_s = min(2 * sent.pause_s, 4.0)
            sent.again_s = now_s + sent.pause_s
            self._send(sent.text)

    def complain(self, what: str) -> None:
        """Note what no user agent has to put up with."""
        self.complaints.append(f"{self.name}: {what}")

    def _take(self, message: Message) -> None:
        if message.code:
            self._take_answer(message)
            return
        key = branch_of(message), message.method
        if message.method == "ACK":
            self._take_ack(message)
        elif key in self._answers:
            self._send(self._answers[key])
        elif message.method == "CANCEL":
            self._take_cancel(message)
        elif tag_of(message.header("To")):
            self._take_within(message)
        elif message.method == "INVITE":
            self._take_call(message)
        else:
            self._send(self._respond(message, 200, to=f"{message.header('To')};tag=any"))

    def _take_call(self, invite: Message) -> None:
        if any(leg.waiting is not None and branch_of(leg.waiting) == branch_of(invite) for leg in self.legs):
            return  # sent again
        leg = Leg(
            party=self,
            call_id=invite.header("Call-ID"),
            local=f"{invite.header('To')};tag=far{next(_numbers)}",
            remote=invite.header("From"),
            target=invite.header("Contact").partition("<")[2].partition(">")[0],
            ear=self._new_ear(),
            routes=invite.recorded_route,
            invite=invite,
            their_number=number_of(invite),
            waiting=invite,
        )
        self.legs.append(leg)
        if self.manner == "rings":
            leg.ring()
        elif self.manner == "early":
            self.answer(leg, 183, describe(leg.ear.port))
        elif self.manner == "takes":
            leg.ring()
            leg.take()

    def _take_cancel(self, cancel: Message) -> None:
        leg = next(
            (one for one in self.legs if one.invite and branch_of(one.invite) == branch_of(cancel)), None
        )
        if leg is None:
            self.complain("CANCEL of nothing")
        self._send(self._respond(cancel, 481 if leg is None else 200))
        if leg is not None and leg.waiting is leg.invite:
            self.answer(leg, 487)

    def _take_ack(self, ack: Message) -> None:
        leg = self._leg_of(ack)
        of_refusal = self._sent.get((branch_of(ack), "ACK"))
        if of_refusal is not None:
            of_refusal.is_over = True
            return
        if leg is None:
            self.complain("ACK for no dialog")
            return
        for (_branch, kind), sent in self._sent.items():
            same_call = f"Call-ID: {leg.call_id}\r\n" in sent.text
            if kind == "ACK" and same_call and f"CSeq: {number_of(ack)} INVITE" in sent.text:
                sent.is_over = True
                return
        self.complain(f"ACK of nothing, CSeq {number_of(ack)}")

    def _take_within(self, request: Message) -> None:
        method, leg = request.method, self._leg_of(request)
        if method in self.ignores or _is_again(request, leg):
            return
        if leg is None or (leg.end and leg.end != "our BYE"):
            self.complain(f"{method} for {'no dialog' if leg is None else f'one that ended by {leg.end}'}")
            self._send(self._respond(request, 481))
            return
        if leg.end:  # both hang up at once
            self._send(self._respond(request, 481))
            return
        if number_of(request) <= leg.their_number:
            self.complain(f"{method} with CSeq {number_of(request)} after {leg.their_number}")
        leg.their_number = number_of(request)
        if method == "INVITE":
            leg.waiting = request
            leg.directions.append(direction_of(request))
            if "re-INVITE" not in self.ignores:
                wanted = _ANSWERS.get(direction_of(request), "sendrecv")
                self.answer(leg, 200, describe(leg.ear.port, direction=wanted, version=leg.version))
            return
        self._send(self._respond(request, 200))
        if method == "BYE":
            self._take_bye(leg, request)

    def _take_bye(self, leg: Leg, bye: Message) -> None:
        if leg.final not in range(200, 300):
            self.complain("BYE before the answer")
        if leg.invite is not None and not self._is_acknowledged(leg.invite):
            self.complain("BYE before the ACK")
        leg.last_words = bye
        leg.finish("BYE")
        if leg.waiting is not None:
            self.answer(leg, 487)

    def _is_acknowledged(self, invite: Message) -> bool:
        sent = self._sent.get((branch_of(invite), "ACK"))
        return sent is None or sent.is_over

    def _take_answer(self, answer: Message) -> None:
        key = branch_of(answer), answer.method
        sent, leg = self._sent.get(key), self._asked.get(key)
        if sent is None or leg is None:
            self.complain(f"{answer.code} to a {answer.method} that was never sent")
            return
        was_over, is_final = sent.is_over, answer.code >= 200
        sent.is_over = was_over or is_final
        if answer.method != "INVITE":
            return
        sent.is_quiet = True
        is_first = leg.branch == key[0] and leg.version == 1 and not leg.invite
        if is_first and not was_over:
            leg.codes.append(answer.code)
        if answer.code in range(101, 300) and is_first:
            leg.remote = answer.header("To")
            leg.target = answer.header("Contact").partition("<")[2].partition(">")[0] or leg.target
            leg.routes = leg.routes or answer.recorded_route[::-1]
        if not is_final:
            return
        if was_over and answer.code >= 300:
            self.complain(f"a second final answer, {answer.code}")
        leg.said = answer if is_first else leg.said
        if answer.code >= 300:
            self.acknowledge(leg, answer)
            if is_first:
                leg.finish("refused")
            return
        leg.answered_s = leg.answered_s or time.monotonic()
        leg.owed = answer
        if not self.holds_ack_back:
            self.acknowledge(leg, answer)

    def _leg_of(self, request: Message) -> Leg | None:
        ours, theirs = tag_of(request.header("To")), tag_of(request.header("From"))
        for leg in self.legs:
            same = leg.call_id == request.header("Call-ID") and leg.tag == ours
            if same and tag_of(leg.remote) == theirs:
                return leg
        return None


def _is_again(request: Message, leg: Leg | None) -> bool:
    """Say whether a request within a dialog has come before, and waits to be answered."""
    return leg is not None and leg.waiting is not None and branch_of(leg.waiting) == branch_of(request)
