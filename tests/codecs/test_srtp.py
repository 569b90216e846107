"""SRTP received: the standards' own vectors, and packets that were touched."""

import hashlib
import hmac

import pytest

from callseal.codecs.srtp import SrtpBank
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import SessionKeys, Suite, session_keys
from support.srtp_batches import SrtpLine, master, rtp, unprotect

SUITES = pytest.mark.parametrize("suite", Suite, ids=lambda suite: suite.value)


# Made by libsrtp through pylibsrtp 1.0.0, key and salt being 00 01 02 …: Session(Policy(key=bytes(range(n)),
# ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=…)).protect(…) of both packets in PLAIN, in this order.
# The second has a CSRC and a header extension.
PLAIN = (
    "800f1234decafbadcafebabe" + "ab" * 16,
    "910f1235decafc4dcafebabe0000000abede000110aa0000" + "ab" * 20,
)
LIBSRTP = {
    Suite.AES_128_CM_80: (
        "800f1234decafbadcafebabec8f5e0214236e5fde9cbd62d47b0a0914abc4786f3c58a32060f",
        (
            "910f1235decafc4dcafebabe0000000abede000110aa0000"
            "fb2ae332f4912f7233f8d1c81cee8cfcfaf7e3c5c9463bb266c8786be0cc"
        ),
    ),
    Suite.AES_128_CM_32: (
        "800f1234decafbadcafebabec8f5e0214236e5fde9cbd62d47b0a0914abc4786",
        "910f1235decafc4dcafebabe0000000abede000110aa0000fb2ae332f4912f7233f8d1c81cee8cfcfaf7e3c5c9463bb2",
    ),
    Suite.AES_128_GCM: (
        "800f1234decafbadcafebabe4ad7d8a55fb3fd902db557c94b415ecd17ea3bd1754d1f2808104e868c1cf597",
        (
            "910f1235decafc4dcafebabe0000000abede000110aa0000"
            "d831fb777fc6cf1ea3ed00b4672e98a44817e1b28ff802dd6ea6e84905e35691cb445c8c"
        ),
    ),
    Suite.AES_256_GCM: (
        "800f1234decafbadcafebabed54ed632a76bff3fa2efbb5597a5d5e87c07497c6b89729d1291317aeef11ba7",
        (
            "910f1235decafc4dcafebabe0000000abede000110aa0000"
            "8fa535100aa42ea116c8f371f2cf556b65375a0f568f8ffa95c1c37aa0a9f9b2b8050f2f"
        ),
    ),
}


@pytest.mark.parametrize("suite", LIBSRTP, ids=lambda suite: suite.value)
def test_packets_of_another_implementation_are_opened_and_made_the_same(suite: Suite) -> None:
    plain = [bytes.fromhex(packet) for packet in PLAIN]
    sealed = [bytes.fromhex(packet) for packet in LIBSRTP[suite]]
    line = SrtpLine(suite)

    opened = line.receive(*sealed)

    assert list(opened.packets) == plain
    assert [line.sender.protect(packet) for packet in plain] == sealed


def test_the_key_derivation_of_rfc_3711() -> None:
    """RFC 3711 appendix B.3."""
    master_key = "E1F97A0D3E018BE0D64FA32C06DE4139" + "0EC675AD498AFEEBB6960B3AABE6"

    keys = session_keys(Suite.AES_128_CM_80, bytes.fromhex(master_key))

    assert keys.key.hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert keys.salt.hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert keys.authentication_key.hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_the_key_derivation_of_rfc_6188() -> None:
    """RFC 6188 section 7.2."""
    master_key = (
        "f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6" + "3b04803de51ee7c96423ab5b78d2"
    )

    keys = session_keys(Suite.AES_256_CM_80, bytes.fromhex(master_key))

    assert keys.key.hex() == "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4"
    assert keys.salt.hex() == "fa31791685ca444a9e07c6c64e93"
    assert keys.authentication_key.hex() == "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05"


@pytest.mark.parametrize(
    ("suite", "key", "stream"),
    [
        (
            Suite.AES_128_CM_80,  # RFC 3711 appendix B.2
            "2B7E151628AED2A6ABF7158809CF4F3C",
            "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB",
        ),
        (
            Suite.AES_256_CM_80,  # RFC 6188 section 7.1
            "57f82fe3613fd170a85ec93c40b1f0922ec4cb0dc025b58272147cc438944a98",
            "92bdd28a93c3f52511c677d08b5515a4 9da71b2378a854f67050756ded165bac",
        ),
    ],
    ids=["rfc3711", "rfc6188"],
)
def test_the_key_stream_of_the_standards(suite: Suite, key: str, stream: str) -> None:
    """Both have a salt of F0 … FD, an SSRC of 0 and the first packet."""
    keys = SessionKeys(
        suite=suite,
        key=bytes.fromhex(key),
        salt=bytes(range(0xF0, 0xFE)),
        authentication_key=bytes(20),
    )
    bank = SrtpBank()
    number = bank.open_keyed(keys)
    expected = bytes.fromhex(stream)
    # A payload of zeros comes out as the key stream; HMAC-SHA1 with a key of zeros signs it.
    packet = rtp(0, bytes(len(expected)), ssrc=0)
    tag = hmac.new(bytes(20), packet + bytes(4), hashlib.sha1).digest()[:10]

    (opened,) = unprotect(bank, [(number, packet + tag)]).packets

    assert opened == packet[:12] + expected


@pytest.mark.parametrize(
    ("suite", "key_bytes", "sealed"),
    [
        (
            Suite.AES_128_GCM,
            16,
            (
                "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee439"
                "0cce"
            ),
        ),
        (
            Suite.AES_256_GCM,
            32,
            (
                "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a7"
                "6c13"
            ),
        ),
    ],
    ids=lambda value: value.value if isinstance(value, Suite) else "",
)
def test_the_packets_of_rfc_7714(suite: Suite, key_bytes: int, sealed: str) -> None:
    """RFC 7714 sections 16.1.1 and 16.2.1: session keys 00 01 …, salt "Quid pro quo"."""
    bank = SrtpBank()
    number = bank.open_keyed(SessionKeys(suite=suite, key=bytes(range(key_bytes)), salt=b"Quid pro quo"))
    header = bytes.fromhex("8040f17b8041f8d35501a0b2")

    opened = unprotect(bank, [(number, header + bytes.fromhex(sealed))])

    assert opened.packets == (header + b"Gallia est omnis divisa in partes tres",)


@SUITES
def test_sound_comes_out_as_it_went_in_and_a_packet_that_was_touched_does_not(suite: Suite) -> None:
    line = SrtpLine(suite)
    sent = line.send(1, 2, 3)
    touched = bytearray(sent[1])
    touched[40] ^= 1

    opened = line.receive(sent[0], bytes(touched), sent[2])

    assert opened.packets == (rtp(1, ssrc=1), None, rtp(3, ssrc=1))


@SUITES
def test_a_packet_with_another_key_is_refused(suite: Suite) -> None:
    line = SrtpLine(suite)
    stranger = Protector(suite, bytes(suite.key_and_salt_bytes))

    opened = line.receive(stranger.protect(rtp(1)), *line.send(2))

    assert opened.good == [False, True]


@SUITES
def test_many_streams_of_all_lengths_are_opened_in_one_batch(suite: Suite) -> None:
    bank, packets, plain = SrtpBank(), [], []
    for number in range(40):
        sender = Protector(suite, bytes((number,)) * suite.key_and_salt_bytes)
        stream = bank.open(suite, bytes((number,)) * suite.key_and_salt_bytes)
        for sequence in range(number % 5):
            packet = rtp(sequence, bytes((sequence,)) * (1 + number * 10), ssrc=number)
            plain.append(packet)
            packets.append((stream, sender.protect(packet)))

    assert unprotect(bank, packets).packets == tuple(plain)


def test_streams_of_all_suites_lie_in_one_batch_in_any_order() -> None:
    bank = SrtpBank()
    lines = [(bank.open(suite, master(suite)), Protector(suite, master(suite))) for suite in Suite]

    opened = unprotect(
        bank, [(stream, sender.protect(rtp(sequence))) for sequence in range(3) for stream, sender in lines]
    )

    assert opened.packets == tuple(rtp(sequence) for sequence in range(3) for _ in lines)
