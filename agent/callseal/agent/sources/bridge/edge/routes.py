"""Record-Route and Route: requests within a dialog come back through the edge, and know where they go then.

On whatever may begin a dialog the edge writes two Record-Routes (RFC 5658), one for each face that it
crosses; the parameter `cs` in the URI of a face says which side lies behind for what comes in at that face.
Nothing has to be remembered for that, so that it outlives the edge.

Source: RFC 3261 sections 16.4, 16.6 (step 4) and 16.12.
"""

from dataclasses import replace
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.uri import Uri, parse_name_addr
from callseal.agent.sources.bridge.edge import contacts
from callseal.agent.sources.bridge.edge.faces import LINE, PBX, PHONE, Faces
from callseal.agent.sources.bridge.edge.facts import Side

BEHIND: Final = "cs"
"""Names the side behind a face; a Route of ours without it is one that a telephone was configured with."""

_SIDES: Final[dict[str, Side]] = {"phone": PHONE, "pbx": PBX, "line": LINE}


def record(
    request: Request,
    faces: Faces,
    *,
    incoming: Side,
    outgoing: Side,
    phone_transport: Transport | None = None,
) -> Request:
    """Return a request with our two Record-Routes: that of the outgoing face above that of the incoming one.

    A telephone that speaks TCP with us is to go on so: `phone_transport`.
    """
    crossed = ((outgoing, incoming), (incoming, outgoing))
    recorded = tuple(
        (
            "record-route",
            f"<{faces.own_uri(face, params=f';lr;{BEHIND}={behind}', transport=phone_transport)}>",
        )
        for face, behind in crossed
    )
    return request.with_headers(Headers(fields=(*recorded, *request.headers.fields)))


def taken_off(request: Request, faces: Faces, side: Side) -> tuple[Request, Side | None]:
    """Take off all Routes of ours that stand on top; return the side that they name, None where none does.

    `side` is where the request came from: a Route can't lead back there.
    """
    request = _straightened(request, faces)
    routes = request.headers.all("route")
    behind: Side | None = None
    count = 0
    for route in routes:
        uri = _uri_of(route)
        if uri is None or faces.face_of(uri) is None:
            break
        count += 1
        named = _SIDES.get((uri.param(BEHIND) or "").lower())
        if behind is None and named != side:
            behind = named
    if not count:
        return request, None
    left = iter(routes[count:])
    kept = tuple(field for field in request.headers.fields if field[0] != "route")
    routed = tuple(("route", route) for route in left)
    return request.with_headers(Headers(fields=(*routed, *kept))), behind


def restored(response: Response, forwarded: Request) -> Response:
    """Return a response with the Record-Routes that its sender should have repeated and has not.

    RFC 3261 section 12.1.1 asks for it. Who asked would else send what follows past the edge.
    """
    recorded = forwarded.headers.all("record-route")
    if not recorded or response.headers.get("record-route") is not None:
        return response
    fields = (*(("record-route", route) for route in recorded), *response.headers.fields)
    return replace(response, headers=Headers(fields=fields), head=b"")


def is_recorded(route: str, faces: Faces) -> bool:
    """Say whether a Route or Record-Route is one that the edge has written."""
    uri = _uri_of(route)
    return uri is not None and _is_written(uri, faces)


def _straightened(request: Request, faces: Faces) -> Request:
    """Undo what a strict router does (RFC 3261 section 16.4): the last Route is where the request goes."""
    uri = contacts.readable(request.uri)
    routes = request.headers.all("route")
    if uri is None or not routes or not _is_written(uri, faces):
        return request
    try:
        contacts.uri_in(routes[-1])
    except SipSyntaxError:
        return request
    target = contacts.uri_text(routes[-1])
    others = iter(routes[:-1])
    headers = contacts.mapped(request.headers, "route", lambda _: next(others, None))
    first = (("route", f"<{request.uri}>"), *headers.fields)
    return replace(request, uri=target, headers=Headers(fields=first))


def _uri_of(route: str) -> Uri | None:
    try:
        return parse_name_addr(route).address
    except SipSyntaxError:
        return None


def _is_written(uri: Uri, faces: Faces) -> bool:
    return uri.param(BEHIND) is not None and faces.face_of(uri) is not None
