"""A request that has come in: what it says about itself, read once.

Conventions: the answer to it goes back on the flow that it came over, to the address that RFC 3261 section
18.2.2 and RFC 3581 say.
"""

from callseal.agent.sip.events import DialogId
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request
from callseal.agent.sip.transaction import Key
from callseal.agent.sip.via import reply_address, stamp

_SDP = b"application/sdp"


class Incoming:
    """A request, where it came from, and its identifiers."""

    __slots__ = ("_branch", "call_id", "flow", "from_tag", "key", "number", "reply_to", "request", "to_tag")

    def __init__(self, request: Request, flow: Flow) -> None:
        via = request.via
        self.request = request
        self.flow = flow
        self.call_id = request.call_id
        self.from_tag = request.from_tag
        self.to_tag = request.to_tag
        self.number = request.cseq.number
        self.reply_to = reply_address(request, flow)
        self._branch = (via.branch, via.sent_by)
        self.key = self.key_as(request.method)

    def key_as(self, method: str) -> Key:
        """Return what its transaction is known by if its method were that one.

        The branch and the sender should suffice (RFC 3261 section 17.2.3). A retransmission has the other
        values as well, and so have ACK and CANCEL but for their method; with them, peers whose branches are
        not unique, or that have none as in RFC 2543, are understood too.
        """
        return (*self._branch, self.call_id, self.number, self.from_tag, method)

    @property
    def dialog(self) -> DialogId:
        """The dialog that it belongs to, if there is one."""
        return DialogId(call_id=self.call_id, local_tag=self.to_tag, remote_tag=self.from_tag)

    @property
    def stamped(self) -> Request:
        """The request with a Via that says where it came from, as answers have to repeat it."""
        return stamp(self.request, self.flow.remote)


def has_offer(request: Request) -> bool:
    """Say whether a request describes a session; an INVITE that does not asks for an offer (RFC 3264)."""
    if request.content_type.lower().startswith("multipart/"):
        return _SDP in (request.body + request.rest).lower()
    return bool(request.body) and request.content_type.lower().startswith(_SDP.decode())


def size_bytes(request: Request) -> int:
    """Return how much text a request is, about."""
    raw = len(request.head) + len(request.body) + len(request.rest)
    return raw + sum(len(name) + len(value) for name, value in request.headers.fields)
