"""baresip as a person's telephone: speaks from a file. Debian 12's has no player into a file."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from support.programs import needed
from support.sound import RATE_HZ, Samples, write_wav

_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface 127.0.0.1
rtp_ports {rtp}-{rtp_end}
module_path {modules}
module g711.so
module srtp.so
module aufile.so
module_app account.so
module_app menu.so
audio_source aufile,{says}
ausrc_srate 8000
auplay_srate 8000
audio_level no
ring_aufile none
ringback_aufile none
"""


@dataclass
class Baresip:
    """A running baresip."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @classmethod
    def start(
        cls,
        folder: Path,
        name: str,
        *,
        port: int,
        rtp: int,
        says: Samples,
        call: str = "",
        quit_after_s: int,
        encrypted: bool = False,
    ) -> Self:
        """Run a telephone; with `call` it dials at once, else it takes what comes."""
        program = needed("baresip", "baresip-core")
        home = folder / name
        home.mkdir()
        # It hangs up at its file's end.
        tail = np.zeros(quit_after_s * RATE_HZ, np.int16)
        says_file = write_wav(home / "says.wav", np.concatenate([says, tail]))
        (home / "config").write_text(
            _CONFIG.format(port=port, rtp=rtp, rtp_end=rtp + 10, modules=_MODULES, says=says_file)
        )
        (home / "accounts").write_text(
            f"<sip:{name}@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1"
            + (";mediaenc=srtp-mand\n" if encrypted else "\n")
        )
        (home / "contacts").write_text("")
        log = home / "log"
        command = [program, "-f", str(home), "-t", str(quit_after_s), "-v"]
        if call:
            command += ["-e", f"/dial {call}"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        return cls(process=process, log=log)

    def finish(self, limit_s: float) -> None:
        """Wait until it has quit by itself, which hangs up and closes its files."""
        self.process.wait(limit_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
