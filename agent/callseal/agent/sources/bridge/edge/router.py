"""Where each message goes that crosses the edge. Pure.

Sides and destinations are those of `faces`: telephone, telephone system, and the child. What begins something
is sent by who it came from: the telephone's to the telephone system, the telephone system's to the telephone
that its request URI stands for; a call's INVITE where the gate says. What goes on within a dialog follows our
own Record-Route. Route headers and request URIs of others never name a destination.

Headers that begin with ``X-Callseal-`` are between the edge and its child alone: from others, and to others,
they are taken off. Proxy-Require is passed on like all else: it is the telephone system that has to know such
an extension, as it would without the edge.

Conventions: seconds of a clock that never goes back. Requests have been parsed: what `parse_message` checks
is sound in them, all else may be missing or odd. `received` is a request as it came, `request` the same one
as far as it is made ready to go out.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.limits import TIMER_C_S
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxying import Drop, Forward, Hop, Reply
from callseal.agent.sip.uri import parse_uri
from callseal.agent.sources.bridge.edge import answers, contacts, essentials, routes
from callseal.agent.sources.bridge.edge.answers import unless_ack
from callseal.agent.sources.bridge.edge.bindings import Bindings, Registration
from callseal.agent.sources.bridge.edge.carry import CALL, CREDENTIALS, Calls, without_marks
from callseal.agent.sources.bridge.edge.crossings import Arrival, Crossing, Crossings
from callseal.agent.sources.bridge.edge.dialled import Dialled
from callseal.agent.sources.bridge.edge.dialogs import Dialogs
from callseal.agent.sources.bridge.edge.directory import LINE_USER, Directory
from callseal.agent.sources.bridge.edge.faces import LINE, PBX, PHONE, Faces, Reach
from callseal.agent.sources.bridge.edge.facts import Facts, Party, Side
from callseal.agent.sources.bridge.edge.gate import Gate
from callseal.agent.sources.bridge.edge.pace import Pace
from callseal.agent.sources.bridge.edge.passed import PassedCalls
from callseal.agent.sources.bridge.edge.refer import read_refer, refuse_replacing

TIDY_S: Final = 5.0
"""How often calls are looked through for those that are over."""

_RECORDED: Final = ("INVITE", "SUBSCRIBE", "REFER", "NOTIFY")
"""What may begin a dialog; a subscription's route is that of its NOTIFY (RFC 6665 section 4.4.1)."""
_OFFERS: Final = ("INVITE", "UPDATE")
_ASSERTED: Final = "p-asserted-identity"
_DIALOG_STATUSES: Final = range(101, 300)
_SUCCESS: Final = range(200, 300)
_REFUSED: Final = 300
_SILENT: Final = (408, 503)


class Waiting(Protocol):
    """Who keeps the INVITEs that the gate will be asked about again."""

    def keep(self, request: Request, flow: Flow, now_s: float) -> bool:
        """Keep one, as it came; False where there is no room for it."""

    def is_cancelled(self, request: Request) -> bool:
        """Say whether one that comes again was cancelled meanwhile."""


class EdgeRouter:
    """Decides where messages go: the `Router` of the edge's proxy."""

    def __init__(
        self,
        *,
        gate: Gate,
        waiting: Waiting,
        random: Callable[[int], bytes],
        faces: Faces | None = None,
        phone: str = "",
        timer_c_s: float = TIMER_C_S,
    ) -> None:
        """Begin without telephones and calls.

        `phone` is the SIP URI of a telephone that does not register; `timer_c_s` is how long calls may ring.
        """
        self._directory = Directory(faces or Faces(), phone=phone)
        self.calls = Calls(random=random)
        self._dialled = Dialled(self.calls)
        self.dialogs = Dialogs(is_ours=self._has_recorded)
        self.passed = PassedCalls(gate)
        self._gate = gate
        self._waiting = waiting
        self._random = random
        self._timer_c_s = timer_c_s
        self._crossings = Crossings()
        self._pace = Pace()
        self._requests: list[tuple[Request, Hop]] = []
        self._is_pbx_silent = False
        self._tidy_s = 0.0

    # What the shell says and asks

    @property
    def faces(self) -> Faces:
        """Where the edge is, and who is around it: replaced as a whole whenever something changes."""
        return self._directory.faces

    @faces.setter
    def faces(self, faces: Faces) -> None:
        self._directory.faces = faces

    @property
    def bindings(self) -> Bindings:
        """Where the telephones are."""
        return self._directory.bindings

    def registrations(self, now_s: float) -> tuple[Registration, ...]:
        """Return what telephones are registered for now."""
        return self.bindings.registrations(now_s)

    def probe(self) -> tuple[Request, Hop]:
        """Return an OPTIONS for the telephone system, to be sent as our own."""
        return answers.probe(self.faces, self._random), self.faces.to_pbx()

    def take_is_pbx_silent(self) -> bool:
        """Say whether such a question has found no answer, since the last time."""
        is_silent, self._is_pbx_silent = self._is_pbx_silent, False
        return is_silent

    def take_endings(self) -> list[tuple[Request, Hop]]:
        """Return what ends the dialogs of a child that is gone, to be sent in this order as our own."""
        return self._directory.hops(self.dialogs.endings())

    def last_words(self) -> list[tuple[Request, Hop]]:
        """Return what would end the child's dialogs now; nothing is forgotten."""
        return self._directory.hops(self.dialogs.last_words())

    def take_requests(self) -> list[tuple[Request, Hop]]:
        """Return other requests to be sent as our own, in this order: they end what came too late."""
        requests, self._requests = self._requests, []
        return requests

    # What the proxy asks

    def route(self, request: Request, flow: Flow, now_s: float) -> Forward | Reply | Drop:
        """Decide on a request."""
        self._tidy(now_s)
        side = self.faces.side_of(flow)
        if side is None:
            return Drop()
        try:
            return self._route(Arrival(received=request, flow=flow, side=side, now_s=now_s))
        except SipSyntaxError as error:
            return answers.malformed(error, request.method)

    def passing(self, received: Request, forwarded: Request, response: Response, now_s: float) -> Response:
        """Return a response as it shall go back."""
        way = self._crossings.of(received, response.status)
        if way is None:
            return response
        if received.method == "REGISTER":
            return self.bindings.registered(received, response, self.faces, now_s)
        if received.method == "INVITE" and response.status in _DIALOG_STATUSES:
            response = routes.restored(response, forwarded)
        if LINE in (way.origin, way.goal):
            self.dialogs.response(received, forwarded, response, now_s)
        else:
            self.passed.response(received, response)
        if way.goal == LINE and received.method == "INVITE" and response.status >= _REFUSED:
            self._gate.declined(way.token, response.status)
        self._hear_asserted(way, received.method, response)
        if response.status in _DIALOG_STATUSES:
            owner = received.headers.get("to") or ""
            response = self._directory.answer_for(
                response, origin=way.origin, goal=way.goal, reach=way.reach, owner=owner, now_s=now_s
            )
        response = self.calls.passing(received, forwarded, response, now_s)
        return essentials.of_response(response) if way.origin == LINE else response

    def answered(self, forwarded: Request, response: Response, now_s: float) -> None:
        """Hear the response to a request of ours, or a late one to an INVITE of a child that is gone."""
        del now_s  # nothing is kept of it
        if forwarded.method == "OPTIONS":
            self._is_pbx_silent |= response.status in _SILENT
        elif forwarded.method == "INVITE" and response.status in _SUCCESS:
            self._requests += self._directory.hops(self.dialogs.orphan(forwarded, response))

    # Requests that begin something

    def _route(self, arrival: Arrival) -> Forward | Reply | Drop:
        side = arrival.side
        request, behind = routes.taken_off(arrival.received, self.faces, side)
        if side == PHONE and request.method != "REGISTER":
            owner = request.headers.get("from") or ""
            for value in request.headers.all("contact")[:1]:
                self._directory.learn(value, arrival.flow, owner=owner, now_s=arrival.now_s)
        if request.to_tag and request.method != "REGISTER":
            request = request.with_headers(without_marks(request.headers))
            return self._within(arrival, request, behind or self._goal(arrival, request))
        if request.method == "ACK":
            return Drop()
        if side == LINE:
            return self._leg(arrival, request)
        request = request.with_headers(without_marks(request.headers))
        return self._from_phone(arrival, request) if side == PHONE else self._from_pbx(arrival, request)

    def _from_phone(self, arrival: Arrival, request: Request) -> Forward | Reply | Drop:
        uri = parse_uri(request.uri)
        if request.method == "OPTIONS" and not uri.user and self.faces.face_of(uri) is not None:
            return answers.HERE
        is_insecure = uri.scheme == "sips" and self.faces.pbx_transport is not Transport.TLS
        if is_insecure or not self.faces.knows_pbx:
            return answers.NO_SIPS if is_insecure else answers.UNAVAILABLE
        if request.method == "INVITE":
            return self._call(arrival, request, PHONE) if self._is_paced(arrival) else answers.UNAVAILABLE
        if request.method != "REGISTER":
            return self._to_pbx(arrival, request)
        registering = self.bindings.register(request, arrival.flow, self.faces, arrival.now_s)
        if isinstance(registering, Reply):
            return registering
        return self._forward(arrival, self._directory.at_pbx(registering), PBX, self.faces.to_pbx())

    def _is_paced(self, arrival: Arrival) -> bool:
        """Say whether a call from the telephone's side may begin now."""
        is_known = self._directory.is_telephone(arrival.flow, arrival.now_s)
        return self._pace.allows(arrival.flow.remote if is_known else None, arrival.now_s)

    def _from_pbx(self, arrival: Arrival, request: Request) -> Forward | Reply | Drop:
        uri = parse_uri(request.uri)
        if request.method == "REGISTER":
            return answers.NOT_ALLOWED
        if request.method == "OPTIONS" and not uri.user:
            return answers.NOT_FOUND if self.faces.face_of(uri) is None else answers.HERE
        if request.method == "INVITE":
            return self._call(arrival, request, PBX)
        return self._to_phone(arrival, request)

    def _to_pbx(self, arrival: Arrival, request: Request, token: str = "") -> Forward:
        outgoing = self._directory.for_pbx(request, arrival.flow, arrival.side, arrival.now_s)
        return self._forward(arrival, outgoing, PBX, self.faces.to_pbx(), token=token)

    def _to_phone(self, arrival: Arrival, request: Request, token: str = "") -> Forward | Reply:
        """Send what the telephone system begins to the telephone that is meant."""
        target = self._directory.phone_of(parse_uri(request.uri).user, arrival.now_s, is_new=True)
        if target is None:
            is_any = bool(self.bindings.registrations(arrival.now_s))
            return answers.NOT_FOUND if is_any else answers.NOBODY_REGISTERED
        uri, reach = target
        hop = self.faces.to_phone(reach)
        return self._forward(arrival, replace(request, uri=uri), PHONE, hop, token=token, reach=reach)

    # Calls

    def _call(self, arrival: Arrival, request: Request, side: Party) -> Forward | Reply | Drop:
        """Ask the gate which way a call goes that begins."""
        now_s = arrival.now_s
        if self._waiting.is_cancelled(arrival.received):
            return answers.CANCELLED
        user = parse_uri(request.uri).user
        phone_uri = (self.bindings.contact_of(user, now_s) or "") if side == PBX else ""
        if self.calls.is_full:
            self.calls.make_room(self.dialogs.tokens(now_s))
        facts = self.calls.begin(request, side, now_s, phone_uri=phone_uri)
        if facts is None:
            return answers.UNAVAILABLE
        admission = self._gate.admit(side, user, facts)
        hop = self.faces.to_line()
        if admission.way == "line" and hop is not None:
            return self._into_line(arrival, request, facts, hop)
        self.calls.forget(facts.token)
        if admission.way == "pass":
            return self._past(arrival, request, facts, admission.reason)
        if admission.way == "wait":
            is_kept = self._waiting.keep(arrival.received, arrival.flow, now_s)
            return Drop() if is_kept else answers.UNAVAILABLE
        return answers.refusal(admission.status, admission.retry_after_s)

    def _into_line(self, arrival: Arrival, request: Request, facts: Facts, hop: Hop) -> Forward | Reply:
        """Send a call to the child, unless it could not read it, or it is to take another's place."""
        token = facts.token
        refusal = refuse_replacing(request, facts.side, self.dialogs)
        if not essentials.is_readable(request):
            refusal = answers.UNREADABLE
        if refusal is not None:
            self.calls.forget(token)
            self._gate.declined(token, refusal.status)
            return refusal
        self._dialled.keep(token, request)
        outgoing = self.calls.to_line(facts, request)
        headers = contacts.mapped(outgoing.headers, "route", lambda _: None)
        outgoing = replace(outgoing, uri=self._directory.line_account(facts.side), headers=headers)
        self.dialogs.request(
            arrival.received, from_line=False, other=facts.side, token=token, now_s=arrival.now_s
        )
        return self._forward(arrival, outgoing, LINE, hop, token=token)

    def _past(self, arrival: Arrival, request: Request, facts: Facts, reason: str) -> Forward | Reply:
        """Send a call straight to the other side."""
        send = self._to_pbx if facts.side == PHONE else self._to_phone
        forward = send(arrival, request, facts.token)
        if isinstance(forward, Forward):
            self.passed.begin(arrival.received, facts.token, facts.side)
            self._gate.passed(facts, reason)
        return forward

    def _leg(self, arrival: Arrival, request: Request) -> Forward | Reply:
        """Send an INVITE of the child, which makes another leg of a call."""
        found = self.calls.second_leg(request, arrival.now_s) if request.method == "INVITE" else None
        if found is None:
            return answers.FORBIDDEN
        outgoing, goal = found
        token = request.headers.get(CALL) or ""
        hop, reach = self.faces.to_pbx(), None
        if goal == PBX:
            outgoing = self._directory.for_pbx(outgoing, arrival.flow, LINE, arrival.now_s)
            outgoing = self._dialled.restored(outgoing, token)
        else:
            reach = self._directory.reach(parse_uri(outgoing.uri))
            if reach is None:
                return answers.NOBODY_REGISTERED
            hop = self.faces.to_phone(reach)
        self.dialogs.request(arrival.received, from_line=True, other=goal, token=token, now_s=arrival.now_s)
        return self._forward(arrival, outgoing, goal, hop, token=token, reach=reach)

    # Within dialogs

    def _goal(self, arrival: Arrival, request: Request) -> Side | None:
        """Return where a request of a dialog goes that has no Route of ours."""
        side = arrival.side
        dialog = self.dialogs.of(request, from_line=side == LINE)
        if side == LINE:
            return None if dialog is None else dialog.other
        uri = parse_uri(request.uri)
        if dialog is not None or uri.user == LINE_USER or self.faces.address_of(uri) == self.faces.child:
            return LINE
        if side == PHONE:
            return PBX
        return None if self.bindings.find(uri.user, arrival.now_s) is None else PHONE

    def _within(self, arrival: Arrival, request: Request, goal: Side | None) -> Forward | Reply | Drop:
        """Send a request of a dialog."""
        side = arrival.side
        if goal == LINE and side != LINE:
            return self._to_child(arrival, request, side)
        if request.method == "INVITE" and side != LINE and not self.passed.knows(request):
            # One that only pretends to go on in a call would make another one, past rules and recorder.
            return answers.NO_SUCH_CALL
        if goal == PBX and self.faces.knows_pbx:
            reach, hop = None, self.faces.to_pbx()
            request = self._directory.for_pbx(request, arrival.flow, side, arrival.now_s)
        elif goal == PHONE and (target := self._target(arrival, request)) is not None:
            uri, reach = target
            request, hop = replace(request, uri=uri), self.faces.to_phone(reach)
        else:
            return unless_ack(answers.NO_SUCH_CALL, request.method)
        token = ""
        if side == LINE:
            dialog = self.dialogs.of(request, from_line=True)
            token = "" if dialog is None else dialog.token
            if request.method == "ACK":
                request = self.calls.acknowledging(token, request)
            self.dialogs.request(arrival.received, from_line=True, other=goal, now_s=arrival.now_s)
            if request.method == "BYE":
                # Delivered as our own: a party that does not answer would hold one of the child's few legs.
                fields = tuple(item for item in request.headers.fields if item[0] != "via")
                self._requests.append((request.with_headers(Headers(fields=fields)), hop))
                return answers.DONE
        else:
            self.passed.request(arrival.received)
        return self._forward(arrival, request, goal, hop, token=token, reach=reach)

    def _target(self, arrival: Arrival, request: Request) -> tuple[str, Reach] | None:
        """Return request URI and place of the telephone that a request within a dialog is for."""
        uri = parse_uri(request.uri)
        if arrival.side == PBX:
            return self._directory.phone_of(uri.user, arrival.now_s)
        reach = self._directory.reach(uri)
        return None if reach is None else (request.uri, reach)

    def _to_child(self, arrival: Arrival, request: Request, side: Party) -> Forward | Reply | Drop:
        hop = self.faces.to_line()
        dialog = self.dialogs.of(request, from_line=False)
        if hop is None or (dialog is None and request.method == "REFER"):
            return unless_ack(answers.NO_SUCH_CALL, request.method)
        token = "" if dialog is None else dialog.token
        if dialog is not None and request.method == "REFER":
            referred = read_refer(request, dialog, self.dialogs)
            reply = referred if isinstance(referred, Reply) else self._gate.referred(referred)
            # A 2xx to REFER has a Contact (RFC 3515 section 2.2).
            contact = ("contact", f"<{self._directory.line_contact(side)}>")
            return replace(reply, headers=(*reply.headers, contact)) if reply.status in _SUCCESS else reply
        asserted = request.headers.get(_ASSERTED)
        if side == PBX and request.method in _OFFERS and asserted and token:
            self._gate.party_changed(token, asserted)
        fields = tuple(item for item in request.headers.fields if item[0] not in CREDENTIALS)
        request = request.with_headers(replace(request.headers, fields=fields))
        if side == PBX:
            request = replace(request, uri=self._directory.line_contact(PHONE))
        self.dialogs.request(arrival.received, from_line=False, other=side, now_s=arrival.now_s)
        return self._forward(arrival, request, LINE, hop, token=token)

    # All of them

    def _forward(
        self,
        arrival: Arrival,
        request: Request,
        goal: Side,
        hop: Hop,
        *,
        token: str = "",
        reach: Reach | None = None,
    ) -> Forward:
        side = arrival.side
        if request.method in _RECORDED:
            phone = arrival.flow if side == PHONE else hop.flow
            request = routes.record(
                request, self.faces, incoming=side, outgoing=goal, phone_transport=phone.transport
            )
        if goal == LINE:
            request = essentials.of_request(request)
        if request.method != "ACK":
            crossing = Crossing(origin=side, goal=goal, token=token, reach=reach)
            self._crossings.put(arrival.received, crossing)
        return Forward(request=request, hop=hop, timer_c_s=self._timer_c_s)

    def _has_recorded(self, route: str) -> bool:
        return routes.is_recorded(route, self.faces)

    def _hear_asserted(self, way: Crossing, method: str, response: Response) -> None:
        """Tell whom the telephone system says that the child talks to."""
        if way.origin != LINE or way.goal != PBX or not way.token or method not in _OFFERS:
            return
        asserted = response.headers.get(_ASSERTED)
        if asserted and response.status in _SUCCESS:
            self._gate.party_changed(way.token, asserted)

    def _tidy(self, now_s: float) -> None:
        if now_s < self._tidy_s:
            return
        self._tidy_s = now_s + TIDY_S
        self.calls.forget_old(now_s, self.dialogs.tokens(now_s))
        self._dialled.tidy()
