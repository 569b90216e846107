"""Stamping: every device's newest checkpoint gets one good stamp, and nothing else is ever kept."""

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from callseal.archive.authority import Authority
from callseal.archive.errors import AuthorityRefused, AuthorityUnreachable
from callseal.archive.stamping import (
    CLOCK_TOLERANCE,
    MAX_SEGMENT_BYTES,
    MOST_FAILURES,
    DeviceStamp,
    Outcome,
    Stamper,
)
from callseal.seal.keys import Role, chain_der, device_id, self_signed
from callseal.seal.ledger import Clocks, Journal, Kind
from callseal.seal.ledger.checkpoint import parse_checkpoint, read_line, sign_checkpoint, write_line
from callseal.seal.stamp import MAX_STAMP_BYTES, read_stamp
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreRefused, StoreUnreachable
from callseal.store.interface import Content, Pace, unpaced
from callseal.store.names import STAMPS, ledger_name, parse_ledger_name, stamp_name
from support.tsa import Reply, StampingAuthority, serving

NOW: Final = datetime(2026, 11, 21, 19, 0, tzinfo=UTC)
KEYS: Final = [Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)) for number in range(1, 6)]


class Asked:
    """An authority that is asked without a network, and counts."""

    name = "https://tsa.example/"

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self.questions: list[bytes] = []

    def ask(self, question: bytes) -> bytes:
        self.questions.append(question)
        return self._answer(question)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> StampingAuthority:
    return StampingAuthority(tmp_path_factory.mktemp("tsa") / "authority")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore.create(tmp_path / "store")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def put(store: DirectoryStore, name: str, data: bytes, folder: Path) -> None:
    path = folder / "to-be-put"
    path.write_bytes(data)
    store.put(name, path, hashlib.sha256(data).digest())


def keep_ledger(
    store: DirectoryStore, folder: Path, key: Ed25519PrivateKey = KEYS[0], *, segments: int = 1
) -> str:
    """Let a device write its ledger and bring it to the store; return the device."""
    device = device_id(key.public_key())
    journal = Journal(
        [folder / device],
        device=device,
        key=key,
        clocks=lambda: Clocks(at=NOW, boot="0123456789abcdef", uptime_ms=1000),
    )
    chain = chain_der([self_signed(key, role=Role.DEVICE, now=NOW, years=1)])
    for _segment in range(segments):
        journal.append(Kind.STARTED, software="callseal/test", settings=bytes(32), x5c=chain)
        journal.append(Kind.HEARTBEAT, open_=0)
        path = journal.publish()
        if path is None:
            raise RuntimeError("entries, and no segment")
        put(store, f"ledger/{device}/{path.name}", path.read_bytes(), folder)
    journal.close()
    return device


def stamped(
    store: DirectoryStore,
    asked: Asked | Authority,
    *roots: StampingAuthority,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[DeviceStamp]:
    nonces = count(1)
    return list(Stamper(store, asked, [one.root for one in roots], now=now, nonce=lambda: next(nonces)).run())


def stamps(store: DirectoryStore) -> list[str]:
    return [item.name for item in store.list(STAMPS)]


def content(store: DirectoryStore, name: str) -> bytes:
    with store.get(name) as file:
        return file.read()


def note(store: DirectoryStore, device: str) -> bytes:
    """Return the newest checkpoint, as anybody may read it from the store."""
    names = [item.name for item in store.list(f"ledger/{device}/")]
    newest = max(names, key=lambda name: (parse_ledger_name(name) or ("", -1))[1])
    return read_line(content(store, newest).splitlines(keepends=True)[-1])


@pytest.mark.integration
def test_the_newest_checkpoint_is_stamped_over_http_and_openssl_accepts_the_stamp(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path)

    with serving(tsa.answer) as url:
        (found,) = stamped(store, Authority(url=url), tsa)

    assert (found.device, found.size, found.outcome) == (device, 2, Outcome.STAMPED)
    assert (found.checked, found.exit_code) == (True, 0)
    assert stamps(store) == [f"stamps/{device}/2.tsr"]
    stamp = content(store, stamp_name(device, 2))
    assert read_stamp(stamp, note(store, device), [tsa.root]) == found.stamp
    assert "Verification: OK" in tsa.verify(stamp, note(store, device))


@pytest.mark.integration
def test_doing_it_again_does_nothing_and_asks_nobody(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    keep_ledger(store, tmp_path)
    (first,) = stamped(store, Asked(tsa.answer), tsa)
    asked = Asked(tsa.answer)

    (again,) = stamped(store, asked, tsa)

    assert asked.questions == []
    assert (again.outcome, again.stamp, again.exit_code) == (Outcome.ALREADY, first.stamp, 0)


@pytest.mark.integration
def test_the_newest_segment_is_that_of_the_highest_number_not_of_the_last_name(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path, segments=6)
    assert [item.name for item in store.list(f"ledger/{device}/")][-1] == ledger_name(device, 8)

    (found,) = stamped(store, Asked(tsa.answer), tsa)

    assert found.size == 12
    assert parse_checkpoint(note(store, device)).size == 12


@pytest.mark.integration
def test_a_longer_ledger_gets_another_stamp(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path)
    stamped(store, Asked(tsa.answer), tsa)
    longer = tmp_path / "again"
    keep_ledger(DirectoryStore.create(longer / "store"), longer, segments=2)
    put(store, ledger_name(device, 2), (longer / "store" / ledger_name(device, 2)).read_bytes(), tmp_path)

    (found,) = stamped(store, Asked(tsa.answer), tsa)

    assert (found.outcome, found.size) == (Outcome.STAMPED, 4)
    assert stamps(store) == [stamp_name(device, 2), stamp_name(device, 4)]


def test_what_somebody_else_put_behind_a_ledger_is_passed_over_and_told(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    """Who may only add could else keep a ledger from ever being stamped again."""
    device = keep_ledger(store, tmp_path, segments=2)
    thief = KEYS[1]
    forged = write_line(sign_checkpoint(device, 10**15 + 1, bytes(32), thief))
    put(store, ledger_name(device, 10**15), b"{}\n" + forged, tmp_path)

    (found,) = stamped(store, Asked(tsa.answer), tsa)

    assert (found.size, found.outcome, found.exit_code) == (4, Outcome.STAMPED, 15)
    assert stamps(store) == [f"stamps/{device}/4.tsr"]
    assert ledger_name(device, 10**15) in str(found.problem)


def test_a_store_without_ledgers_needs_no_stamp(store: DirectoryStore, tmp_path: Path) -> None:
    put(store, "ledger/readme.txt", b"?", tmp_path)
    asked = Asked(lambda _question: b"")

    assert stamped(store, asked) == []
    assert asked.questions == []


def test_a_store_that_is_away_can_not_be_stamped(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable):
        stamped(DirectoryStore(tmp_path / "away"), Asked(lambda _question: b""))


@pytest.mark.integration
@pytest.mark.parametrize(
    "damage",
    [
        lambda _data: b"",
        lambda data: data[:-1],
        lambda data: data[: data.rindex(b'{"checkpoint"')],
        lambda data: data.replace(b"\\n2\\n", b"\\n02\\n"),
        lambda data: data.replace(b"\\n2\\n", b"\\n0\\n"),
        lambda data: re.sub(rb"dev-[a-z2-7]{12}", b"dev-aaaaaaaaaaaa", data),
        lambda _data: b"\xff\n",
        lambda _data: b"x" * (MAX_SEGMENT_BYTES + 1),
    ],
    ids=["empty", "cut", "no checkpoint", "zeros", "size", "other device", "no text", "too large"],
)
def test_a_device_whose_ledger_is_damaged_is_named_and_stops_no_other(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    bad, good = (keep_ledger(store, tmp_path, key) for key in KEYS[:2])
    segment = store.root / ledger_name(bad, 0)
    segment.write_bytes(damage(segment.read_bytes()))

    found = {one.device: one for one in stamped(store, Asked(tsa.answer), tsa)}

    assert found[bad].outcome is Outcome.FAILED
    assert found[bad].exit_code == 15
    assert ledger_name(bad, 0) in str(found[bad].problem)
    assert found[good].outcome is Outcome.STAMPED
    assert stamps(store) == [stamp_name(good, 2)]


@pytest.mark.integration
def test_without_a_root_a_stamp_is_kept_and_said_to_be_unchecked(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path)

    (found,) = stamped(store, Asked(tsa.answer))
    (again,) = stamped(store, Asked(tsa.answer))
    (later,) = stamped(store, Asked(tsa.answer), tsa)

    assert (found.outcome, found.checked, found.exit_code) == (Outcome.STAMPED, False, 15)
    assert (again.outcome, again.checked, again.exit_code) == (Outcome.ALREADY, False, 15)
    assert (later.outcome, later.checked, later.exit_code) == (Outcome.ALREADY, True, 0)
    assert stamps(store) == [stamp_name(device, 2)]


@pytest.mark.integration
def test_a_stamp_there_that_is_none_is_named_and_left_alone(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path)
    put(store, stamp_name(device, 2), b"nonsense", tmp_path)

    (found,) = stamped(store, Asked(tsa.answer), tsa)

    assert (found.outcome, found.exit_code) == (Outcome.FAILED, 15)
    assert stamp_name(device, 2) in str(found.problem)
    assert content(store, stamp_name(device, 2)) == b"nonsense"


@pytest.mark.integration
def test_somebody_who_was_faster_with_a_good_stamp_is_no_fault(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    device = keep_ledger(store, tmp_path)

    def answer(question: bytes) -> bytes:
        put(store, stamp_name(device, 2), tsa.answer(question), tmp_path)
        return tsa.answer(question)

    (found,) = stamped(store, Asked(answer), tsa)

    assert (found.outcome, found.exit_code) == (Outcome.ALREADY, 0)


@pytest.mark.integration
def test_an_authority_that_no_root_vouches_for_is_refused(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    keep_ledger(store, tmp_path)
    other = StampingAuthority(tmp_path / "other", name="Other")

    (found,) = stamped(store, Asked(other.answer), tsa)

    assert found.exit_code == 21
    assert "no trusted root vouches for CN=Other" in str(found.problem)
    assert stamps(store) == []


@pytest.mark.integration
def test_a_stamp_on_something_else_or_of_yesterday_is_not_kept(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    keep_ledger(store, tmp_path)
    asked = Asked(tsa.answer)
    stamped(store, asked, tsa)
    other_store = DirectoryStore.create(tmp_path / "second")
    keep_ledger(other_store, tmp_path / "second", KEYS[1])
    old = tsa.answer(asked.questions[0])

    (found,) = stamped(other_store, Asked(lambda _question: old), tsa)

    assert found.exit_code == 21
    assert "something else" in str(found.problem)
    assert stamps(other_store) == []


@pytest.mark.integration
def test_an_answer_to_an_earlier_question_is_not_kept(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    keep_ledger(store, tmp_path)

    def other_nonce(question: bytes) -> bytes:
        return tsa.answer(question.replace(b"\x02\x01\x01\x01\x01\xff", b"\x02\x01\x02\x01\x01\xff"))

    (found,) = stamped(store, Asked(other_nonce), tsa)

    assert "nonce" in str(found.problem)
    assert stamps(store) == []


@pytest.mark.integration
@pytest.mark.parametrize(("off", "words"), [(1, "behind"), (-1, "ahead of")])
def test_a_clock_that_is_wrong_on_either_side_is_told_before_anything_is_kept(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path, off: int, words: str
) -> None:
    keep_ledger(store, tmp_path)
    here = datetime.now(UTC) + off * (CLOCK_TOLERANCE + timedelta(minutes=1))

    (found,) = stamped(store, Asked(tsa.answer), tsa, now=lambda: here)

    assert found.exit_code == 21
    assert f"{words} this machine's" in str(found.problem)
    assert stamps(store) == []


def test_an_authority_that_refuses_is_quoted(store: DirectoryStore, tmp_path: Path) -> None:
    keep_ledger(store, tmp_path)
    rejection = bytes.fromhex("300e300c02010230070c056275737921")

    (found,) = stamped(store, Asked(lambda _question: rejection))

    assert (found.outcome, found.exit_code) == (Outcome.FAILED, 21)
    assert str(found.problem).startswith("https://tsa.example/: ")
    assert "rejection: busy!" in str(found.problem)


@pytest.mark.parametrize("answer", [b"", b"<html>not here</html>", bytes(MAX_STAMP_BYTES + 1)])
def test_an_answer_that_is_no_stamp_is_not_kept(store: DirectoryStore, tmp_path: Path, answer: bytes) -> None:
    keep_ledger(store, tmp_path)

    (found,) = stamped(store, Asked(lambda _question: answer))

    assert (found.outcome, found.exit_code) == (Outcome.FAILED, 21)
    assert stamps(store) == []


def test_an_authority_that_is_away_is_not_asked_for_every_device(
    store: DirectoryStore, tmp_path: Path
) -> None:
    for key in KEYS:
        keep_ledger(store, tmp_path, key)

    def away(_question: bytes) -> bytes:
        raise AuthorityUnreachable("away")

    asked = Asked(away)

    found = stamped(store, asked)

    assert [one.exit_code for one in found] == [20] * len(KEYS)
    assert len(asked.questions) == MOST_FAILURES


@pytest.mark.integration
def test_an_authority_that_fails_once_is_asked_for_the_other_devices(
    store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path
) -> None:
    for key in KEYS:
        keep_ledger(store, tmp_path, key)
    turns = count()

    def sometimes(question: bytes) -> bytes:
        if next(turns) % 2 == 0:
            raise AuthorityUnreachable("away")
        return tsa.answer(question)

    found = stamped(store, Asked(sometimes), tsa)

    assert [one.exit_code for one in found] == [20, 0, 20, 0, 20]


def test_a_store_that_refuses_is_told(store: DirectoryStore, tsa: StampingAuthority, tmp_path: Path) -> None:
    keep_ledger(store, tmp_path)

    class Refusing:
        capabilities = store.capabilities
        get = store.get
        list = store.list
        folders = store.folders
        versions = store.versions

        def put(self, name: str, _content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
            pace(0)
            raise StoreRefused(f"{name}: no right to add, {sha256.hex()}")

    (found,) = list(
        Stamper(
            Refusing(), Asked(tsa.answer), [tsa.root], now=lambda: datetime.now(UTC), nonce=lambda: 1
        ).run()
    )

    assert (found.outcome, found.exit_code) == (Outcome.FAILED, 21)
    assert "no right to add" in str(found.problem)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tsa.example",
        "ftp://tsa.example/",
        "file:///etc/passwd",
        "http://",
        "https:///path",
        "https://user:secret@tsa.example/",
        "https://user@tsa.example/",
        "https://tsa.example:http/",
        "https://tsa.example:99999/",
        "https://zeitstempel.exämple/",
    ],
)
def test_what_is_no_address_of_an_authority_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"address|[Pp]ort"):
        Authority(url=url)


def test_an_address_is_shown_without_its_query() -> None:
    assert Authority(url="https://tsa.example:8443/tsr?token=secret").name == "https://tsa.example:8443/tsr"


@pytest.mark.integration
def test_a_question_is_posted_as_the_standard_says_and_the_answer_given_back() -> None:
    with serving(lambda question: b"answer to " + question) as url:
        answer = Authority(url=url).ask(b"question")

    assert answer == b"answer to question"


@pytest.mark.integration
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (301, AuthorityRefused, "sends elsewhere"),
        (302, AuthorityRefused, "sends elsewhere"),
        (307, AuthorityRefused, "sends elsewhere"),
        (401, AuthorityRefused, "HTTP 401"),
        (404, AuthorityRefused, "HTTP 404"),
        (429, AuthorityUnreachable, "HTTP 429"),
        (500, AuthorityUnreachable, "HTTP 500"),
        (503, AuthorityUnreachable, "HTTP 503"),
    ],
)
def test_a_status_other_than_ok_is_told_and_no_redirect_is_followed(
    status: int, error: type[Exception], words: str
) -> None:
    headers = {"Location": "file:///etc/passwd"}
    with (
        serving(lambda _question: Reply(status=status, headers=headers)) as url,
        pytest.raises(error, match=words),
    ):
        Authority(url=url).ask(b"question")


@pytest.mark.integration
def test_an_authority_that_sends_too_much_is_cut_short() -> None:
    with (
        serving(lambda _question: bytes(MAX_STAMP_BYTES + 1)) as url,
        pytest.raises(AuthorityRefused, match="more than"),
    ):
        Authority(url=url).ask(b"question")


@pytest.mark.integration
def test_an_authority_that_keeps_silent_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]

        with pytest.raises(AuthorityUnreachable, match="timed out"):
            Authority(url=f"http://127.0.0.1:{port}/", timeout_s=0.2).ask(b"question")


@pytest.fixture
def dripping() -> Iterator[str]:
    """Serve an answer that never ends, a byte at a time."""
    done = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _address = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not done.wait(0.02):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/"
    done.set()
    thread.join()
    server.close()


@pytest.mark.integration
def test_an_authority_that_drips_is_not_waited_for(dripping: str) -> None:
    with pytest.raises(AuthorityUnreachable, match="takes longer"):
        Authority(url=dripping, timeout_s=0.2).ask(b"question")


@pytest.mark.integration
def test_a_port_that_nobody_listens_on_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(AuthorityUnreachable, match="refused"):
        Authority(url=f"http://127.0.0.1:{port}/").ask(b"question")


@pytest.mark.integration
def test_a_server_that_speaks_no_http_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def babble() -> None:
            connection, _address = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"220 smtp.example ESMTP\r\n")

        thread = threading.Thread(target=babble)
        thread.start()

        with pytest.raises(AuthorityUnreachable, match="can't be reached"):
            Authority(url=f"http://127.0.0.1:{server.getsockname()[1]}/").ask(b"question")
        thread.join()
