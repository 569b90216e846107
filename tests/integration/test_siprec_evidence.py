"""What a gateway told is kept to the byte, in its order; and everybody can list, check and open it."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from callseal.cli.demo.office import AGENT, UPLOADER
from callseal.codecs import au
from callseal.seal.manifest import Direction
from support.desk import Recorded
from support.eventually import eventually
from support.recorder_life import begin, kill
from support.recording_server import (
    REQUIRE,
    Copies,
    Copy,
    RecordingServer,
    metadata,
    multipart,
    recording_server,
    session,
)
from support.rtp_sender import Stream, codes
from support.sip_wire import Wire

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("siprec-evidence"),
]

XML = "Content-Type: application/rs-metadata+xml\r\n"
LIMIT_BYTES = 64 * 1024
WIDE_HZ = 16_000


def documents(recorded: Recorded, purpose: str) -> list[dict[str, Any]]:
    """Give what was attached, in its order."""
    return [one for one in recorded.vcon["attachments"] if one["purpose"] == purpose]


def content(attachment: dict[str, Any]) -> bytes:
    """Give what is attached as it came."""
    body = attachment["body"]
    if attachment["encoding"] == "base64url":
        return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    return str(body).encode()


def ended(server: RecordingServer, copy: Copy) -> Recorded:
    copy.bye()
    return server.of(copy)[0]


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text,
        lambda text: text.replace("Max-Forwards: 70\r\n", "Max-Forwards:\r\n  70\r\nSubject: a\r\n\tb  \r\n"),
        lambda text: text.replace(
            "Max-Forwards: 70\r\n", "Max-Forwards: 70\r\nX-Odd: \xff\xc3\x28 \x00\x01\r\n"
        ),
        lambda text: text.replace("Max-Forwards", "max-FORWARDS").replace("Call-ID:", "i :"),
        lambda text: text.replace("Agent", "\xe5\xbc\xa0\xe4\xbc\x9f \xef\xbb\xbf\xe2\x80\xa8"),
        lambda text: text.replace("\r\n", "\n"),
        lambda text: text.replace("Content-Length: ", "Content-Length: 9"),
        lambda text: text.replace("Content-Length: ", "Content-Length: 1\r\nX-Length: "),
    ],
    ids=["plain", "folded", "no text", "odd names", "other letters", "bare LF", "too long", "too short"],
)
def test_the_invite_is_kept_to_the_byte(
    server: RecordingServer, gateway: Copies, edit: Callable[[str], str]
) -> None:
    sent: list[bytes] = []

    def keep(text: str) -> str:
        sent.append(edit(text).encode("latin-1"))
        return edit(text)

    copy = gateway.copy(edit=keep)
    recorded = ended(server, copy)

    invite = documents(recorded, "sip-message")[0]
    assert content(invite) == sent[0]
    assert invite["mediatype"] == "message/sip"
    assert "cut" not in invite
    assert content(documents(recorded, "rs-metadata")[0]).rstrip().endswith(b"</recording>")
    assert len(copy.ports) == 2


def test_documents_stand_in_the_order_in_which_they_came(server: RecordingServer, gateway: Copies) -> None:
    copy = gateway.copy()
    told = [metadata(agent=f"600{number}") for number in range(2, 6)]

    for document in told:
        copy.again(document, XML, method="UPDATE")
    recorded = ended(server, copy)

    kept = [content(one).decode() for one in documents(recorded, "rs-metadata")]
    assert [text.strip() for text in kept] == [text.strip() for text in (metadata(), *told)]
    times = [one["start"] for one in recorded.vcon["attachments"]]
    assert times == sorted(times)
    methods = [content(one).split()[0] for one in documents(recorded, "sip-message")]
    assert methods == [b"INVITE", *[b"UPDATE"] * len(told)]


def test_what_is_too_long_to_keep_is_cut_and_said_to_be(server: RecordingServer, gateway: Copies) -> None:
    long = metadata().replace("</recording>", f"<!-- {'x' * LIMIT_BYTES} --></recording>")
    body, headers = multipart(session(), long)
    dialog = gateway.peer.call("srs")
    dialog.number = 1
    text = dialog.compose("INVITE", body, extra=f"{REQUIRE}{headers}").replace("SIP/2.0/UDP", "SIP/2.0/TCP")
    with Wire.open("TCP", ("127.0.0.1", server.port)) as wire:
        wire.send(text)
        answer = wire.answer(dialog.call_id, "INVITE")
        dialog.remote = answer.header("To")
        wire.send(dialog.compose("ACK", number=1).replace("SIP/2.0/UDP", "SIP/2.0/TCP"))
        dialog.number = 2
        wire.send(dialog.compose("BYE").replace("SIP/2.0/UDP", "SIP/2.0/TCP"))
        wire.answer(dialog.call_id, "BYE")
    recorded = server.of(Copy(dialog=dialog, answer=answer, ports=[]))[0]

    (invite,) = (one for one in documents(recorded, "sip-message") if content(one).startswith(b"INVITE"))
    (document,) = documents(recorded, "rs-metadata")
    assert content(invite) == text.encode()[:LIMIT_BYTES]
    assert invite["cut"] is True
    assert document["cut"] is True
    assert [party.get("tel") for party in recorded.vcon["parties"]][1] == "+8613800138000"


def command(server: RecordingServer, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command with the office's settings."""
    return subprocess.run(
        [sys.executable, "-m", "callseal.cli", *words, "--config", str(server.office.config_file)],
        capture_output=True,
        check=False,
        text=True,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )


def is_sent(server: RecordingServer, names: set[str]) -> bool:
    """Say whether these recordings, and the ledger, are in the store."""
    there = {path.parent.name for path in server.office.store_path.rglob("manifest.json")}
    return names <= there and not server.office.ledger_waits()


def test_everybody_reads_calls_of_every_direction_coding_and_end(tmp_path: Path) -> None:
    """Internal, of unknown direction, of wide sound, cut by a crash: listed, verified, opened, handed out."""
    among_us = multipart(session(), metadata(agent="6001", customer="6002"))
    outside = multipart(session(), metadata(agent="+8675588886666"))
    with recording_server(tmp_path / "office") as server, server.gateway() as gateway:
        internal, unknown = gateway.copy(*among_us), gateway.copy(*outside, edit=as_cisco)
        wide = gateway.copy(*multipart(session(formats="9"), metadata()))
        crashed = gateway.copy()
        sound = codes(9, 8000).tobytes()
        gateway.send(*(Stream(port=port, sound=sound, payload_type=9) for port in wide.ports))
        gateway.talk_in([internal, unknown, crashed], 1.5)
        for copy in (internal, unknown, wide):
            copy.bye()
        recorded = server.of(internal, unknown, wide)
        kill(server)
        begin(server)
        recorded += server.of(crashed)
        server.office.start(UPLOADER)
        server.office.stop(AGENT)
        eventually(lambda: is_sent(server, {one.path.name for one in recorded}), "all of it in the store")

        verified = command(server, "verify")
        listed = command(server, "list", "--json")
        taken_out = [exported(server, one, tmp_path) for one in recorded]

    assert verified.returncode == 0, verified.stdout + verified.stderr
    told = {one["id"]: one["direction"] for one in json.loads(listed.stdout)["recordings"]}
    assert [told[str(one.manifest.id)] for one in recorded[:2]] == ["internal", "unknown"]
    assert [one.manifest.direction for one in recorded[:2]] == [Direction.INTERNAL, Direction.UNKNOWN]
    assert au.parse(recorded[2].inner).rate_hz == WIDE_HZ
    assert recorded[3].manifest.reasons == ("recovered",)
    assert [rate_hz for rate_hz, _ in taken_out] == [8000, 8000, WIDE_HZ, 8000]
    assert all("6001" in case or "+86" in case for _, case in taken_out)


def as_cisco(text: str) -> str:
    """Write an INVITE as of a gateway whose order of participants tells nothing."""
    return text.replace("Max-Forwards", "User-Agent: Cisco-CUBE\r\nMax-Forwards")


def exported(server: RecordingServer, one: Recorded, folder: Path) -> tuple[int, str]:
    """Open a recording into a file, and into a folder for a court; give the rate and what that says."""
    out, case = folder / f"{one.path.name}.wav", folder / f"case-{one.path.name}"
    words = ("open", str(one.manifest.id), "-i", str(server.office.key_file))
    for more in (("-o", str(out)), ("--evidence", str(case))):
        done = command(server, *words, *more)
        assert done.returncode == 0, done.stdout + done.stderr
    texts = [path.read_text(errors="replace") for path in case.rglob("*") if path.suffix in {".md", ".json"}]
    return int(soundfile.info(out).samplerate), "".join(texts)
