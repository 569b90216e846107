"""Whether the keys of recordings are right, also after the start: files change under a running agent."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from callseal.seal.age import Recipient
from callseal.seal.device import DeviceSigner
from callseal.seal.errors import SealError
from callseal.seal.keyfile import read_recipients

LOOK_EVERY_S: Final = 30.0
KEYS_WRONG: Final = "keys-wrong"


class KeyWatch:
    """Looks at the recipients' file and the device's certificate now and then."""

    def __init__(
        self,
        recipients_file: Path,
        recipients: tuple[Recipient, ...],
        signer: DeviceSigner,
        *,
        alarm: Callable[[str, str], None],
        clear: Callable[[str], None],
    ) -> None:
        """Take what the agent uses: the file's content at its start."""
        self._file = recipients_file
        self._used = recipients
        self._signer = signer
        self._alarm = alarm
        self._clear = clear
        self._look_s = 0.0
        self._why_not = ""

    def why_not(self, now: datetime, now_s: float) -> tuple[str, ...]:
        """Give the code of what is wrong, if anything is; an alarm says it in words."""
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_EVERY_S
            why_not = self._look(now)
            if why_not:
                self._alarm(KEYS_WRONG, why_not)
            elif self._why_not:
                self._clear(KEYS_WRONG)
            self._why_not = why_not
        return (KEYS_WRONG,) if self._why_not else ()

    def _look(self, now: datetime) -> str:
        try:
            recipients = read_recipients(self._file)
        except (SealError, OSError) as problem:
            return f"nobody could be named who may read new recordings: {problem}"
        if recipients != self._used:
            return f"{self._file} has changed: restart the agent, it still seals to the former keys"
        ends = [x509.load_der_x509_certificate(der).not_valid_after_utc for der in self._signer.chain]
        if ends and now >= min(ends):
            return "the device's certificate, or one above it, has expired: renew it"
        return ""
