"""The bridge's child by itself: its process, a small relay in place of the edge, a raw peer on either side.

The relay is a stateless record-routing proxy (RFC 3261 section 16.11) that knows three parties: what the
child sends goes where its request URI says, everything else goes to the child.
"""

import dataclasses
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from callseal.agent.sources.bridge import memwav, protocol, will
from callseal.agent.sources.bridge.memwav import GrowingWav
from callseal.agent.sources.bridge.scratch import scratch
from callseal.agent.sources.bridge.tracks import Tracks
from support.programs import free_udp_port
from support.sip_peer import Address, Dialog, Peer, describe

Kind = TypeVar("Kind", bound=protocol.Report)
Face = Literal["phone", "pbx"]
NUMBER = "13900139000"
PATIENCE_S = 8.0
_SIDES: Mapping[Face, protocol.CallSide] = {"phone": "agent", "pbx": "customer"}


class Relay:
    """Plays the edge."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.phone: Address = ("127.0.0.1", 0)
        self.child: Address = ("127.0.0.1", 0)
        self.from_child: list[str] = []
        """Requests of the child, as they came."""

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                data, source = self._socket.recvfrom(65_535)
            except TimeoutError:
                continue
            text = data.decode("latin-1")
            if text.startswith("SIP/2.0 "):
                self._back(text)
            elif "\r\n" in text:
                self._on(text, source)

    def _back(self, text: str) -> None:
        lines = text.split("\r\n")
        vias = [place for place, line in enumerate(lines) if line.lower().startswith("via:")]
        if len(vias) < 2 or f":{self.port};" not in lines[vias[0]]:
            return  # to a request that did not come through here
        del lines[vias[0]]
        sent_by = lines[vias[1] - 1].split("UDP ")[1].split(";")[0]
        self._send("\r\n".join(lines), _address(sent_by))

    def _on(self, text: str, source: Address) -> None:
        head, blank, body = text.partition("\r\n\r\n")
        lines = head.split("\r\n")
        method, uri, _version = lines[0].split(" ", 2)
        via = next(line for line in lines if line.lower().startswith("via:"))
        branch = "z9hG4bK" + hashlib.sha256(via.encode("latin-1")).hexdigest()[:16]
        to_tag = "tag=" in next(line for line in lines if line.lower().startswith(("to:", "t:")))
        first = method == "INVITE" and not to_tag
        own = f"127.0.0.1:{self.port}"
        routed = [line for line in lines[1:] if not (line.startswith("Route:") and own in line)]
        if source == self.child:
            self.from_child.append(text)
            marks = {line.partition(":")[0]: line.partition(":")[2].strip() for line in routed}
            way = _address(uri.partition("@")[2].split(";")[0])
            if first and not (marks.get("X-Callseal-Call") and marks.get("X-Callseal-To") in _SIDES):
                return  # nothing that the edge would let out
            routed = [line for line in routed if not line.startswith("X-Callseal-")]
        else:
            way = self.child
            if first:
                face = "phone" if source == self.phone else "pbx"
                uri = f"sip:callseal-{face}@127.0.0.1:{self.child[1]}"
                routed += [f"X-Callseal-Call: {uuid.uuid4().hex}", f"X-Callseal-From: {face}"]
        added = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP {own};branch={branch}"]
        if first:
            added.append(f"Record-Route: <sip:{own};lr>")
        self._send("\r\n".join([*added, *routed]) + blank + body, way)

    def _send(self, text: str, address: Address) -> None:
        self._socket.sendto(text.encode("latin-1"), address)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()


def _address(text: str) -> Address:
    host, _, port = text.partition(":")
    return host, int(port or 5060)


@dataclass
class Talk:
    """A call that stands."""

    number: int
    token: str
    near: Dialog
    """Of the side that called."""
    far: Dialog


@dataclass
class Room:
    """A running child and its surroundings."""

    process: "subprocess.Popen[bytes]"
    channel: socket.socket
    relay: Relay
    phone: Peer
    pbx: Peer
    third: Peer
    """Somebody else behind the telephone system."""
    rate_hz: int
    _waiting: list[tuple[protocol.Report, list[int]]] = field(default_factory=list)

    @property
    def pid(self) -> int:
        return self.process.pid

    def order(self, command: protocol.Command) -> None:
        """Tell the child something."""
        protocol.send(self.channel, command)

    def expect(self, kind: type[Kind], limit_s: float = PATIENCE_S) -> Kind:
        """Wait for a report; others that came before it stay, but for heartbeats."""
        return self._take(kind, limit_s)[0]

    def expect_taps(self, limit_s: float = PATIENCE_S) -> "Listener":
        """Wait for a call's taps."""
        report, fds = self._take(protocol.Tapped, limit_s)
        return Listener(report, fds)

    def nothing(self, kind: type[Kind], within_s: float) -> bool:
        """Say that no such report comes."""
        try:
            self.expect(kind, within_s)
        except AssertionError:
            return True
        return False

    def _take(self, kind: type[Kind], limit_s: float) -> tuple[Kind, list[int]]:
        deadline_s = time.monotonic() + limit_s
        while True:
            for place, (report, fds) in enumerate(self._waiting):
                if isinstance(report, kind):
                    del self._waiting[place]
                    return report, fds
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self.channel], [], [], left_s)[0]:
                raise AssertionError(f"no {kind.__name__} came; there is {[one for one, _ in self._waiting]}")
            received = protocol.receive(self.channel)
            if received is None:
                told = [one for one, _ in self._waiting]
                raise AssertionError(f"the child is gone ({self.process.wait(5)}); it said {told}")
            message, fds = received
            assert not isinstance(message, protocol.Command)
            if not isinstance(message, protocol.Beat) or kind is protocol.Beat:
                self._waiting.append((message, fds))

    def faults(self) -> list[protocol.Fault]:
        """Give the faults that were told so far."""
        return [report for report, _fds in self._waiting if isinstance(report, protocol.Fault)]

    def forget(self) -> None:
        """Drop everything that came and was not asked for, faults aside."""
        for peer in (self.phone, self.pbx, self.third):
            peer.forget()
        for report, fds in self._waiting:
            assert not isinstance(report, protocol.Fault), report
            for fd in fds:
                os.close(fd)
        self._waiting.clear()

    # --- calls ----------------------------------------------------------------------------------------

    def ring(self, offer: str | None = None, *, by: Face = "phone", extra: str = "") -> Dialog:
        """Send an INVITE."""
        near = (self.phone if by == "phone" else self.pbx).call(NUMBER)
        near.ask("INVITE", describe() if offer is None else offer, extra)
        return near

    def let_through(
        self, *, by: Face = "phone", far: Peer | None = None, **changes: str | float
    ) -> protocol.Route:
        """Wait for a call to be announced, and route it."""
        invited = self.expect(protocol.Invited)
        far = far or (self.pbx if by == "phone" else self.phone)
        route = protocol.Route(
            call=invited.call,
            token=invited.token,
            target=f"sip:{NUMBER}@127.0.0.1:{far.port}",
            from_uri="<sip:6001@example.org>",
            caller=_SIDES[by],
            record=True,
            announcement="",
            on_failure="record",
            hold_talk=False,
            response_timeout_s=5.0,
            ring_timeout_s=20.0,
        )
        route = dataclasses.replace(route, **changes)  # type: ignore[arg-type]
        self.order(route)
        return route

    def talk(
        self,
        offer: str | None = None,
        answer: str | None = None,
        *,
        by: Face = "phone",
        extra: str = "",
        **changes: str | float,
    ) -> Talk:
        """Place a call that is answered; `changes` are fields of its route."""
        near = self.ring(offer, by=by, extra=extra)
        route = self.let_through(by=by, far=None, **changes)
        far = (self.pbx if by == "phone" else self.phone).taken()
        far.take(answer)
        near.acknowledge(near.response(200))
        self.expect(protocol.Answered)
        return Talk(route.call, route.token, near, far)

    def end(self, talk: Talk) -> protocol.Ended:
        """Hang up on the near side."""
        talk.near.hang_up()
        talk.far.hung_up_on()
        return self.expect(protocol.Ended)

    def transfer(
        self, talk: Talk, side: protocol.CallSide = "agent", refer_id: str = ""
    ) -> protocol.Transfer:
        """Let the third party take a side's place."""
        command = protocol.Transfer(
            call=talk.number,
            token=talk.token,
            side=side,
            target=f"sip:6009@127.0.0.1:{self.third.port}",
            from_uri="<sip:6001@example.org>",
            refer_id=refer_id,
        )
        self.order(command)
        return command


class Listener:
    """Reads a call's taps."""

    def __init__(self, report: protocol.Tapped, fds: list[int]) -> None:
        self._taps = [GrowingWav(fd) for fd in fds]
        self._tracks = Tracks()
        self._tracks.start_at(0)
        self.at_s = report.at_s

    def all(self) -> NDArray[np.int16]:
        """Give everything that was recorded, int16, shape (3, samples): agent, customer, announcement."""
        for track, tap in enumerate(self._taps):
            self._tracks.feed(track, tap.take_new())
        samples = self._tracks.take(last=True)
        self.close()
        assert self._tracks.proven
        return np.zeros((3, 0), np.int16) if samples is None else samples

    def close(self) -> None:
        """Let the taps go."""
        for tap in self._taps:
            tap.close()


@contextmanager
def room(
    *,
    rate_hz: int = 8000,
    phone_srtp: protocol.PhoneSrtp = "off",
    max_calls: int = 2,
    announcement: NDArray[np.int16] | None = None,
    host: str = "127.0.0.1",
    program: tuple[str, ...] = ("-m", "callseal.agent.sources.bridge.child"),
) -> Iterator[Room]:
    """Start a child, and end it in the end; it must leave with status 0 then."""
    with ExitStack() as opened:
        folder = opened.enter_context(scratch())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened.enter_context(ours)
        relay = opened.enter_context(Relay())
        peers = [opened.enter_context(Peer(free_udp_port(2), relay.port)) for _ in range(3)]
        relay.phone = ("127.0.0.1", peers[0].port)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, *program, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        opened.callback(_end, process)
        start = protocol.Start(
            host=host,
            edge=f"127.0.0.1:{relay.port}",
            phone_media="127.0.0.1",
            pbx_media="127.0.0.2",
            rtp_port=free_udp_port(64),
            rtp_ports=63,
            max_calls=max_calls,
            rate_hz=rate_hz,
            phone_srtp=phone_srtp,
            announcements=[] if announcement is None else ["hello"],
            scratch=str(folder),
        )
        _send(ours, start, announcement)
        made = Room(process, ours, relay, peers[0], peers[1], peers[2], rate_hz)
        relay.child = ("127.0.0.1", made.expect(protocol.Ready).port)
        yield made
        if process.poll() is None:
            made.order(protocol.Stop())
            status = process.wait(10)
            assert status == 0, f"the child left with {status}"
            assert not list(folder.glob("*.wav"))


def _send(channel: socket.socket, start: protocol.Start, announcement: NDArray[np.int16] | None) -> None:
    fds = [will.create()]
    if announcement is not None:
        fds.append(memwav.create("announcement"))
        memwav.fill(fds[1], announcement, start.rate_hz)
    protocol.send(channel, start, tuple(fds))
    for fd in fds:
        os.close(fd)


def _end(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
        process.wait()


def cpu_seconds(pid: int) -> float:
    """Give the processor time that a process has used, its threads' included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
