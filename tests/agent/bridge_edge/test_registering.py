"""A telephone registers through the edge: the telephone system reaches it, not knowing its own address."""

from dataclasses import replace

from callseal.agent.sip.flow import Transport
from callseal.agent.sip.message import Request, Response
from support.edge_room import FACES, Peer, Room, uri_of

OURS = "sip:100@192.0.2.10:5060"


def contacts_of(message: Request | Response) -> list[str]:
    return list(message.headers.all("contact"))


def register(
    room: Room,
    *more: str,
    contact: str = "<sip:100@127.0.0.1:6000>",
    to: str = "<sip:100@pbx.example.com>",
    cseq: int = 1,
) -> Request:
    """Send a REGISTER; give it as the registrar has it."""
    lines = (f"Contact: {contact}",) if contact else ()
    room.phone.ask(
        "REGISTER", "sip:pbx.example.com", *lines, *more,
        call="register", cseq=cseq, who=f"{to};tag=r", to=to,
    )  # fmt: skip
    return room.pbx.got("REGISTER")


def test_the_registrar_is_told_a_contact_of_the_edge_with_the_telephones_parameters() -> None:
    room = Room()

    request = register(
        room, contact='"Desk" <sip:100@127.0.0.1:6000;ob>;q=0.7;expires=300;+sip.instance="<urn:uuid:1>"'
    )

    assert request.uri == "sip:pbx.example.com"
    assert contacts_of(request) == [f'"Desk" <{OURS}>;q=0.7;expires=300;+sip.instance="<urn:uuid:1>"']


def test_the_telephone_gets_its_own_contact_back_and_those_of_other_devices_as_they_are() -> None:
    room = Room()
    request = register(room)

    room.pbx.answer(
        request,
        200,
        ("contact", f"<{OURS}>;expires=55;q=0.5"),
        ("contact", "<sip:100@192.0.2.77:5060>;expires=1000"),
        ("path", "<sip:edge.example.com;lr>"),
        ("service-route", "<sip:orig@pbx.example.com;lr>"),
    )

    answer = room.phone.heard(200)
    assert contacts_of(answer) == [
        "<sip:100@127.0.0.1:6000>;expires=55;q=0.5",
        "<sip:100@192.0.2.77:5060>;expires=1000",
    ]
    assert answer.headers.get("path") == "<sip:edge.example.com;lr>"
    assert answer.headers.get("service-route") == "<sip:orig@pbx.example.com;lr>"


def test_a_registration_lasts_as_long_as_the_registrar_says() -> None:
    room = Room()
    request = register(room, "Expires: 3600")

    room.pbx.answer(request, 200, ("contact", f"<{OURS}>;expires=55"))

    assert [each.aor for each in room.router.registrations(54.0)] == ["100@pbx.example.com"]
    assert room.router.registrations(56.0) == ()


def test_what_the_registrar_does_not_say_is_as_the_telephone_asked() -> None:
    room = Room()
    request = register(room, "Expires: 90")

    room.pbx.answer(request, 200)  # some registrars list no Contact

    assert len(room.router.registrations(89.0)) == 1
    assert room.router.registrations(91.0) == ()


def test_a_registrar_that_says_for_how_long_in_its_own_expires_is_heard() -> None:
    room = Room()
    request = register(room, "Expires: 3600")

    room.pbx.answer(request, 200, ("contact", f"<{OURS}>"), ("expires", "60"))

    assert len(room.router.registrations(59.0)) == 1
    assert room.router.registrations(61.0) == ()


def test_a_contact_that_the_registrar_does_not_list_is_not_registered() -> None:
    room = Room()
    request = register(room)

    room.pbx.answer(request, 200, ("contact", "<sip:100@192.0.2.77>;expires=60"))

    assert room.router.registrations(1.0) == ()


def test_a_registrar_that_notes_the_port_it_saw_is_understood() -> None:
    """With NAT helpers on, a registrar writes the source port of the connection into the Contact."""
    room = Room()
    request = register(room)

    room.pbx.answer(request, 200, ("contact", "<sip:100@192.0.2.10:49152>;expires=60"))

    assert contacts_of(room.phone.heard(200)) == ["<sip:100@127.0.0.1:6000>;expires=60"]
    assert len(room.router.registrations(1.0)) == 1


def test_another_desk_on_this_machine_keeps_its_contact() -> None:
    """Two agents on one machine, one address of record: only the port tells them apart."""
    room = Room()
    request = register(room)

    room.pbx.answer(
        request,
        200,
        ("contact", f"<{OURS}>;expires=60"),
        ("contact", "<sip:100@192.0.2.10:5062>;expires=60"),
    )

    assert contacts_of(room.phone.heard(200)) == [
        "<sip:100@127.0.0.1:6000>;expires=60",
        "<sip:100@192.0.2.10:5062>;expires=60",
    ]


def test_a_telephone_unregisters_by_expires_zero() -> None:
    room = Room()
    room.phone.register()

    request = register(room, contact="<sip:100@127.0.0.1:6000>;expires=0", cseq=2)
    room.pbx.answer(request, 200)

    assert contacts_of(request) == [f"<{OURS}>;expires=0"]
    assert room.router.registrations(1.0) == ()


def test_a_telephone_unregisters_everything_by_a_star() -> None:
    room = Room()
    room.phone.register()

    request = register(room, "Expires: 0", contact="*", cseq=2)
    room.pbx.answer(request, 200)

    assert contacts_of(request) == ["*"]
    assert room.router.registrations(1.0) == ()


def test_a_star_leaves_other_lines_registered() -> None:
    room = Room()
    room.phone.register()
    room.phone.register("<sip:101@127.0.0.1:6000>", aor="101")

    room.pbx.answer(register(room, "Expires: 0", contact="*", cseq=2), 200)

    assert [each.aor for each in room.router.registrations(1.0)] == ["101@pbx.example.com"]


def test_a_challenge_passes_and_the_second_try_too() -> None:
    room = Room()

    first = register(room)
    room.pbx.answer(first, 401, ("www-authenticate", 'Digest realm="pbx", nonce="n"'))
    challenge = room.phone.heard(401)
    second = register(room, 'Authorization: Digest username="100", uri="sip:pbx.example.com"', cseq=2)
    room.pbx.answer(second, 200, ("contact", f"<{OURS}>;expires=60"))

    assert challenge.headers.get("www-authenticate") == 'Digest realm="pbx", nonce="n"'
    assert second.headers.get("authorization") == 'Digest username="100", uri="sip:pbx.example.com"'
    assert contacts_of(second) == [f"<{OURS}>"]
    assert len(room.router.registrations(1.0)) == 1


def test_an_interval_that_is_too_brief_is_told_as_it_came() -> None:
    room = Room()

    room.pbx.answer(register(room, "Expires: 5"), 423, ("min-expires", "60"))

    assert room.phone.heard(423).headers.get("min-expires") == "60"
    assert room.router.registrations(1.0) == ()


def test_a_refused_refresh_leaves_the_registration_until_it_is_over() -> None:
    room = Room()
    room.phone.register(expires_s=600)

    room.pbx.answer(register(room, cseq=2), 503)

    assert len(room.router.registrations(599.0)) == 1


def test_several_contacts_of_one_register_each_have_a_token() -> None:
    room = Room()

    request = register(
        room, "Contact: <sip:100@127.0.0.1:6002>", contact="<sip:100@127.0.0.1:6000>, <sip:x@localhost:6004>"
    )

    assert [uri_of(value) for value in contacts_of(request)] == [
        OURS,
        "sip:x@192.0.2.10:5060",
        "sip:100-2@192.0.2.10:5060",
    ]


def test_a_token_stays_the_same_when_the_registration_is_refreshed() -> None:
    room = Room()
    room.phone.register("<sip:100@127.0.0.1:6000>")
    room.phone.register("<sip:100@127.0.0.1:6002>", cseq=2)

    again = register(room, contact="<sip:100@127.0.0.1:6002>", cseq=3)

    assert contacts_of(again) == ["<sip:100-2@192.0.2.10:5060>"]


def test_lines_that_differ_in_a_parameter_alone_are_told_apart() -> None:
    room = Room()
    room.phone.register("<sip:phone@127.0.0.1:6000;line=a>", aor="100")
    room.phone.register("<sip:phone@127.0.0.1:6000;line=b>", aor="101")

    room.pbx.ask("MESSAGE", "sip:phone-2@192.0.2.10:5060")

    assert room.phone.got("MESSAGE").uri == "sip:phone@127.0.0.1:6000;line=b"


def test_a_contact_without_user_has_a_token_that_stays() -> None:
    first, second = Room(), Room()

    told = contacts_of(register(first, contact="<sip:127.0.0.1:6000>"))
    later = contacts_of(register(second, contact="<sip:127.0.0.1:6008>"))

    assert told == later
    assert told[0].startswith("<sip:desk-")


def test_a_token_is_never_one_of_the_childs_users() -> None:
    room = Room()

    request = register(room, contact="<sip:callseal-line@127.0.0.1:6000>")

    assert uri_of(contacts_of(request)[0]).startswith("sip:desk-")


def test_a_telephone_that_comes_back_under_another_port_keeps_its_token() -> None:
    """Its +sip.instance says that it is the same one (RFC 5626)."""
    room = Room()
    room.phone.register('<sip:100@127.0.0.1:6000>;+sip.instance="<urn:uuid:1>"')

    request = register(room, contact='<sip:100@127.0.0.1:6100>;+sip.instance="<urn:uuid:1>"', cseq=2)

    assert uri_of(contacts_of(request)[0]) == OURS


def test_a_telephone_of_yesterday_leaves_its_token_to_todays() -> None:
    room = Room()
    room.phone.register("<sip:100@127.0.0.1:6000>", expires_s=60)
    room.wait(5000.0)

    request = register(room, contact="<sip:100@127.0.0.1:6100>", cseq=2)

    assert uri_of(contacts_of(request)[0]) == OURS


def test_two_telephones_with_the_same_user_each_get_their_own_calls() -> None:
    room = Room()
    other = Peer(room, "phone", ("127.0.0.1", 6002))
    room.phone.register("<sip:100@127.0.0.1:6000>")
    other.register("<sip:100@127.0.0.1:6002>", aor="200")

    room.pbx.ask("MESSAGE", "sip:100-2@192.0.2.10:5060", call="m")

    assert other.got("MESSAGE").uri == "sip:100@127.0.0.1:6002"
    assert room.phone.requests == []


def test_a_contact_on_another_machine_is_refused_in_words() -> None:
    for host in (
        "192.0.2.99",
        "phone.example.com",
        "10.0.0.1",
        "[2001:db8::1]",
        "198.51.100.1",
        "127.0.0.1.example.com",
    ):
        room = Room()

        room.phone.ask("REGISTER", "sip:pbx.example.com", f"Contact: <sip:100@{host}:6000>")

        assert room.phone.heard(403).reason == "Contact Is Not On This Machine"
        assert room.pbx.inbox == []


def test_a_contact_that_is_the_edge_itself_or_its_child_is_refused() -> None:
    for contact in (
        "sip:100@127.0.0.1:5060",
        "sip:100@localhost",
        "sip:x@127.0.0.1:40001",
        "sip:x@127.0.0.1:40000",
    ):
        room = Room()

        room.phone.ask("REGISTER", "sip:pbx.example.com", f"Contact: <{contact}>")

        assert room.phone.heard(403).reason == "Contact Is Not On This Machine"


def test_a_contact_of_another_kind_is_refused() -> None:
    for contact in (
        "sips:100@127.0.0.1:6000",
        "tel:+49",
        "sip:100@127.0.0.1:6000;transport=ws",
    ):
        room = Room()

        room.phone.ask("REGISTER", "sip:pbx.example.com", f"Contact: <{contact}>")

        assert room.phone.heard(403).reason == "Contact Is Not On This Machine"


def test_what_a_telephone_removes_may_be_anywhere() -> None:
    """It may list what the registrar has shown it, of another device or from before it used the edge."""
    room = Room()

    request = register(room, contact="<sip:100@192.0.2.77>;expires=0")

    assert contacts_of(request) == ["<sip:100@192.0.2.77>;expires=0"]


def test_a_contact_that_is_none_is_a_bad_request() -> None:
    room = Room()

    for number, contact in enumerate(("<sip:100@127.0.0.1:6000", "<mailto:a@b.c>", "<sip:a b@127.0.0.1>")):
        room.phone.ask("REGISTER", "sip:pbx.example.com", f"Contact: {contact}", cseq=number + 1)

    assert [room.phone.heard(400).cseq.number for _ in range(3)] == [1, 2, 3]


def test_more_registrations_than_a_desk_has_are_refused() -> None:
    room = Room()
    for number in range(32):
        room.phone.register(f"<sip:{number}@127.0.0.1:6000>", aor=str(number))

    room.phone.ask(
        "REGISTER", "sip:pbx.example.com", "Contact: <sip:x@127.0.0.1:6000>", to="<sip:x@pbx.example.com>"
    )

    room.phone.heard(503)
    room.phone.register("<sip:3@127.0.0.1:6000>", aor="3", cseq=2)


def test_more_contacts_than_a_register_may_have_are_refused() -> None:
    room = Room()
    many = ", ".join(f"<sip:{number}@127.0.0.1:6000>" for number in range(9))

    room.phone.ask("REGISTER", "sip:pbx.example.com", f"Contact: {many}")

    room.phone.heard(403)


def test_a_query_passes_without_contact() -> None:
    room = Room()
    room.phone.register()

    request = register(room, contact="", cseq=2)
    room.pbx.answer(request, 200, ("contact", f"<{OURS}>;expires=10"))

    assert contacts_of(request) == []
    assert contacts_of(room.phone.heard(200)) == ["<sip:100@127.0.0.1:6000>;expires=10"]


def test_a_gruu_comes_back_as_the_registrar_gave_it() -> None:
    room = Room()
    request = register(room, contact='<sip:100@127.0.0.1:6000>;+sip.instance="<urn:uuid:1>"')

    gruu = ';pub-gruu="sip:100@pbx.example.com;gr=urn:uuid:1";expires=60'
    room.pbx.answer(request, 200, ("contact", f"<{OURS}>{gruu}"))

    assert contacts_of(room.phone.heard(200)) == [f"<sip:100@127.0.0.1:6000>{gruu}"]


def test_over_tcp_the_connection_of_the_telephone_is_used() -> None:
    room = Room()
    phone = Peer(room, "phone", ("127.0.0.1", 6000), transport=Transport.TCP, connection=7)
    phone.register("<sip:100@127.0.0.1:6000;transport=tcp>")

    room.pbx.ask("MESSAGE", OURS)

    assert phone.got("MESSAGE").uri == "sip:100@127.0.0.1:6000;transport=tcp"
    assert (room.sent[-1].flow.transport, room.sent[-1].flow.connection) == (Transport.TCP, 7)


def test_a_telephone_that_registers_by_udp_for_tcp_is_connected_to() -> None:
    room = Room()
    room.phone.register("<sip:100@127.0.0.1:6000;transport=TCP>")

    room.pbx.ask("MESSAGE", OURS)

    assert (room.sent[-1].flow.transport, room.sent[-1].flow.connection) == (Transport.TCP, 0)


def test_towards_a_telephone_system_by_tcp_or_tls_the_contact_says_so() -> None:
    for transport, written in ((Transport.TCP, ";transport=tcp"), (Transport.TLS, ";transport=tls")):
        room = Room(replace(FACES, pbx_transport=transport))

        assert contacts_of(register(room)) == [f"<{OURS}{written}>"]


def test_over_tls_the_telephone_registers_again_soon() -> None:
    """Else a new connection, with its new port, would not be known to the telephone system for long."""
    room = Room(replace(FACES, pbx_transport=Transport.TLS))
    request = register(room, "Expires: 3600")

    room.pbx.answer(request, 200, ("contact", f"<{OURS};transport=tls>;q=1;expires=3600"))

    assert contacts_of(room.phone.heard(200)) == ["<sip:100@127.0.0.1:6000>;q=1;expires=120"]
    assert len(room.router.registrations(3599.0)) == 1


def test_over_tls_a_registrar_that_lists_nothing_is_cut_short_too() -> None:
    room = Room(replace(FACES, pbx_transport=Transport.TLS))

    room.pbx.answer(register(room, "Expires: 3600"), 200)

    assert room.phone.heard(200).headers.get("expires") == "120"


def test_a_new_address_of_ours_takes_the_place_of_the_old_one() -> None:
    """The old Contact is removed with the REGISTER that tells the new one, and not shown to the telephone."""
    room = Room(replace(FACES, pbx_transport=Transport.TLS))
    room.phone.register()
    room.router.faces = replace(
        room.router.faces, pbx=("192.0.2.10", 50_000), pbx_former=frozenset({FACES.pbx})
    )

    request = register(room, cseq=2)
    room.pbx.answer(
        request,
        200,
        ("contact", "<sip:100@192.0.2.10:50000;transport=tls>;expires=90"),
        ("contact", f"<{OURS};transport=tls>;expires=30"),
    )

    assert contacts_of(request) == [
        "<sip:100@192.0.2.10:50000;transport=tls>",
        f"<{OURS};transport=tls>;expires=0",
    ]
    assert contacts_of(room.phone.heard(200)) == ["<sip:100@127.0.0.1:6000>;expires=90"]


def test_a_telephone_by_ipv6_is_found() -> None:
    faces = replace(FACES, phone=("::1", 5060))
    room = Room(faces)
    phone = Peer(room, "phone", ("::1", 6000))
    phone.register("<sip:100@[::1]:6000>")

    room.pbx.ask("MESSAGE", OURS)

    assert phone.got("MESSAGE").uri == "sip:100@[::1]:6000"


def test_a_telephone_system_by_ipv6_is_told_an_address_in_brackets() -> None:
    room = Room(replace(FACES, pbx=("2001:db8::a", 5060)))

    assert contacts_of(register(room)) == ["<sip:100@[2001:db8::a]:5060>"]


def test_a_register_for_the_edge_itself_is_for_the_telephone_system() -> None:
    room = Room()

    room.phone.ask("REGISTER", "sip:127.0.0.1:5060;transport=udp", "Contact: <sip:100@127.0.0.1:6000>")

    assert room.pbx.got("REGISTER").uri == "sip:pbx.example.com"


def test_nobody_registers_from_the_telephone_system() -> None:
    room = Room()

    room.pbx.ask("REGISTER", "sip:192.0.2.10", "Contact: <sip:100@127.0.0.1:6000>")

    room.pbx.heard(405)
    assert room.router.registrations(0.0) == ()


def test_a_restart_forgets_no_telephone() -> None:
    before, after = Room(), Room()
    before.phone.register("<sip:100@127.0.0.1:6000;ob>", expires_s=600)
    before.wait(100.0)

    after.router.bindings.restore(before.router.bindings.snapshot(100.0), FACES, 0.0)
    after.pbx.ask("MESSAGE", OURS)

    assert after.phone.got("MESSAGE").uri == "sip:100@127.0.0.1:6000;ob"
    assert len(after.router.registrations(499.0)) == 1
    assert after.router.registrations(501.0) == ()


def test_what_was_kept_cannot_name_another_machine() -> None:
    before, after = Room(), Room()
    before.phone.register()
    (kept,) = before.router.bindings.snapshot(0.0)

    after.router.bindings.restore(
        (
            replace(kept, uri="sip:100@192.0.2.99:6000"),
            replace(kept, transport="TLS"),
            replace(kept, token="callseal-line"),  # noqa: S106 - a name
            replace(kept, uri="<<<"),
            replace(kept, left_s=-1.0),
        ),
        FACES,
        0.0,
    )

    assert after.router.registrations(0.0) == ()


def test_there_is_something_to_save_only_when_something_changed() -> None:
    room = Room()
    bindings = room.router.bindings

    before = bindings.take_changed()
    room.phone.register()
    after, again = bindings.take_changed(), bindings.take_changed()
    room.pbx.answer(register(room, contact="", cseq=2), 404)

    assert (before, after, again, bindings.take_changed()) == (False, True, False, False)


def test_registrations_that_are_over_make_room() -> None:
    room = Room()
    for number in range(32):
        room.phone.register(f"<sip:{number}@127.0.0.1:6000>", aor=str(number), expires_s=60)
    room.wait(61.0)

    room.phone.register("<sip:x@127.0.0.1:6000>", aor="x")

    assert [each.token for each in room.router.registrations(room.now_s)] == ["x"]


def test_two_flows_of_one_telephone_are_two_contacts() -> None:
    """RFC 5626: the same +sip.instance, each flow with a reg-id of its own."""
    room = Room()
    instance = '+sip.instance="<urn:uuid:1>"'

    first = register(room, contact=f"<sip:100@127.0.0.1:6000>;{instance};reg-id=1")
    room.pbx.answer(first, 200, ("contact", f"<{OURS}>;expires=60"))
    request = register(room, contact=f"<sip:100@127.0.0.1:6002>;{instance};reg-id=2", cseq=2)

    assert uri_of(contacts_of(request)[0]) == "sip:100-2@192.0.2.10:5060"


def test_who_registers_takes_the_place_of_those_with_the_same_user_who_have_not() -> None:
    room = Room()
    for number in range(64):
        register(room, contact=f"<sip:100@127.0.0.1:{7000 + number}>", cseq=number + 1)

    room.phone.register()

    assert [each.token for each in room.router.registrations(0.0)] == ["100"]


def test_a_large_request_by_tcp_does_not_move_a_telephone_that_registered_by_udp() -> None:
    room = Room()
    room.phone.register()
    by_tcp = Peer(room, "phone", ("127.0.0.1", 6000), transport=Transport.TCP, connection=9)
    by_tcp.ask("SUBSCRIBE", "sip:200@pbx.example.com", "Contact: <sip:100@127.0.0.1:6000>")

    room.pbx.ask("MESSAGE", OURS)

    assert room.sent[-1].flow.transport is Transport.UDP


def test_a_telephone_that_comes_by_another_connection_is_sent_to_by_that() -> None:
    room = Room()
    contact = "<sip:100@127.0.0.1:6000;transport=tcp>"
    Peer(room, "phone", ("127.0.0.1", 6000), transport=Transport.TCP, connection=3).register(contact)
    again = Peer(room, "phone", ("127.0.0.1", 6000), transport=Transport.TCP, connection=4)
    again.ask("SUBSCRIBE", "sip:200@pbx.example.com", f"Contact: {contact}")

    room.pbx.ask("MESSAGE", OURS)

    assert room.sent[-1].flow.connection == 4


def test_a_register_with_a_tag_in_to_registers_too() -> None:
    room = Room()
    to = "<sip:100@pbx.example.com>;tag=left-over"

    request = register(room, to=to)
    room.pbx.answer(request, 200, ("contact", f"<{OURS}>;expires=60"))

    room.phone.ask("REGISTER", "sip:pbx.example.com", "Contact: <sip:1@192.0.2.99>", to=to)

    assert contacts_of(request) == [f"<{OURS}>"]
    assert len(room.router.registrations(1.0)) == 1
    room.phone.heard(403)


def test_another_line_of_the_same_telephone_has_its_own_token() -> None:
    """Same +sip.instance and address of record, another user: no telephone that has moved."""
    room = Room()
    room.phone.register('<sip:100@127.0.0.1:6000>;+sip.instance="<urn:uuid:1>"')

    request = register(room, contact='<sip:door@127.0.0.1:6100>;+sip.instance="<urn:uuid:1>"', cseq=2)

    assert uri_of(contacts_of(request)[0]) == "sip:door@192.0.2.10:5060"


def test_two_contacts_of_one_register_never_share_a_token() -> None:
    room = Room()
    instance = '+sip.instance="<urn:uuid:1>"'
    room.phone.register(f"<sip:100@127.0.0.1:6000>;{instance}")

    request = register(
        room,
        contact=f"<sip:100@127.0.0.1:6100>;{instance}, <sip:100@127.0.0.1:6102>;{instance}",
        cseq=2,
    )

    assert [uri_of(value) for value in contacts_of(request)] == [OURS, "sip:100-2@192.0.2.10:5060"]


def test_a_contact_at_the_address_that_others_know_this_machine_by_is_on_it() -> None:
    room = Room()
    softphone = Peer(room, "phone", ("192.0.2.10", 6000))
    softphone.register("<sip:100@192.0.2.10:6000>")

    room.pbx.ask("MESSAGE", OURS)

    assert softphone.got("MESSAGE").uri == "sip:100@192.0.2.10:6000"


def test_what_a_contact_says_of_other_ways_is_no_part_of_a_request_uri() -> None:
    room = Room()
    room.phone.register("<sip:100@127.0.0.1:6000;maddr=203.0.113.66;method=BYE;ob?Subject=x>")

    room.pbx.ask("MESSAGE", OURS)

    assert room.phone.got("MESSAGE").uri == "sip:100@127.0.0.1:6000;ob"
