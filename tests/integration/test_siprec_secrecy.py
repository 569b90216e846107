"""What gateways tell of people stays sealed: nobody reads it in the log, the status, a file or its name."""

import base64
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from callseal.cli.demo.office import AGENT
from callseal.codecs.srtp_protector import Protector
from callseal.codecs.srtp_suite import Suite
from support.desk import Recorded
from support.process import children
from support.recorder_life import begin, settle
from support.recording_server import (
    Copies,
    Copy,
    RecordingServer,
    metadata,
    multipart,
    recording_server,
    session,
)
from support.rtp_sender import Stream, codes

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-secrecy"),
]

CUSTOMER = "+8613912345678"
NUMBER = CUSTOMER.removeprefix("+86").encode()
NAME = b"Ouyang Xiaotian"
GROUP = b"g-5ec2e7c0ffee"
KEY = bytes(range(0x61, 0x61 + 30))
UUI = b"pol-4711-0815"
DOCUMENT = metadata(customer=CUSTOMER, group=GROUP.decode()).replace(
    '@carrier.example"/>', f'@carrier.example"><name>{NAME.decode()}</name></nameID>'
)
OFFER = (
    session()
    .replace("RTP/AVP", "RTP/SAVP")
    .replace(
        "a=sendonly\r\n",
        f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(KEY).decode()}\r\na=sendonly\r\n",
    )
)


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "workers"])
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RecordingServer]:
    root = tmp_path_factory.mktemp("secrecy")
    with recording_server(root, source=f"workers = {request.param}", start=False) as running:
        settle(running, ('level = "info"', 'level = "debug"'))
        begin(running)
        yield running


@pytest.fixture(scope="module")
def told(server: RecordingServer) -> tuple[RecordingServer, list[bytes], list[Recorded]]:
    """Give the server after calls of all kinds, what nobody may read of them, and what was recorded."""
    with server.gateway() as gateway:
        good = _encrypted(gateway)
        _tell_oddly(good)
        private = gateway.copy(*multipart(session(), metadata(agent="9999", customer=CUSTOMER)))
        private.again(DOCUMENT, "Content-Type: application/rs-metadata+xml\r\n", method="UPDATE")
        refused = gateway.copy(session(formats="96"), user=NUMBER.decode())
        garbage = f"INVITE sip:{CUSTOMER}@x SIP/2.0\r\nFrom: {NAME.decode()} <sip:{CUSTOMER}@x\r\n\r\n"
        gateway.peer.send(garbage)
        gateway.peer.send(garbage.replace("\r\n\r\n", "\r\nCall-ID: 1\r\nCSeq: x INVITE\r\n\r\n"))
        good.bye()
        private.bye()
        recorded = server.of(good, private)
    needles = [NUMBER, NAME, GROUP, UUI, KEY, base64.b64encode(KEY), KEY.hex().encode()]
    needles += [copy.call_id.encode() for copy in (good, private, refused)]
    return server, needles, recorded


def _encrypted(gateway: Copies) -> Copy:
    """Copy a call whose sound is encrypted."""
    copy = gateway.copy(*multipart(OFFER, DOCUMENT), user=NUMBER.decode())
    assert copy.answer.code == 200, copy.answer.text
    for leg in (0, 1):
        suite = Suite.named("AES_CM_128_HMAC_SHA1_80")
        assert suite is not None
        protector = Protector(suite, KEY)
        sound = codes(leg + 1, 8000).tobytes()
        gateway.send(Stream(port=copy.ports[leg], sound=sound, ssrc=leg + 1, protect=protector.protect))
    return copy


def _tell_oddly(copy: Copy) -> None:
    """Tell of a call in requests that are not in order."""
    xml = "Content-Type: application/rs-metadata+xml\r\n"
    uui = f"User-to-User: {UUI.decode()}\r\n"
    copy.again(DOCUMENT.replace("</recording>", f"<x>{CUSTOMER}"), xml + uui, method="UPDATE")
    copy.again(f"{NAME.decode()} {CUSTOMER}", "Content-Type: text/plain\r\n", method="INFO")
    copy.again(f"m=audio {CUSTOMER} RTP/AVP 0", "Content-Type: application/sdp\r\n", method="UPDATE")
    copy.again(OFFER.replace("AES_CM_128", f"X{NUMBER.decode()}"), method="UPDATE")


def test_nobody_reads_of_a_call_in_any_file(
    told: tuple[RecordingServer, list[bytes], list[Recorded]],
) -> None:
    server, needles, recorded = told

    root = server.office.root
    files = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    found = [
        (name, needle)
        for name, data in files.items()
        for needle in needles
        if needle.lower() in data.lower() or needle.lower() in str(name).lower().encode()
    ]
    assert not found
    assert b"recording.opened" in files[Path("logs", "agent.log")]
    assert NUMBER.decode() in str(recorded[0].vcon)  # where they belong, they are


def test_no_process_leaves_its_memory_in_a_core(
    told: tuple[RecordingServer, list[bytes], list[Recorded]],
) -> None:
    server, _, _ = told
    pid = server.office.process(AGENT).pid

    limits = [resource.prlimit(each, resource.RLIMIT_CORE) for each in (pid, *children(pid))]

    assert set(limits) == {(0, 0)}
