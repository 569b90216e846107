"""What an endpoint can do, and how it says so: Allow, Supported, Accept.

Conventions: method names in capitals, the rest in lower case.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an endpoint can do."""

    methods: tuple[str, ...]
    """For Allow; requests with other methods are answered 405."""
    extensions: tuple[str, ...]
    """Option tags for Supported."""
    tolerated: tuple[str, ...] = ()
    """Option tags that a request may require although nothing is done about them."""
    content_types: tuple[str, ...] = ()
    """For Accept."""

    def not_understood(self, required: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of the option tags that a request requires are unknown (RFC 3261 section 8.2.2.3)."""
        known = self.extensions + self.tolerated
        return tuple(tag for tag in required if tag.lower() not in known)

    @property
    def allow(self) -> tuple[tuple[str, str], ...]:
        """The Allow header."""
        return (("allow", ", ".join(self.methods)),)

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """The headers of a 2xx answer that tell what may be asked within the dialog."""
        return (*self.allow, ("supported", ", ".join(self.extensions)))

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        """The headers of an answer to OPTIONS (RFC 3261 section 11.2)."""
        return (*self.offered, ("accept", ", ".join(self.content_types)))


RECORDER: Final = Capabilities(
    methods=("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "PRACK"),
    extensions=("siprec", "timer", "100rel"),
    # A recorder answers at once, so 100rel costs nothing; record-aware speaks to parties, not to recorders.
    tolerated=("record-aware",),
    content_types=(
        "application/sdp",
        "application/rs-metadata",
        "application/rs-metadata+xml",
        "multipart/mixed",
    ),
)
"""A Session Recording Server (RFC 7866 section 6.2; content types of RFC 7866 section 9 and RFC 9806)."""
