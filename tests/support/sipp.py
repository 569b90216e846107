"""sipp as a telephone or a telephone system: scenarios put together from what the test needs.

A scenario is written for each test, so that only the steps that matter to it stand in the test.
"""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from support.programs import needed

_SDP = """v=0
o=peer 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP {payload}
a=rtpmap:{payload} {codec}/8000
a=ptime:20
a=sendrecv"""

_CALLER = """Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: "Caller" <sip:{user}@[local_ip]:[local_port]>;tag=[pid]a[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
CSeq: {number} {method}
Contact: <sip:{user}@[local_ip]:[local_port]>
Max-Forwards: 70"""

_CALLEE = """[last_Via:]
[last_From:]
[last_To:]{tag}
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:callee@[local_ip]:[local_port]>"""

Codec = Literal["PCMU", "PCMA"]
_PAYLOAD: dict[Codec, int] = {"PCMU": 0, "PCMA": 8}


def _describe(codec: Codec, rtp_port: int | None) -> str:
    port = "[rtpstream_audio_port]" if rtp_port is None else str(rtp_port)
    return _SDP.format(port=port, payload=_PAYLOAD[codec], codec=codec)


def _send(text: str, body: str = "", *, retransmit: bool = False) -> str:
    kind = "Content-Type: application/sdp\n" if body else ""
    attribute = ' retrans="500"' if retransmit else ""
    return f"<send{attribute}><![CDATA[\n{text}\n{kind}Content-Length: [len]\n\n{body}\n]]></send>"


def play(path: Path, codec: Codec = "PCMU") -> str:
    """Stream a G.711 file, once."""
    return f'<nop><action><exec rtp_stream="{path},1,{_PAYLOAD[codec]},{codec}/8000"/></action></nop>'


def pause(seconds: float) -> str:
    """Let time pass."""
    return f'<pause milliseconds="{round(seconds * 1000)}"/>'


def receive(code: int, *, optional: bool = False) -> str:
    """Expect a response."""
    mark = ' optional="true"' if optional else ""
    return f'<recv response="{code}"{mark}/>'


@dataclass(frozen=True)
class Caller:
    """The steps of a call that sipp places."""

    user: str = "6001"
    codec: Codec = "PCMU"
    rtp_port: int | None = None
    """Where the sound goes instead of sipp itself."""

    def _request(self, method: str, number: int, body: str = "") -> str:
        head = f"{method} sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n" + _CALLER.format(
            user=self.user, number=number, method=method
        )
        return _send(head, body, retransmit=method in ("INVITE", "BYE"))

    def invite(self) -> str:
        """Call."""
        return self._request("INVITE", 1, _describe(self.codec, self.rtp_port))

    def acknowledge(self) -> str:
        """Acknowledge an answer, or a refusal."""
        return self._request("ACK", 1)

    def answered(self) -> str:
        """Wait for the answer and acknowledge it."""
        early = "".join(receive(code, optional=True) for code in (100, 180, 183))
        return early + receive(200) + self.acknowledge()

    def hang_up(self) -> str:
        """End the call."""
        return self._request("BYE", 2) + receive(200)

    def cancel(self, *, steps_since_invite: int) -> str:
        """Give up while it rings: the CANCEL has the INVITE's branch (RFC 3261 section 9.1)."""
        head = "CANCEL sip:[service]@[remote_ip]:[remote_port] SIP/2.0\n" + _CALLER.format(
            user=self.user, number=1, method="CANCEL"
        ).replace("[branch]", f"[branch-{steps_since_invite}]").replace("[peer_tag_param]", "")
        return _send(head)

    def refused(self, code: int) -> str:
        """Expect a final refusal and acknowledge it."""
        early = "".join(receive(code, optional=True) for code in (100, 180, 183))
        return early + receive(code) + self.acknowledge()

    def hung_up_on(self) -> str:
        """Wait until the other side ends the call."""
        return '<recv request="BYE" timeout="30000"/>' + _send("SIP/2.0 200 OK\n" + _CALLEE.format(tag=""))


@dataclass(frozen=True)
class Callee:
    """The steps of a call that sipp takes."""

    codec: Codec = "PCMU"
    rtp_port: int | None = None

    @property
    def _sdp(self) -> str:
        return _describe(self.codec, self.rtp_port)

    def invited(self) -> str:
        """Wait for a call."""
        return '<recv request="INVITE" rrs="true"/>'

    def respond(self, code: int, reason: str, *, media: bool = False) -> str:
        """Answer with a code."""
        text = f"SIP/2.0 {code} {reason}\n" + _CALLEE.format(tag=";tag=[pid]b[call_number]")
        return _send(text, self._sdp if media else "", retransmit=code >= 200)

    def answers(self) -> list[str]:
        """Take the call, with media."""
        return [self.respond(200, "OK", media=True), self.acknowledged()]

    def acknowledged(self) -> str:
        """Wait for the ACK."""
        return '<recv request="ACK"/>'

    def hung_up_on(self) -> str:
        """Wait until the other side ends the call."""
        return '<recv request="BYE" timeout="30000"/>' + _send("SIP/2.0 200 OK\n" + _CALLEE.format(tag=""))

    def cancelled(self) -> str:
        """Wait for a CANCEL, answer it and the INVITE."""
        return (
            '<recv request="CANCEL"/>'
            + _send("SIP/2.0 200 OK\n" + _CALLEE.format(tag=";tag=[pid]b[call_number]"))
            + _send(
                "SIP/2.0 487 Request Terminated\n"
                + _CALLEE.format(tag=";tag=[pid]b[call_number]").replace(
                    "[last_CSeq:]", "CSeq: [last_cseq_number] INVITE"
                )
            )
            + '<recv request="ACK"/>'
        )

    def hang_up(self) -> str:
        """End the call from the called side."""
        head = (
            "BYE sip:caller@[remote_ip]:[remote_port] SIP/2.0\n"
            "Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]\n"
            "From: <sip:callee@[local_ip]:[local_port]>;tag=[pid]b[call_number]\n"
            "To: [$1]\nCall-ID: [call_id]\nCSeq: 1 BYE\nMax-Forwards: 70"
        )
        return _send(head, retransmit=True) + receive(200)

    def invited_remembering(self) -> str:
        """Wait for a call, and keep the caller's From for a BYE of our own."""
        return (
            '<recv request="INVITE" rrs="true"><action><ereg regexp=".*" search_in="hdr" '
            'header="From:" assign_to="1"/></action></recv>'
        )


@dataclass
class Sipp:
    """A running sipp."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    name: str
    closed: bool = field(default=False)

    @classmethod
    def start(
        cls,
        folder: Path,
        name: str,
        steps: list[str],
        *,
        port: int,
        media_port: int,
        remote: str,
        service: str = "service",
        calls: int = 1,
        at_once: int = 1,
    ) -> Self:
        """Run a scenario; `remote` is host:port."""
        program = needed("sipp", "sip-tester")
        scenario = folder / f"{name}.xml"
        body = "\n".join(steps)
        scenario.write_text(
            f'<?xml version="1.0" encoding="ISO-8859-1"?>\n<scenario name="{name}">\n{body}\n</scenario>\n'
        )
        command = [
            program, remote, "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1",
            "-mp", str(media_port), "-s", service, "-m", str(calls), "-l", str(at_once), "-r", "1",
            "-nostdin", "-trace_err", "-error_file", str(folder / f"{name}.err"),
            "-trace_msg", "-message_file", str(folder / f"{name}.msg"),
            "-timeout", f"{60 + 15 * calls}s", "-timeout_error",
        ]  # fmt: skip
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return cls(process=process, folder=folder, name=name)

    def finish(self, limit_s: float = 60.0) -> None:
        """Wait for the scenario's end, which must be a success."""
        code = self.process.wait(limit_s)
        if code != 0:
            errors = self.folder / f"{self.name}.err"
            messages = self.folder / f"{self.name}.msg"
            told = errors.read_text(errors="replace") if errors.exists() else ""
            seen = messages.read_text(errors="replace") if messages.exists() else ""
            raise AssertionError(f"sipp {self.name} ended with {code}\n{told[-3000:]}\n{seen[-6000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
