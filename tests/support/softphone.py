"""baresip as the softphone of a desk: registers through an outbound proxy, and does what a person would.

It is told what to do over its `ctrl_tcp` module: JSON objects as netstrings, a command with an answer, and
events in between. What it hears and says is written to WAV files by its `sndfile` module.
"""

import contextlib
import json
import queue
import re
import socket
import subprocess
import threading
import time
import wave
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from support.programs import free_udp_port, needed
from support.sound import RATE_HZ, Samples, write_wav

_MODULES = Path("/usr/lib/baresip/modules")
_PATIENCE_S = 10.0
Codec = Literal["PCMU/8000/1", "PCMA/8000/1", "G722/16000/1"]
Transport = Literal["udp", "tcp"]
Srtp = Literal["off", "optional", "required"]
Event = dict[str, Any]
_ENCRYPTION: dict[Srtp, str] = {"off": "", "optional": ";mediaenc=srtp", "required": ";mediaenc=srtp-mand"}
"""Optional: keys in RTP/AVP. Required: RTP/SAVP or no call (RFC 4568)."""

_CONFIG = """poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
rtp_ports {rtp}-{rtp_end}
module_path {modules}
module g711.so
module g722.so
module srtp.so
module aufile.so
module sndfile.so
snd_path {home}
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
audio_source aufile,{says}
ausrc_srate 8000
audio_level no
statmode_default off
ring_aufile none
ringback_aufile none
call_max_calls 4
call_hold_other_calls yes
"""


@dataclass
class Softphone:
    """A running softphone."""

    process: "subprocess.Popen[bytes]"
    home: Path
    user: str
    port: int
    _control: socket.socket
    _answers: "queue.Queue[Event]" = field(default_factory=queue.Queue)
    events: list[Event] = field(default_factory=list)
    """What happened so far, the oldest first."""

    @classmethod
    def start(
        cls,
        folder: Path,
        user: str,
        *,
        registrar: str,
        password: str = "",
        outbound: int | None = None,
        transport: Transport = "udp",
        says: Samples,
        answers: bool = True,
        srtp: Srtp = "off",
        codecs: Sequence[Codec] = ("PCMU/8000/1",),
        parameters: str = "",
    ) -> Self:
        """Run a softphone of `user` at `registrar` (host:port).

        With a password it registers, through the proxy at the port `outbound` if that is given; `says` is
        said from each answer on, then silence. Without `answers` calls ring until `accept`.
        """
        program = needed("baresip", "baresip-core")
        home = folder / user
        home.mkdir(parents=True)
        port, control = free_udp_port(4), free_udp_port(2)
        rtp = free_udp_port(20)
        tail = np.zeros(60 * RATE_HZ, np.int16)  # at its file's end it hangs up
        says_file = write_wav(home / "says.wav", np.concatenate([says, tail]))
        (home / "config").write_text(
            _CONFIG.format(
                port=port,
                rtp=rtp,
                rtp_end=rtp + 20,
                modules=_MODULES,
                home=home,
                control=control,
                says=says_file,
            )
        )
        proxy = f';outbound="sip:127.0.0.1:{outbound};transport={transport}"' if outbound else ""
        (home / "accounts").write_text(
            f"<sip:{user}@{registrar};transport={transport}>"
            + (f";auth_user={user};auth_pass={password};regint=60" if password else ";regint=0")
            + f"{proxy};answermode={'auto' if answers else 'manual'};audio_codecs={','.join(codecs)}"
            + _ENCRYPTION[srtp]
            + f"{parameters}\n"
        )
        (home / "contacts").write_text("")
        with (home / "log").open("wb") as output:
            process = subprocess.Popen(
                [program, "-f", str(home), "-v"],
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        phone = cls(process=process, home=home, user=user, port=port, _control=_connect(process, control))
        threading.Thread(target=phone._read, daemon=True).start()
        return phone

    @property
    def heard(self) -> Samples:
        """All that it heard in its last call, at 8 kHz; complete when the call has ended."""
        return self._dumped("dec")

    @property
    def said(self) -> Samples:
        """All that it sent in its last call."""
        return self._dumped("enc")

    @property
    def codec(self) -> str:
        """RTP encoding name of what it sends in its last call."""
        found = re.findall(r"audio tx pipeline:.*---> (\w+)", (self.home / "log").read_text(errors="replace"))
        return str(found[-1]) if found else ""

    @property
    def is_encrypted(self) -> bool:
        """Whether the sound of its last call was."""
        return "SRTP is Enabled" in (self.home / "log").read_text(errors="replace")

    def command(self, name: str, words: str = "") -> str:
        """Give a command and return what it says to it."""
        text = json.dumps({"command": name, "params": words, "token": "t"}).encode()
        self._control.sendall(b"%d:%s," % (len(text), text))
        try:
            answer = self._answers.get(timeout=_PATIENCE_S)
        except queue.Empty:
            raise AssertionError(f"{self.user} gives no answer to {name}\n{self.log}") from None
        if not answer["ok"]:
            raise AssertionError(f"{self.user} will not {name} {words}: {answer['data']}\n{self.log}")
        return str(answer["data"])

    def wait_registered(self) -> None:
        """Wait until the registrar has said yes (the event of it may come before anybody listens)."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while "OK" not in (told := self.command("reginfo")):
            if time.monotonic() > deadline_s:
                raise AssertionError(f"{self.user} is not registered: {told}\n{self.log}")
            time.sleep(0.05)

    def wait(self, kind: str, limit_s: float = _PATIENCE_S, *, after: int = 0) -> Event:
        """Give the first event of a kind behind the first `after` events, waiting for it."""
        deadline_s = time.monotonic() + limit_s
        while True:
            found = [event for event in self.events[after:] if event["type"] == kind]
            if found:
                return found[0]
            if time.monotonic() > deadline_s:
                kinds = [event["type"] for event in self.events]
                raise AssertionError(f"{self.user}: no {kind} within {limit_s} s but {kinds}\n{self.log}")
            time.sleep(0.01)

    @property
    def log(self) -> str:
        """The end of what it wrote."""
        return (self.home / "log").read_text(errors="replace")[-3000:]

    def _dumped(self, kind: str) -> Samples:
        files = sorted(self.home.glob(f"dump-*-{kind}.wav"))
        if not files:
            raise AssertionError(f"{self.user} has written no sound\n{self.log}")
        with wave.open(str(files[-1])) as wav:
            rate_hz = wav.getframerate()
            samples = np.frombuffer(wav.readframes(wav.getnframes()), "<i2").astype(np.int16)
        return samples[:: rate_hz // RATE_HZ]

    def _read(self) -> None:
        """Sort what it says into answers and events, until it ends."""
        buffer = b""
        with contextlib.suppress(OSError):
            while data := self._control.recv(1 << 16):
                buffer += data
                while (parts := buffer.partition(b":"))[1] and len(parts[2]) > int(parts[0]):
                    size = int(parts[0])
                    said: Event = json.loads(parts[2][:size])
                    buffer = parts[2][size + 1 :]
                    if said.get("event"):
                        self.events.append(said)
                    else:
                        self._answers.put(said)

    def stop(self) -> None:
        """End it; a running call is hung up."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5.0)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._control.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()


def _connect(process: "subprocess.Popen[bytes]", port: int) -> socket.socket:
    deadline_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise AssertionError("baresip did not start") from None
            time.sleep(0.02)
