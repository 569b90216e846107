"""A recording server for tests: the real agent as a process, and a gateway that copies calls to it."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, Self, TypeVar

from callseal.cli.demo.office import AGENT, Office
from support.desk import Desk, Recorded
from support.programs import free_udp_port
from support.rtp_sender import Gateway, Stream, codes
from support.sip_peer import Dialog, Message, Peer

Sounds = TypeVar("Sounds")

SECOND_SAMPLES = 8000
_SOURCE = re.compile(r"\[\[source\]\]\n(?:[^\n]+\n)+")
REQUIRE = "Require: siprec\r\n"
RULES = """
[[rule]]
calling = "9999"
record = "never"

[[rule]]
called = "*"
announcements = []
business = "sales"
"""


@dataclass(frozen=True)
class RecordingServer(Desk):
    """The installation, and where gateways find it."""

    opened: dict[Path, Recorded] = field(default_factory=dict)
    """What was opened before: opening costs more than anything else here."""

    @property
    def port(self) -> int:
        """Where gateways find it."""
        return self.bridge_port

    def gateway(self) -> "Copies":
        """Make a gateway that knows this server."""
        return Copies(self.port)

    def of(self, *copies: "Copy", limit_s: float = 20.0) -> list[Recorded]:
        """Wait until each of these calls has a recording, and give them in the order of the calls."""
        return [self.all_of(copy, limit_s=limit_s)[0] for copy in copies]

    def all_of(self, copy: "Copy", count: int = 1, limit_s: float = 20.0) -> list[Recorded]:
        """Wait until a call has that many recordings, and give them in the order in which they began."""
        deadline_s = time.monotonic() + limit_s
        while len(found := self._with(copy.call_id)) < count:
            if time.monotonic() > deadline_s:
                log = self.office.log_tail(AGENT, 30)
                raise AssertionError(f"{len(found)} of {count} recordings of a call\n{log}")
            time.sleep(0.05)
        return found

    def _with(self, call_id: str) -> list[Recorded]:
        for path in sorted((self.office.spool / "ready").iterdir()):
            if path not in self.opened:
                self.opened[path] = self.open(path)
        found = [one for one in self.opened.values() if call_id in one.call["sip_call_ids"]]
        return sorted(found, key=lambda one: one.path.name)


@contextmanager
def recording_server(
    root: Path, *, rules: str = RULES, source: str = "", settings: str = "", start: bool = True
) -> Iterator[RecordingServer]:
    """Run a server in `root`; `source` is put into its `[[source]]`, `settings` at the file's end."""
    port = free_udp_port()
    rtp = free_udp_port(400)
    office = Office.create(
        root,
        listen=f"127.0.0.1:{port}",
        pbx="sip:127.0.0.1:5060",
        phone="",
        rtp_ports=f"{rtp}-{rtp + 399}",
        rules=rules + settings,
        now=datetime.now(UTC),
    )
    # Calls that a test leaves running are ended soon when it is over.
    source = source if "drain_s" in source else f"drain_s = 1.0\n{source}"
    table = (
        f'[[source]]\ntype = "siprec"\nlisten = "127.0.0.1:{port}"\n'
        f'rtp_ports = "{rtp}-{rtp + 399}"\nmax_calls = 50\n{source}\n'
    )
    text, count = _SOURCE.subn(lambda _found: table, office.config_file.read_text(), count=1)
    if not count:
        raise AssertionError("the settings have no [[source]]")
    office.config_file.write_text(text)
    server = RecordingServer(office=office, bridge_port=port, pbx_port=0, phone_port=0)
    with office:
        if start:
            office.start(AGENT)
            if not office.wait_ready(AGENT, 20):
                raise AssertionError(f"the agent did not get ready\n{office.log_tail(AGENT, 30)}")
        yield server


METADATA = """<?xml version="1.0" encoding="UTF-8"?>
<recording xmlns="urn:ietf:params:xml:ns:recording:1">
  <datamode>complete</datamode>
  <group group_id="{group}"/>
  <session session_id="cs-1"><group-ref>{group}</group-ref></session>
  <participant participant_id="p-agent"><nameID aor="sip:{agent}@house.example">
    <name xml:lang="en">Agent</name></nameID></participant>
  <participant participant_id="p-customer"><nameID aor="sip:{customer}@carrier.example"/></participant>
  <stream stream_id="s-1" session_id="cs-1"><label>1</label></stream>
  <stream stream_id="s-2" session_id="cs-1"><label>2</label></stream>
  <participantsessionassoc participant_id="p-agent" session_id="cs-1"/>
  <participantsessionassoc participant_id="p-customer" session_id="cs-1"/>
  <participantstreamassoc participant_id="p-agent">
    <send>s-1</send><recv>s-2</recv></participantstreamassoc>
  <participantstreamassoc participant_id="p-customer">
    <send>s-2</send><recv>s-1</recv></participantstreamassoc>
</recording>
"""


def metadata(*, agent: str = "6001", customer: str = "+8613800138000", group: str = "g-7f3a90cc5d1e") -> str:
    """Write a complete document of two who talk."""
    return METADATA.format(agent=agent, customer=customer, group=group)


def session(
    *,
    labels: Sequence[str] = ("1", "2"),
    direction: str = "sendonly",
    formats: str = "0 101",
    version: int = 1,
) -> str:
    """Write what a gateway offers: one m-line a label."""
    text = f"v=0\r\no=gw 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    for number, label in enumerate(labels):
        text += (
            f"m=audio {40_000 + 2 * number} RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
            f"a={direction}\r\na=label:{label}\r\n"
        )
    return text


def multipart(sdp: str, document: str, boundary: str = "cut-here") -> tuple[str, str]:
    """Give a body of both, and the header lines that say so."""
    body = (
        f"--{boundary}\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n"
        f"--{boundary}\r\nContent-Type: application/rs-metadata+xml\r\n"
        f"Content-Disposition: recording-session\r\n\r\n{document}\r\n--{boundary}--\r\n"
    )
    return body, f"Content-Type: multipart/mixed;boundary={boundary}\r\n"


def ports_of(answer: Message) -> list[int]:
    """Give the ports of the m-lines of an answer, 0 for a refused one."""
    return [int(line.split(" ")[1]) for line in answer.body.split("\r\n") if line.startswith("m=")]


@dataclass
class Copy:
    """One call that a gateway copies."""

    dialog: Dialog
    answer: Message
    ports: list[int]

    @property
    def call_id(self) -> str:
        """By which its recordings are found."""
        return self.dialog.call_id

    def again(
        self,
        body: str = "",
        extra: str = "",
        method: str = "INVITE",
        *,
        answering: Callable[[Message], str] = lambda _offered: "",
    ) -> Message:
        """Send a request within the session, and give the answer, which is acknowledged where it must be.

        From then on sound goes to the ports that it tells. An offer that it has is answered by `answering`.
        """
        self.dialog.ask(method, body, extra)
        answer = _final(self.dialog, method)
        if method == "INVITE":
            self.dialog.acknowledge(answer, answering(answer))
        self.ports = ports_of(answer) or self.ports
        return answer

    def bye(self) -> Message:
        """End it."""
        return self.again(method="BYE")


@dataclass(frozen=True)
class Datagram:
    """Something that is sent to a port of the recorder's, so many seconds after the beginning."""

    at_s: float
    data: bytes
    port: int
    source: socket.socket | None = None


def _final(dialog: Dialog, method: str) -> Message:
    number = dialog.number
    return dialog.peer.wait(
        lambda message: (
            message.code >= 200
            and message.method == method
            and message.header("Call-ID") == dialog.call_id
            and message.header("CSeq").startswith(f"{number} ")
        ),
        f"an answer to {method}",
        10.0,
    )


@dataclass
class Copies:
    """A gateway: its SIP port, and the sound that it sends."""

    server_port: int
    sip_port: int = field(default_factory=free_udp_port)
    sound: Gateway = field(default_factory=Gateway)
    peer: Peer = field(init=False)

    def __post_init__(self) -> None:
        self.peer = Peer(self.sip_port, self.server_port)

    def copy(
        self,
        body: str | None = None,
        headers: str | None = None,
        *,
        user: str = "gateway",
        edit: Callable[[str], str] = str,
        answering: Callable[[Message], str] = lambda _offered: "",
    ) -> Copy:
        """Begin to copy a call, by default one of two parties, with their metadata.

        `edit` may change the INVITE as a whole before it is sent; an offer in the response to it is answered
        by `answering`.
        """
        if body is None:
            body, headers = multipart(session(), metadata())
        dialog = self.peer.call("srs", user=user)
        dialog.number = 1
        dialog.branch = f"z9hG4bK{dialog.call_id}"
        invite = dialog.compose("INVITE", body, branch=dialog.branch, extra=f"{REQUIRE}{headers or ''}")
        self.peer.send(edit(invite))
        answer = _final(dialog, "INVITE")
        dialog.acknowledge(answer, answering(answer))
        return Copy(dialog=dialog, answer=answer, ports=ports_of(answer))

    def send(self, *streams: Stream) -> None:
        """Send the streams in real time, and return when they are over."""
        self.play(
            Datagram(at_s, data, stream.port, stream.source)
            for stream in streams
            for at_s, data in stream.packets()
        )

    def play(self, datagrams: Iterable["Datagram"]) -> None:
        """Send each datagram when its time has come, and return when they are over."""
        usual = self.sound.sockets[0] if self.sound.sockets else self.sound.source()
        began_s = time.monotonic()
        for one in sorted(datagrams, key=lambda one: one.at_s):
            pause_s = began_s + one.at_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            self.sound.send(one.data, one.port, one.source or usual)

    def talk(self, copy: Copy, seconds: float = 2.0, *, seed: int = 1) -> list[bytes]:
        """Send different sound in each stream of a call, and give what was sent."""
        return self.talk_in([copy], seconds, seed=seed)[0]

    def talk_in(self, copies: Sequence[Copy], seconds: float, *, seed: int = 1) -> list[list[bytes]]:
        """Do so in several calls at once, different in each; an m-line that was refused gets nothing."""
        sounds: list[list[bytes]] = []
        streams: list[Stream] = []
        for copy in copies:
            sounds.append([])
            for port in copy.ports:
                number = seed * 100 + len(streams)
                sound = codes(number, int(seconds * SECOND_SAMPLES)).tobytes() if port else b""
                sounds[-1].append(sound)
                streams.append(Stream(port=port, sound=sound, ssrc=number))
        self.send(*(stream for stream in streams if stream.port))
        return sounds

    def talking(self, copy: Copy, seconds: float, *, seed: int = 1) -> "Talking[list[bytes]]":
        """Do the same as `talk` in a thread of its own."""
        return Talking(lambda: self.talk(copy, seconds, seed=seed))

    def talking_in(
        self, copies: Sequence[Copy], seconds: float, *, seed: int = 1
    ) -> "Talking[list[list[bytes]]]":
        """Do the same as `talk_in` in a thread of its own."""
        return Talking(lambda: self.talk_in(copies, seconds, seed=seed))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.peer.__exit__()
        self.sound.close()


class Talking(Generic[Sounds]):
    """Sound that is being sent."""

    def __init__(self, talk: Callable[[], Sounds]) -> None:
        self._sounds: list[Sounds] = []
        self._thread = threading.Thread(target=lambda: self._sounds.append(talk()))
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Whether all has been sent."""
        return not self._thread.is_alive()

    def over(self) -> Sounds:
        """Wait until it is over, and give what was sent."""
        self._thread.join()
        return self._sounds[0]


def channels_of(inner: bytes) -> tuple[bytes, bytes]:
    """Give both channels of a recording of G.711, byte for byte."""
    frames = inner[32:]
    return frames[0::2], frames[1::2]


__all__ = [
    "METADATA",
    "REQUIRE",
    "RULES",
    "Copies",
    "Copy",
    "Datagram",
    "RecordingServer",
    "channels_of",
    "metadata",
    "multipart",
    "ports_of",
    "recording_server",
    "session",
]
