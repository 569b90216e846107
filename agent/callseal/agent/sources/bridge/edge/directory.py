"""Who is where around the edge, and what each side is told of the others: hops, request URIs, Contacts.

Towards the telephone system every Contact is one of ours, with the user that the telephone or the child has
here. The telephone and the child see each other's Contacts as they are.

A Contact that can't be read stays as it came: nobody can be reached by it.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxying import Hop
from callseal.agent.sip.uri import Uri, parse_uri
from callseal.agent.sources.bridge.edge import contacts, descriptions
from callseal.agent.sources.bridge.edge.bindings import Bindings
from callseal.agent.sources.bridge.edge.faces import LINE, PBX, PHONE, Faces, Reach, written
from callseal.agent.sources.bridge.edge.facts import Party, Side

LINE_USER: Final = "callseal-line"
"""User of the child's Contact, as the telephone system sees it."""
ACCOUNTS: Final[dict[Party, str]] = {PHONE: "callseal-phone", PBX: "callseal-pbx"}
"""Users by which the child tells from where an INVITE comes."""


class Directory:
    """The telephones, the telephone system and the child."""

    def __init__(self, faces: Faces, *, phone: str) -> None:
        """`phone` is the SIP URI of a telephone that does not register, "" for none."""
        self.faces = faces
        self.bindings = Bindings()
        self._phone = phone

    # Where somebody is

    def phone_of(self, user: str, now_s: float, *, is_new: bool = False) -> tuple[str, Reach] | None:
        """Return request URI and place of the telephone that is meant by a user of the telephone system's.

        `is_new` says that it is meant by something that begins.
        """
        place = self.bindings.find(user, now_s, is_new=is_new) if user else None
        if place is not None:
            return contacts.as_request_uri(place.uri), place.reach
        configured = self._configured
        return None if configured is None else (self._phone, configured)

    def is_telephone(self, flow: Flow, now_s: float) -> bool:
        """Say whether a flow comes from a telephone that is registered or configured."""
        configured = self._configured
        if configured is not None and configured.address == flow.remote:
            return True
        return self.bindings.is_registered_at(flow, now_s)

    def reach(self, uri: Uri) -> Reach | None:
        """Return the place of the telephone of which this is the own Contact, or that is configured."""
        place = self.bindings.find_uri(uri)
        if place is not None:
            return place.reach
        configured = self._configured
        return configured if configured and configured.address == self.faces.address_of(uri) else None

    def hops(self, requests: Iterable[tuple[Request, Party]]) -> list[tuple[Request, Hop]]:
        """Return requests with the way to who they are for; those for nobody who is known are left out."""
        found = []
        for request, side in requests:
            uri = contacts.readable(request.uri)
            reach = None if uri is None else self.reach(uri)
            if side == PBX:
                found.append((request, self.faces.to_pbx()))
            elif reach is not None:
                found.append((request, self.faces.to_phone(reach)))
        return found

    # What somebody is called

    def line_contact(self, side: Party) -> str:
        """Return the child's Contact, as a side sees it."""
        return self.faces.own_uri(PBX, user=LINE_USER) if side == PBX else self._child_uri(LINE_USER)

    def line_account(self, side: Party) -> str:
        """Return the request URI by which the child knows from where a call comes."""
        return self._child_uri(ACCOUNTS[side])

    def learn(self, value: str, here: Flow | Reach, *, owner: str, now_s: float) -> None:
        """Remember where the telephone is, for what the child will send it."""
        try:
            self.bindings.learn(value, self.faces, here, owner=owner, now_s=now_s)
        except SipSyntaxError:
            return

    def for_pbx(self, request: Request, here: Flow, side: Side, now_s: float) -> Request:
        """Return a request as the telephone system is to see it."""
        owner = request.headers.get("from") or ""
        headers = contacts.mapped(
            request.headers, "contact", lambda value: self._outward(value, side, here, owner, now_s)
        )
        request = request.with_headers(headers)
        if side == PHONE:
            request = descriptions.request_at(request, self.faces.pbx[0])
        return self.at_pbx(request)

    def at_pbx(self, request: Request) -> Request:
        """Put the telephone system's name into a request URI that names the edge itself."""
        uri = parse_uri(request.uri)
        if self.faces.face_of(uri) is None:
            return request
        return replace(request, uri=contacts.at_host(request.uri, self.faces.pbx_host))

    def answer_for(
        self, response: Response, *, origin: Side, goal: Side, reach: Reach | None, owner: str, now_s: float
    ) -> Response:
        """Return an answer of the telephone or the child as who asked is to see it.

        `reach` is where the telephone was found that answers.
        """

        def exchanged(value: str) -> str:
            if goal == LINE and origin == PBX:
                return self._outward(value, LINE, None, owner, now_s)
            if goal == PHONE and reach is not None:
                if origin == PBX:
                    return self._outward(value, PHONE, reach, owner, now_s)
                self.learn(value, reach, owner=owner, now_s=now_s)
            return value

        if goal == PHONE and origin == PBX:
            response = descriptions.response_at(response, self.faces.pbx[0])
        return replace(response, headers=contacts.mapped(response.headers, "contact", exchanged))

    def _outward(self, value: str, side: Side, here: Flow | Reach | None, owner: str, now_s: float) -> str:
        if value == contacts.EVERYTHING:
            return value
        try:
            if side == LINE:
                return contacts.with_uri(value, self.line_contact(PBX))
            if side == PHONE and here is not None:
                return self.bindings.outward(value, self.faces, here, owner=owner, now_s=now_s)
        except SipSyntaxError:
            return value
        return value

    @property
    def _configured(self) -> Reach | None:
        uri = contacts.readable(self._phone) if self._phone else None
        return None if uri is None else self.faces.reach(uri)

    def _child_uri(self, user: str) -> str:
        child = self.faces.child
        return f"sip:{user}@{'' if child is None else written(child)}"
