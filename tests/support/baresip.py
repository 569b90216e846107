"""baresip as a person's telephone: speaks from a file, keeps what it hears in one."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.programs import needed
from support.sound import Samples, write_wav

_MODULES = Path("/usr/lib/baresip/modules")

_CONFIG = """poll_method epoll
sip_listen 127.0.0.1:{port}
net_interface lo
rtp_ports {rtp}-{rtp_end}
module_path {modules}
module g711.so
module aufile.so
module_app account.so
module_app menu.so
audio_source aufile,{says}
audio_player aufile,{hears}
audio_alert aufile,{alert}
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
    hears: Path
    log: Path

    @classmethod
    def start(
        cls, folder: Path, name: str, *, port: int, rtp: int, says: Samples, call: str = "", quit_after_s: int
    ) -> Self:
        """Run a telephone; with `call` it dials at once, else it takes what comes."""
        program = needed("baresip", "baresip-core")
        home = folder / name
        home.mkdir()
        hears = home / "hears.wav"
        says_file = write_wav(home / "says.wav", says)
        (home / "config").write_text(
            _CONFIG.format(
                port=port, rtp=rtp, rtp_end=rtp + 10, modules=_MODULES, says=says_file, hears=hears,
                alert=home / "alert.wav",
            )
        )  # fmt: skip
        (home / "accounts").write_text(
            f"<sip:{name}@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs=PCMU/8000/1\n"
        )
        (home / "contacts").write_text("")
        log = home / "log"
        command = [program, "-f", str(home), "-t", str(quit_after_s), "-v"]
        if call:
            command += ["-e", f"/dial {call}"]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        return cls(process=process, hears=hears, log=log)

    def finish(self, limit_s: float) -> None:
        """Wait until it has quit by itself, which hangs up and closes its files."""
        self.process.wait(limit_s)

    def says(self, words: str, limit_s: float) -> bool:
        """Wait until its log holds some words."""
        deadline_s = time.monotonic() + limit_s
        while time.monotonic() < deadline_s:
            if words in self.log.read_text(errors="replace"):
                return True
            time.sleep(0.05)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
