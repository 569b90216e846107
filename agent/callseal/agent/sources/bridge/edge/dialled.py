"""What the telephone dialled, letter by letter, for the leg that goes out in its stead.

The child has read the request URI and written it again, while the telephone's digest covers its text. And the
Route that a telephone was given with its registration (Service-Route, RFC 3608) is of use to nobody but the
telephone system.
"""

from dataclasses import replace
from urllib.parse import unquote

from callseal.agent.sip.message import Request
from callseal.agent.sip.uri import parse_uri
from callseal.agent.sources.bridge.edge.carry import Calls
from callseal.agent.sources.bridge.edge.faces import PHONE


class Dialled:
    """Request URIs and Routes of the telephone's calls."""

    def __init__(self, calls: Calls) -> None:
        """Begin with none; `calls` says which there are."""
        self._calls = calls
        self._routes: dict[str, tuple[str, ...]] = {}

    def keep(self, token: str, invite: Request) -> None:
        """Remember the Routes of a call's INVITE."""
        left = invite.headers.all("route")
        if left:
            self._routes[token] = left

    def restored(self, invite: Request, token: str) -> Request:
        """Return the second leg's INVITE to the telephone system as the telephone would have sent it.

        One that goes to somebody else, as a transfer's, stays as it is.
        """
        facts = self._calls.facts(token)
        if facts is None or facts.side != PHONE:
            return invite
        written, meant = parse_uri(invite.uri), parse_uri(facts.request_uri)
        # The library undoes the escapes that need not be.
        users = unquote(written.user), unquote(meant.user)
        if users[0] != users[1] or (written.host, written.port) != (meant.host, meant.port):
            return invite
        routes = tuple(("route", route) for route in self._routes.get(token, ()))
        headers = replace(invite.headers, fields=(*routes, *invite.headers.fields))
        return replace(invite, uri=facts.request_uri, headers=headers)

    def tidy(self) -> None:
        """Forget the calls that are over."""
        for token in [token for token in self._routes if self._calls.facts(token) is None]:
            del self._routes[token]
