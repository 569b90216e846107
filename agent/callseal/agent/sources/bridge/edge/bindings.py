"""Where the telephones of this desk are, and under which Contact the telephone system knows them.

A telephone says where it is in the Contact of a REGISTER, and of whatever may begin a dialog. The telephone
system is told a Contact of ours instead, ``sip:<token>@<edge>``; a request to that is sent to the telephone
that the token stands for. The token is the user part of the telephone's own Contact, as far as nobody else
has that.

What is registered is what the registrar said of it (RFC 3261 section 10.3): the table follows its answers.

Conventions: seconds of a clock that never goes back. An address of record is ``user@host``. Messages have
been parsed, but their Contacts may be anything.

Source: RFC 3261 section 10; RFC 5626 section 4.1 (+sip.instance), RFC 5627 (GRUU, which the registrar keeps).
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip.flow import Flow, Transport
from callseal.agent.sip.headers import Headers
from callseal.agent.sip.message import Request, Response
from callseal.agent.sip.proxying import Reply
from callseal.agent.sip.uri import Uri, parse_name_addr
from callseal.agent.sources.bridge.edge import contacts
from callseal.agent.sources.bridge.edge.contacts import EVERYTHING, Key
from callseal.agent.sources.bridge.edge.faces import PBX, Faces, Reach
from callseal.agent.sources.bridge.edge.places import Place, Places, is_token, wanted_token

MAX_BINDINGS: Final = 32
"""Registrations: a desk has one telephone or two, each with a few lines."""
MAX_CONTACTS: Final = 8
"""Contacts in one REGISTER."""
MAX_MOVES: Final = 64
"""REGISTERs whose answer is awaited that say of a registered telephone that it is elsewhere now."""
TLS_EXPIRES_S: Final = 120
"""Over TLS the Contact names the port of our connection. When that has to be opened anew, the telephone
system is told with the next REGISTER, so that one must come soon."""
MAX_EXPIRES_S: Final = 7 * 86_400
"""Longer registrations than that are not counted on."""

_NOT_HERE: Final = Reply(status=403, reason="Contact Is Not On This Machine")
_TOO_MANY: Final = Reply(status=403, reason="Too Many Contacts")
_FULL: Final = Reply(status=503, reason="Too Many Registrations")
_SUCCESS: Final = range(200, 300)


_Transaction = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An address of record that a telephone is registered for."""

    aor: str = field(repr=False)
    token: str
    told: str = field(repr=False)
    """The Contact that the registrar has."""
    until_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A registration, as it is kept over a restart."""

    aor: str
    token: str
    uri: str
    told: str
    transport: str
    instance: str
    left_s: float


class Bindings:
    """The telephones and their registrations."""

    def __init__(self) -> None:
        self._places = Places(self._held)
        self._registrations: dict[tuple[str, str], Registration] = {}
        self._moves: dict[_Transaction, dict[Key, Place]] = {}
        """Registered telephones that say in a REGISTER to be elsewhere now."""
        self._has_changed = False

    # Registering

    def register(self, request: Request, flow: Flow, faces: Faces, now_s: float) -> Request | Reply:
        """Return a REGISTER with our Contacts for the telephone's, or why it can't be.

        Raises SipSyntaxError for a Contact that is none.
        """
        values = request.headers.all("contact")
        if len(values) > MAX_CONTACTS:
            return _TOO_MANY
        aor = _aor(request)
        general = request.headers.get("expires")
        tokens: dict[str, str] = {}
        moves: dict[Key, Place] = {}
        for value in values:
            if value == EVERYTHING:
                continue
            uri = contacts.uri_in(value)
            is_removal = contacts.expires_of(value, general) == 0
            reach = _by(flow, faces.reach(uri))
            if reach is None:
                if not is_removal:
                    return _NOT_HERE
                continue  # another device's, or an old one of its own
            taken = frozenset(tokens.values())
            place = self._keep(value, uri, reach, owner=aor, aor=aor, now_s=now_s, taken=taken, moves=moves)
            if place is None or not (is_removal or self._has_room(aor, place.token, now_s)):
                return _FULL
            tokens[value] = place.token

        if moves:
            self._moves[_transaction(request)] = moves
            if len(self._moves) > MAX_MOVES:
                del self._moves[next(iter(self._moves))]

        def ours(value: str) -> str:
            token = tokens.get(value)
            return value if token is None else contacts.with_uri(value, faces.own_uri(PBX, user=token))

        headers = contacts.mapped(request.headers, "contact", ours)
        outdated = tuple(("contact", value) for value in self._outdated(aor, tokens.values(), faces, now_s))
        return request.with_headers(Headers(fields=(*headers.fields, *outdated)))

    def registered(self, received: Request, response: Response, faces: Faces, now_s: float) -> Response:
        """Take over what the registrar answered; return its answer with the telephone's own Contacts.

        Contacts of other devices stay as they are.
        """
        moves = self._moves.pop(_transaction(received), {})
        if response.status not in _SUCCESS:
            return response
        for place in moves.values():
            self._put(place, now_s)
        aor = _aor(received)
        asked = self._asked(received, faces)
        if EVERYTHING in received.headers.all("contact"):
            for key in [key for key in self._registrations if key[0] == aor]:
                self._remove(*key)
        general = response.headers.get("expires")
        listed = response.headers.all("contact")
        ours = self._ours(listed, asked, faces)
        for value, token in ours.items():
            if token is not None:
                said_s = contacts.expires_of(value, general)
                self._register(aor, token, asked.get(token) if said_s is None else said_s, faces, now_s)
        for token in asked.keys() - set(ours.values()):
            # Some registrars list nothing. One that lists others has not taken this one.
            said_s = contacts.seconds(general)
            expires_s = asked[token] if said_s is None or asked[token] == 0 else said_s
            self._register(aor, token, 0 if listed else expires_s, faces, now_s)
        return self._given_back(response, ours, asked, faces)

    def registrations(self, now_s: float) -> tuple[Registration, ...]:
        """Return what is registered now."""
        return tuple(each for each in self._registrations.values() if each.until_s > now_s)

    def is_registered_at(self, flow: Flow, now_s: float) -> bool:
        """Say whether a telephone is registered where this flow comes from."""
        for token in self._held(now_s):
            place = self._places.get(token)
            if place is None or place.reach.transport is not flow.transport:
                continue
            by_connection = flow.connection != 0 and place.reach.connection == flow.connection
            if by_connection or place.reach.address == flow.remote:
                return True
        return False

    # Other Contacts

    def outward(self, value: str, faces: Faces, here: Flow | Reach, *, owner: str, now_s: float) -> str:
        """Return a telephone's Contact as the telephone system is to see it, and remember the telephone.

        `here` is where the message came from, for a Contact that can't be reached; `owner` tells a Contact
        without user from others. Raises SipSyntaxError for what is none.
        """
        uri = contacts.uri_in(value)
        if contacts.is_gruu(uri) and faces.reach(uri) is None:
            return value
        place = self.learn(value, faces, here, owner=owner, now_s=now_s)
        return value if place is None else contacts.with_uri(value, faces.own_uri(PBX, user=place.token))

    def learn(
        self, value: str, faces: Faces, here: Flow | Reach, *, owner: str, now_s: float
    ) -> Place | None:
        """Remember where a telephone is by its Contact; raises SipSyntaxError for what is none."""
        uri = contacts.uri_in(value)
        if faces.face_of(uri) is not None or not uri.host:
            return None
        known = self._places.of(uri, is_exact=True)
        reach = _by(here, faces.reach(uri)) or _back(here)
        if (
            known is not None
            and known.token in self._held(now_s)
            and known.reach.transport is not reach.transport
        ):
            # Some send by TCP what is too large for a datagram (RFC 3261 section 18.1.1), and close it again.
            reach = known.reach
        return self._keep(value, uri, reach, owner=owner, now_s=now_s)

    # Who is where

    def find(self, user: str, now_s: float, *, is_new: bool = False) -> Place | None:
        """Return the telephone of a token, else the one registered last for an address with this user.

        For what is new (`is_new`), and no part of a dialog, only one that is registered: any program of this
        machine can have a token.
        """
        is_known = not is_new or user in self._held(now_s)
        place = self._places.find(user) if is_known else None
        if place is not None or not user:
            return place
        named = [each for each in self.registrations(now_s) if each.aor.rpartition("@")[0] == user]
        last = max(named, key=lambda each: each.until_s, default=None)
        return None if last is None else self._places.find(last.token)

    def find_uri(self, uri: Uri) -> Place | None:
        """Return the telephone of which this is the own Contact, as somebody else may have written it."""
        return self._places.of(uri)

    def contact_of(self, user: str, now_s: float) -> str | None:
        """Return the own Contact of the telephone that a call to a user is for, as a request URI."""
        place = self.find(user, now_s, is_new=True)
        return None if place is None else contacts.as_request_uri(place.uri)

    # Over a restart

    def take_changed(self) -> bool:
        """Say whether there is something new to be saved since the last time."""
        changed, self._has_changed = self._has_changed, False
        return changed

    def snapshot(self, now_s: float) -> tuple[Saved, ...]:
        """Return what is registered, to be kept."""
        return tuple(
            Saved(
                aor=each.aor,
                token=each.token,
                uri=place.uri,
                told=each.told,
                transport=place.reach.transport.value,
                instance=place.instance,
                left_s=each.until_s - now_s,
            )
            for each in self.registrations(now_s)
            if (place := self._places.get(each.token)) is not None
        )

    def restore(self, saved: Iterable[Saved], faces: Faces, now_s: float) -> None:
        """Take over what was kept; what names no telephone of this machine is passed over."""
        for each in saved:
            uri = contacts.readable(each.uri)
            reach = None if uri is None else faces.reach(uri)
            if (
                uri is None
                or reach is None
                or not is_token(each.token)
                or each.transport not in ("UDP", "TCP")
            ):
                continue
            known, holder = self._places.of(uri, is_exact=True), self._places.get(each.token)
            is_other = known is not holder
            if is_other or each.left_s <= 0 or len(self._registrations) >= MAX_BINDINGS:
                continue
            place = Place(
                token=each.token,
                uri=each.uri,
                key=contacts.key_of(uri),
                reach=replace(reach, transport=Transport(each.transport)),
                instance=each.instance,
                seen_s=now_s,
            )
            until_s = now_s + min(each.left_s, MAX_EXPIRES_S)
            self._registrations[each.aor, each.token] = Registration(
                aor=each.aor, token=each.token, told=each.told, until_s=until_s
            )
            self._places.put(place, now_s)

    # What a registrar is told, and says

    def _outdated(self, aor: str, tokens: Collection[str], faces: Faces, now_s: float) -> list[str]:
        """Return the Contacts that the registrar should forget: ours, from before our address changed."""
        found = []
        for token in tokens:
            known = self._registrations.get((aor, token))
            if known is None or known.until_s <= now_s or known.told == faces.own_uri(PBX, user=token):
                continue
            found.append(f"<{known.told}>;expires=0")
        return found

    def _asked(self, received: Request, faces: Faces) -> dict[str, int | None]:
        """Return for how long each token was asked to be registered."""
        general = received.headers.get("expires")
        asked = {}
        for value in received.headers.all("contact"):
            uri = contacts.readable(contacts.uri_text(value))
            place = None if uri is None else self._places.of(uri, is_exact=True)
            if uri is not None and place is not None and faces.reach(uri) is not None:
                asked[place.token] = contacts.expires_of(value, general)
        return asked

    def _ours(self, listed: Iterable[str], asked: Collection[str], faces: Faces) -> dict[str, str | None]:
        """Return which of a registrar's Contacts are ours: the token, None for an outdated one.

        Where a registrar has noted the port that it saw instead of the one that it was told, the host and the
        user have to do.
        """
        exact: dict[str, str | None] = {}
        near: dict[str, str] = {}
        for value in listed:
            uri = _uri_of(value)
            if uri is None or uri.user not in self._places:
                continue
            address = faces.address_of(uri)
            if faces.face_of(uri) == PBX:
                exact[value] = uri.user if address == faces.pbx else None
            elif address[0] == faces.pbx[0] and uri.user in asked:
                near[value] = uri.user
        found = set(exact.values())
        return exact | {value: token for value, token in near.items() if token not in found}

    def _given_back(
        self, response: Response, ours: dict[str, str | None], asked: dict[str, int | None], faces: Faces
    ) -> Response:
        is_tls = faces.pbx_transport is Transport.TLS
        general = response.headers.get("expires")

        def own(value: str) -> str | None:
            if value not in ours:
                return value
            token = ours[value]
            place = None if token is None else self._places.get(token)
            if token is None or place is None:
                return None
            given = contacts.with_uri(value, place.uri)
            said_s = contacts.expires_of(value, general)
            expires_s = (asked.get(token) if said_s is None else said_s) or TLS_EXPIRES_S
            return contacts.with_expires(given, min(TLS_EXPIRES_S, expires_s)) if is_tls else given

        headers = contacts.mapped(response.headers, "contact", own)
        if is_tls and any(asked.values()) and not response.headers.all("contact"):
            said_s = contacts.seconds(general)
            short_s = TLS_EXPIRES_S if said_s is None else min(TLS_EXPIRES_S, said_s)
            headers = contacts.with_field(headers, "expires", str(short_s))
        return replace(response, headers=headers)

    # The tables

    def _register(self, aor: str, token: str, expires_s: int | None, faces: Faces, now_s: float) -> None:
        if expires_s == 0:
            self._remove(aor, token)
        elif self._has_room(aor, token, now_s):
            expires_s = min(MAX_EXPIRES_S, contacts.DEFAULT_EXPIRES_S if expires_s is None else expires_s)
            self._registrations[aor, token] = Registration(
                aor=aor, token=token, told=faces.own_uri(PBX, user=token), until_s=now_s + expires_s
            )
            self._has_changed = True

    def _remove(self, aor: str, token: str) -> None:
        self._has_changed |= self._registrations.pop((aor, token), None) is not None

    def _has_room(self, aor: str, token: str, now_s: float) -> bool:
        if (aor, token) in self._registrations or len(self._registrations) < MAX_BINDINGS:
            return True
        over = [key for key, each in self._registrations.items() if each.until_s <= now_s]
        for key in over:
            del self._registrations[key]
        return bool(over)

    def _held(self, now_s: float) -> set[str]:
        return {each.token for each in self._registrations.values() if each.until_s > now_s}

    def _keep(
        self,
        value: str,
        uri: Uri,
        reach: Reach,
        *,
        owner: str,
        now_s: float,
        aor: str = "",
        taken: Collection[str] = (),
        moves: dict[Key, Place] | None = None,
    ) -> Place | None:
        """Remember a telephone; None where there is no room.

        `aor` is given where it registers, with the tokens that are `taken` in the same request. A registered
        one that is elsewhere then is put into `moves`: anybody on this machine may say so, and it counts once
        the registrar has agreed.
        """
        instance = contacts.instance_of(value)
        wanted = wanted_token(uri.user, owner)
        known = self._places.of(uri, is_exact=True)
        if known is None and aor and instance:
            known = self._predecessor(wanted, aor, instance, taken)
        token = self._places.free(wanted, now_s, is_registering=bool(aor)) if known is None else known.token
        if token is None:
            return None
        place = Place(
            token=token,
            uri=contacts.uri_text(value),
            key=contacts.key_of(uri),
            reach=reach,
            instance=instance or ("" if known is None else known.instance),
            seen_s=now_s,
        )
        is_held = known is not None and token in self._held(now_s)
        is_elsewhere = known is not None and (known.uri, known.reach) != (place.uri, reach)
        if moves is not None and is_held and is_elsewhere:
            moves[place.key] = place
        else:
            self._put(place, now_s)
        return place

    def _put(self, place: Place, now_s: float) -> None:
        known = self._places.get(place.token)
        has_moved = known is not None and (known.uri, known.reach.address) != (place.uri, place.reach.address)
        self._has_changed |= has_moved and place.token in self._held(now_s)
        self._places.put(place, now_s)

    def _predecessor(self, wanted: str, aor: str, instance: str, taken: Collection[str]) -> Place | None:
        """Return the same telephone as it was before it got another address."""
        for registration in self._registrations.values():
            place = self._places.get(registration.token)
            if registration.aor != aor or place is None or place.instance != instance or place.token in taken:
                continue
            if wanted_token(place.key[0], aor) == wanted:
                return place
        return None


def _aor(request: Request) -> str:
    """Return the address of record that a REGISTER is about; raises SipSyntaxError."""
    uri = parse_name_addr(request.headers.get("to") or "").address
    return f"{uri.user}@{uri.host}"


def _transaction(request: Request) -> _Transaction:
    return request.via.sent_by, request.via.branch, request.call_id, request.cseq.number


def _by(here: Flow | Reach, reach: Reach | None) -> Reach | None:
    """Return a way that uses the connection which a telephone has opened, if it has."""
    if reach is None or here.transport is Transport.UDP:
        return reach
    return replace(reach, transport=here.transport, connection=here.connection)


def _back(here: Flow | Reach) -> Reach:
    """Return the way back to where a message came from."""
    if isinstance(here, Reach):
        return here
    return Reach(transport=here.transport, address=here.remote, connection=here.connection)


def _uri_of(value: str) -> Uri | None:
    try:
        return contacts.uri_in(value)
    except SipSyntaxError:
        return None
