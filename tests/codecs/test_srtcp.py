"""SRTCP received: reports of another implementation are opened, forged ones are not."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callseal.codecs.srtcp import ControlUnprotector
from callseal.codecs.srtp_suite import Suite, session_keys
from support.srtp_batches import master

PLAIN = bytes.fromhex("81c8000bcafebabe" + "ab" * 40)
# Made by libsrtp through pylibsrtp 1.0.0: Session(Policy(key=bytes(range(n)),
# ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=…)).protect_rtcp(PLAIN).
COUNTER_MODE = (
    "81c8000bcafebabe2dcbd1a0f763810879d398df743f4f7da53e77c1f07631a54f073f68514f48fc5221aec1e679451b80000001"
    "2678d9e9b708a0fc4001"
)
LIBSRTP = {
    Suite.AES_128_CM_80: COUNTER_MODE,
    Suite.AES_128_CM_32: COUNTER_MODE,
    Suite.AES_128_GCM: (
        "81c8000bcafebabe60b68cb97100e4206ca1c1b44a69f017161c24aaef5d2f7d9ad1cf0b2318ecbe2346e9b6ed3bb27b9ae50bf4"
        "1a41291b1a96a220cb2171dc80000001"
    ),
    Suite.AES_256_GCM: (
        "81c8000bcafebabe12d596ce61c485e7bae16103356375e935988821743ba6cc2ad5d439aaf09f829af0448b360de21a7e3d16cb"
        "cbdccaa819505f8f448f7dc280000001"
    ),
}
SUITES = pytest.mark.parametrize("suite", LIBSRTP, ids=lambda suite: suite.value)


@SUITES
def test_a_report_of_another_implementation_is_opened(suite: Suite) -> None:
    reports = ControlUnprotector(suite, master(suite))

    assert reports.unprotect(bytes.fromhex(LIBSRTP[suite])) == PLAIN


@SUITES
@given(st.data())
def test_a_report_that_was_touched_or_cut_anywhere_is_refused(suite: Suite, data: st.DataObject) -> None:
    reports = ControlUnprotector(suite, master(suite))
    packet = bytes.fromhex(LIBSRTP[suite])
    at = data.draw(st.integers(0, len(packet) - 1))
    touched = packet[:at] + bytes((packet[at] ^ 1 << data.draw(st.integers(0, 7)),)) + packet[at + 1 :]

    assert reports.unprotect(touched) is None
    assert reports.unprotect(packet[:at]) is None


@SUITES
@given(st.binary(max_size=200))
def test_whatever_comes_nothing_is_raised(suite: Suite, packet: bytes) -> None:
    assert ControlUnprotector(suite, master(suite), mki=b"\1").unprotect(packet) is None


@SUITES
def test_a_report_under_another_master_key_is_refused(suite: Suite) -> None:
    packet = bytes.fromhex(LIBSRTP[suite])
    at = len(packet) - (0 if suite.shape.is_aead else suite.shape.control_tag_bytes)
    named = packet[:at] + b"\2" + packet[at:]

    assert ControlUnprotector(suite, master(suite), mki=b"\2").unprotect(named) == PLAIN
    assert ControlUnprotector(suite, master(suite), mki=b"\1").unprotect(named) is None


def test_a_report_that_is_only_authenticated_is_taken_as_it_is() -> None:
    """RFC 3711 section 3.4: E is 0; the tag is that of the derived key, label 4."""
    suite = Suite.AES_128_CM_80
    covered = PLAIN + bytes(4)
    key = session_keys(suite, master(suite), control=True).authentication_key

    tag = hmac.new(key, covered, hashlib.sha1).digest()[:10]

    assert ControlUnprotector(suite, master(suite)).unprotect(covered + tag) == PLAIN
