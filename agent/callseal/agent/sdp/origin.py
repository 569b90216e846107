"""Who we are in the `o=` of what we write, and when its version is raised.

Source: RFC 8866 section 5.2; RFC 3264 section 8.
"""

from dataclasses import dataclass, replace
from typing import Final

from callseal.agent.sdp.session import Media, Session

USERNAME: Final = "callseal"
FIRST_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnSession:
    """Our half of one dialog's description: kept by the caller, `after` each one that was sent."""

    session_id: int
    """Stays the same for the dialog's life."""
    last: Session | None = None
    """What was said before; None for the first time."""

    def after(self, session: Session) -> "OwnSession":
        """Give what to keep once a description was sent."""
        return replace(self, last=session)

    def describe(self, *, address: str, media: tuple[Media, ...]) -> Session:
        """Give a description whose version is raised where, and only where, it says something new."""
        last = self.last
        session = Session(
            username=USERNAME,
            session_id=str(self.session_id),
            session_version=last.session_version if last else FIRST_VERSION,
            address=address,
            media=media,
        )
        if last is None or session == last:
            return session
        return replace(session, session_version=session.session_version + 1)
