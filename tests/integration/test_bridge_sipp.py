"""Desk calls between sipp and sipp, through a running agent."""

import time
from pathlib import Path

import pytest

from callseal.codecs import g711
from support.calls import NUMBER, be_refused, place
from support.desk import ENGLISH, NO_ANNOUNCEMENT, desk
from support.programs import free_udp_port
from support.sipp import Callee, Caller, Codec, Sipp, pause, play, receive
from support.sound import RATE_HZ, demo_speech, likeness, locate, write_ulaw

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("inbound", [False, True])
def test_each_party_is_on_its_own_channel_and_the_announcement_on_both(
    tmp_path: Path, *, inbound: bool
) -> None:
    """An outbound and an inbound call: agent on channel 0, customer on 1, both announced."""
    agent, customer = demo_speech("en-agent"), demo_speech("en-customer")
    agent_file = write_ulaw(tmp_path / "agent.ul", agent)
    customer_file = write_ulaw(tmp_path / "customer.ul", customer)
    calling, called = (customer_file, agent_file) if inbound else (agent_file, customer_file)
    caller, callee = Caller(user="13800138000" if inbound else "6001"), Callee()
    after = 5.0  # the English announcement lasts 4.1 s
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(after), play(calling), pause(9), caller.hang_up()],
            [
                callee.invited(),
                callee.respond(180, "Ringing"),
                *callee.answers(),
                pause(after),
                play(called),
                callee.hung_up_on(),
            ],
            inbound=inbound,
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "ok", recording.call
    assert recording.manifest.direction.value == ("inbound" if inbound else "outbound")
    assert recording.manifest.encoding == 1
    (told,) = recording.disclosures
    assert told["complete"]
    assert told["heard_by"] == ["agent", "customer"]
    talk = recording.audio[:, told["end_sample"] :]
    assert likeness(talk[0], agent) >= 0.95
    assert likeness(talk[1], customer) >= 0.95
    assert abs(locate(talk[0], customer)[1]) <= 0.15
    assert abs(locate(talk[1], agent)[1]) <= 0.15
    parties = recording.vcon["parties"]
    assert parties[1]["tel"] == "+8613800138000"
    assert parties[0]["sip"].startswith("sip:6001@")
    assert recording.call["business_type"] == "sales"
    assert len(recording.call["sip_call_ids"]) == 2


def test_the_announcement_stands_where_the_metadata_says(tmp_path: Path) -> None:
    """Start and end are exact to the sample: the announcement is found there on both channels."""
    from callseal.agent.announcement import read  # noqa: PLC0415 - only this test looks inside
    from callseal.config.announcement import Builtin, read_announcement  # noqa: PLC0415

    caller, callee = Caller(), Callee()
    spoken = read("en", "en", "en.wav", read_announcement(Builtin(name="en")), RATE_HZ).samples
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(6), caller.hang_up()],
            [callee.invited(), *callee.answers(), callee.hung_up_on()],
        )
        (recording,) = at.wait_for(1)

    (told,) = recording.disclosures
    assert told["end_sample"] - told["start_sample"] == spoken.size
    for channel in recording.audio:
        position, score = locate(channel, spoken)
        assert position == told["start_sample"]
        assert score >= 0.99


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_g711_is_kept_byte_for_byte(tmp_path: Path, codec: Codec) -> None:
    """What a party sent in G.711 stands in the inner file unchanged, frame by frame of 20 ms.

    A frame that the sender or this machine delayed too long may be missing; none may be changed.
    """
    law = g711.Law(codec)
    speech = demo_speech("en-agent")[: 4 * RATE_HZ]
    sent = g711.encode(speech, law)
    path = write_ulaw(tmp_path / "agent.g711", speech, law)
    caller, callee = Caller(codec=codec), Callee(codec=codec)
    with desk(tmp_path / "desk", rules=NO_ANNOUNCEMENT) as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(1), play(path, codec), pause(5), caller.hang_up()],
            [callee.invited(), *callee.answers(), callee.hung_up_on()],
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.encoding == (1 if codec == "PCMU" else 27)
    start, _score = locate(recording.audio[0], g711.decode(sent, law))
    kept = g711.encode(recording.audio[0], law).tobytes()
    # µ-law has two zeros; the library below decodes both to the same value.
    wanted = g711.encode(g711.decode(sent, law), law).tobytes()
    frame, slack = RATE_HZ // 50, RATE_HZ // 10
    frames = range(0, len(wanted), frame)
    found = [
        wanted[at : at + frame] in kept[max(0, start + at - slack) : start + at + frame + slack]
        for at in frames
    ]
    assert sum(found) / len(found) >= 0.9


@pytest.mark.parametrize("inbound", [False, True])
def test_legs_with_different_laws_are_recorded_as_pcm(tmp_path: Path, *, inbound: bool) -> None:
    """µ-law on one side and A-law on the other: both are heard; linear samples, nothing coded again."""
    agent, customer = demo_speech("en-agent")[: 4 * RATE_HZ], demo_speech("en-customer")[: 4 * RATE_HZ]
    calling, called = (customer, agent) if inbound else (agent, customer)
    calling_file = write_ulaw(tmp_path / "caller.ul", calling)
    called_file = write_ulaw(tmp_path / "callee.al", called, g711.Law.A)
    caller, callee = Caller(codec="PCMU"), Callee(codec="PCMA")
    with desk(tmp_path / "desk", rules=NO_ANNOUNCEMENT) as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(1), play(calling_file), pause(5), caller.hang_up()],
            [callee.invited(), *callee.answers(), pause(1), play(called_file, "PCMA"), callee.hung_up_on()],
            inbound=inbound,
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.encoding == 3
    assert likeness(recording.audio[0], agent) >= 0.95
    assert likeness(recording.audio[1], customer) >= 0.95


def test_early_media_is_passed_and_recorded(tmp_path: Path) -> None:
    """What the network says before the answer is on the customer's channel, before the announcement."""
    early = demo_speech("en-customer")[: 3 * RATE_HZ]
    path = write_ulaw(tmp_path / "early.ul", early)
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), receive(100, optional=True), receive(180, optional=True), receive(183),
             receive(200), caller.acknowledge(), pause(6), caller.hang_up()],
            [callee.invited(), callee.respond(183, "Session Progress", media=True), pause(0.5), play(path),
             pause(4), callee.respond(200, "OK", media=True), callee.acknowledged(), callee.hung_up_on()],
        )  # fmt: skip
        (recording,) = at.wait_for(1)

    answered = recording.call["answered_at_sample"]
    assert answered >= 4 * RATE_HZ
    assert likeness(recording.audio[1][:answered], early) >= 0.95
    assert recording.disclosures[0]["start_sample"] >= answered
    assert recording.manifest.result.value == "ok"


def test_a_busy_party_is_passed_on_and_leaves_a_trace(tmp_path: Path) -> None:
    """486 reaches the caller; a bundle without audio says why."""
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.refused(486)],
            [callee.invited(), callee.respond(486, "Busy Here"), callee.acknowledged()],
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "exempt"
    assert recording.manifest.reasons == ("unanswered-busy",)
    assert recording.inner == b""
    assert recording.vcon["dialog"][0]["disposition"] == "busy"


def test_a_cancelled_call_ends_on_both_sides(tmp_path: Path) -> None:
    """CANCEL reaches the called side, 487 the caller."""
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), receive(100, optional=True), receive(180), pause(0.5),
             caller.cancel(steps_since_invite=4), receive(200), receive(487), caller.acknowledge()],
            [callee.invited(), callee.respond(180, "Ringing"), callee.cancelled()],
        )  # fmt: skip
        (recording,) = at.wait_for(1)

    assert recording.manifest.reasons == ("unanswered-cancelled",)


def test_the_customer_may_hang_up(tmp_path: Path) -> None:
    """BYE from the called side ends both legs, and the metadata knows who it was."""
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), caller.hung_up_on()],
            [callee.invited_remembering(), callee.respond(200, "OK", media=True), callee.acknowledged(),
             pause(6), callee.hang_up()],
        )  # fmt: skip
        (recording,) = at.wait_for(1)

    assert recording.call["ended_by"] == "customer"
    assert recording.manifest.result.value == "ok"


def test_who_hangs_up_during_the_announcement_has_not_heard_it(tmp_path: Path) -> None:
    """The recording says how far it got, and is not called ok."""
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk") as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(2), caller.hang_up()],
            [callee.invited(), *callee.answers(), callee.hung_up_on()],
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "degraded"
    assert recording.manifest.reasons == ("disclosure-incomplete",)
    (told,) = recording.disclosures
    assert not told["complete"]
    assert 1.0 < (told["end_sample"] - told["start_sample"]) / RATE_HZ < 2.5


def test_an_unreachable_telephone_system_is_a_proper_answer(tmp_path: Path) -> None:
    """Nobody answers at the PBX: the caller gets 503 within seconds, and a trace is left."""
    with desk(tmp_path / "desk") as at:
        be_refused(tmp_path, at, 503)
        (recording,) = at.wait_for(1)

    assert recording.manifest.reasons == ("unanswered-unreachable",)


@pytest.mark.parametrize(
    ("number", "rules", "reason"),
    [
        ("120", ENGLISH, "emergency"),
        (NUMBER, '\n[[rule]]\ncalled = "+86138*"\nrecord = "never"\n', "rule-never"),
    ],
)
def test_calls_that_may_not_be_recorded_leave_no_sound(
    tmp_path: Path, number: str, rules: str, reason: str
) -> None:
    """An emergency or a private line: through at once, unannounced, a bundle without audio."""
    caller, callee = Caller(), Callee()
    with desk(tmp_path / "desk", rules=rules) as at:
        place(
            tmp_path,
            at,
            [caller.invite(), caller.answered(), pause(1), caller.hang_up()],
            [callee.invited(), *callee.answers(), callee.hung_up_on()],
            number=number,
        )
        (recording,) = at.wait_for(1)

    assert recording.manifest.result.value == "exempt"
    assert recording.manifest.reasons == (reason,)
    assert [item.kind for item in recording.manifest.objects] == ["call"]
    assert recording.disclosures == []


def test_two_calls_at_once_are_recorded_apart_and_a_third_is_turned_away(tmp_path: Path) -> None:
    """Each recording has its own call's sound; the third caller hears busy, which leaves a trace.

    Nobody is cut off.
    """
    voices = [demo_speech("en-agent"), demo_speech("zh-agent")]
    files = [write_ulaw(tmp_path / f"voice{n}.ul", voice) for n, voice in enumerate(voices)]
    callee = Callee()
    with (
        desk(tmp_path / "desk", rules=NO_ANNOUNCEMENT) as at,
        Sipp.start(
            tmp_path, "callees", [callee.invited(), *callee.answers(), callee.hung_up_on()],
            port=at.pbx_port, media_port=free_udp_port(), remote=at.bridge, calls=2, at_once=2,
        ) as called,
    ):  # fmt: skip
        talking = []
        for number, file in enumerate(files):
            caller = Caller(user=f"600{number}")
            steps = [caller.invite(), caller.answered(), pause(0.5), play(file), pause(8), caller.hang_up()]
            talking.append(
                Sipp.start(
                    tmp_path, f"caller{number}", steps, port=free_udp_port(), media_port=free_udp_port(),
                    remote=at.bridge, service=NUMBER,
                )
            )  # fmt: skip
        with talking[0], talking[1]:
            deadline_s = time.monotonic() + 10
            while len(list((at.office.spool / "open").glob("*/audio.age"))) < 2:
                assert time.monotonic() < deadline_s
                time.sleep(0.1)
            third = Caller(user="6002")
            with Sipp.start(
                tmp_path, "third", [third.invite(), third.refused(486)], port=free_udp_port(),
                media_port=free_udp_port(), remote=at.bridge, service=NUMBER,
            ) as refused:  # fmt: skip
                refused.finish()
            for one in talking:
                one.finish()
            called.finish()
        recordings = at.wait_for(3)

    by_caller = {recording.vcon["parties"][0]["sip"].split("@")[0]: recording for recording in recordings}
    results = {user: recording.manifest.result.value for user, recording in by_caller.items()}
    assert results == {"sip:6000": "ok", "sip:6001": "ok", "sip:6002": "exempt"}
    trace = by_caller["sip:6002"]
    assert trace.manifest.reasons == ("over-capacity",)
    assert trace.call["sip_code"] == 486
    assert trace.inner == b""
    for number, voice in enumerate(voices):
        audio = by_caller[f"sip:600{number}"].audio
        assert likeness(audio[0], voice[: 7 * RATE_HZ]) >= 0.95
        assert abs(locate(audio[0], voices[1 - number][: 7 * RATE_HZ])[1]) <= 0.15
