"""SRTP: who has the key is recorded, nobody else is."""

import pytest

from callseal.agent.call import StreamReport
from callseal.agent.errors import SourceError
from callseal.agent.sdp.session import Crypto
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite
from support.media_room import find, media_room, plan
from support.rtp_sender import Stream, codes

SECOND = 8000
KEY = bytes(range(46))


def crypto(suite: Suite, key: bytes = KEY) -> Crypto:
    return Crypto(tag=1, suite=suite.value, key_and_salt=key[: suite.key_and_salt_bytes])


def protector(suite: Suite, key: bytes = KEY) -> Protector:
    return Protector(suite, key[: suite.key_and_salt_bytes])


@pytest.mark.parametrize("suite", list(Suite))
def test_encrypted_and_plain_legs_of_one_call_are_recorded(suite: Suite) -> None:
    agent, customer = codes(1, 3 * SECOND), codes(2, 3 * SECOND)
    with media_room() as room:
        reserved = room.reserve()
        ports = reserved.ports
        recording = room.open(reserved, [plan(ports[0], 0, crypto=crypto(suite)), plan(ports[1], 1)])
        legs = [
            Stream(port=ports[0], sound=agent.tobytes(), protect=protector(suite).protect),
            Stream(port=ports[1], sound=customer.tobytes(), ssrc=2),
        ]

        room.play(legs, 3.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, agent)
        find(kept.sound, 1, customer)
        assert [(one.encrypted, one.unauthentic) for one in kept.of(StreamReport)] == [(True, 0), (False, 0)]


def test_packets_without_the_key_are_counted_and_take_nothing_over() -> None:
    sound = codes(3, 3 * SECOND)
    suite = Suite.AES_128_CM_80
    with media_room() as room:
        reserved = room.reserve(1)
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, (0, 1), crypto=crypto(suite))])
        false = Stream(
            port=port,
            sound=codes(4, SECOND).tobytes(),
            protect=protector(suite, bytes(46)).protect,
            source=room.gateway.source("127.0.0.9"),
        )
        true = Stream(
            port=port,
            sound=sound.tobytes(),
            protect=protector(suite).protect,
            begins_s=0.5,
            source=room.gateway.source(),
        )

        room.play([false, true], 3.6)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound)
        assert kept.of(StreamReport)[0].unauthentic == 50


def test_a_new_key_counts_from_then_on() -> None:
    sound = codes(5, 4 * SECOND)
    suite, other = Suite.AES_128_CM_32, Suite.AES_256_GCM
    with media_room() as room:
        reserved = room.reserve(1)
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, crypto=crypto(suite))])
        first = Stream(port=port, sound=sound[: 2 * SECOND].tobytes(), protect=protector(suite).protect)
        second = Stream(
            port=port,
            sound=sound[2 * SECOND :].tobytes(),
            sequence=first.sequence + 100,
            ts=first.ts + 2 * SECOND,
            protect=protector(other, bytes(reversed(KEY))).protect,
        )
        room.play([first], 2.0)

        room.change(recording, plan(port, 0, crypto=crypto(other, bytes(reversed(KEY)))))
        room.play([second], 2.1)
        room.close(reserved)

        kept = room.kept(recording)
        find(kept.sound, 0, sound[: 2 * SECOND])
        find(kept.sound, 0, sound[2 * SECOND :])
        assert kept.of(StreamReport)[0].unauthentic == 0


@pytest.mark.parametrize(
    "bad",
    [
        Crypto(tag=1, suite="NULL_HMAC_SHA1_80", key_and_salt=KEY[:30]),
        Crypto(tag=1, suite="AES_CM_128_HMAC_SHA1_80", key_and_salt=KEY[:29]),
    ],
)
def test_a_key_of_no_use_is_told_and_costs_no_other_call_anything(bad: Crypto) -> None:
    sound = codes(6, SECOND)
    with media_room() as room:
        beside = room.reserve()
        recording = room.open(beside)
        reserved = room.reserve(1)

        with pytest.raises(SourceError):
            room.open(reserved, [plan(reserved.ports[0], 0, crypto=bad)])

        room.play([Stream(port=beside.ports[0], sound=sound.tobytes())], 1.1)
        room.close(beside)
        find(room.kept(recording).sound, 0, sound)


def test_a_bad_new_key_leaves_the_old_one_in_force() -> None:
    sound = codes(7, 2 * SECOND)
    suite = Suite.AES_128_CM_80
    bad = Crypto(tag=1, suite=suite.value, key_and_salt=b"short")
    with media_room() as room:
        reserved = room.reserve(1)
        port = reserved.ports[0]
        recording = room.open(reserved, [plan(port, 0, crypto=crypto(suite))])

        with pytest.raises(SourceError):
            room.change(recording, plan(port, 0, crypto=bad))

        room.play([Stream(port=port, sound=sound.tobytes(), protect=protector(suite).protect)], 2.1)
        room.close(reserved)
        find(room.kept(recording).sound, 0, sound)
