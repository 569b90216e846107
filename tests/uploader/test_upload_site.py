"""Sending to one site: what arrives, in which order, what a failure costs; nothing is doubled or lost."""

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.spool import Spool
from callseal.seal.verify import verify_recording
from callseal.store.directory import DirectoryStore
from callseal.store.errors import StoreDenied, StoreRefused, StoreUnreachable, UploadGone
from callseal.store.interface import CentralStore, Content, Pace, unpaced
from callseal.uploader.breaker import DENIED_AGAIN_S, FAILURES_TO_OPEN
from callseal.uploader.deliveries import STUCK_TRIES
from callseal.uploader.pacing import Stopped
from callseal.uploader.queue import DOUBT_S
from callseal.uploader.retry import LONGEST_WAIT_S
from callseal.uploader.site import BROKEN_AGAIN_S
from support.chronicles import clocks_of
from support.faulty_store import FaultyStore, Moment
from support.parts_store import PartsStore
from support.sealed_recordings import STARTED_AT, organisation, recording_id
from support.uploading import SITE, Works, long_sound, ready
from support.versioned_store import CAPABILITIES as VERSIONED
from support.versioned_store import VersionedStore

OWNER = organisation()
PREFIX = f"recordings/{OWNER.device}/2026/11/21/{recording_id()}/"


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool.create(tmp_path / "spool")
    with found.lock():
        yield found


@pytest.fixture
def works(spool: Spool) -> Iterator[Works]:
    found = Works(spool=spool, owner=OWNER)
    yield found
    found.close()


@pytest.fixture
def store(tmp_path: Path) -> FaultyStore:
    return FaultyStore(PartsStore(tmp_path))


def kinds(names: list[str]) -> list[str]:
    """Give what was asked about, without hashes."""
    return [name.rpartition("/")[2].partition("-")[0] for name in names]


def whole(store: FaultyStore, prefix: str = PREFIX) -> bool:
    return verify_recording(store, prefix, OWNER.trust).intact


def test_a_recording_arrives_whole_and_its_manifest_last(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER)

    works.send_all(store)

    assert kinds(store.asked("put")) == ["audio", "call", "manifest.sig", "manifest.json"]
    assert whole(store)
    assert works.board.counted("sent") == 1


def test_what_was_sent_is_not_sent_again_by_a_later_run(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER)
    works.send_all(store)
    works.close()

    Works(spool=works.spool, owner=OWNER).send_all(store)

    assert len(store.asked("put")) == 4


def test_sending_deletes_nothing(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    before = {path.name: path.read_bytes() for path in bundle.path.iterdir()}

    works.send_all(store)

    assert {path.name: path.read_bytes() for path in bundle.path.iterdir()} == before


def test_a_recording_goes_only_to_the_sites_that_its_manifest_names(
    works: Works, store: FaultyStore, tmp_path: Path
) -> None:
    other = FaultyStore(DirectoryStore.create(tmp_path / "other"))
    ready(works.spool, OWNER, 0, stores=[SITE])
    ready(works.spool, OWNER, 1, stores=["other", SITE])

    works.send_all(store)
    works.send_all(other, "other")

    assert len(store.asked("put")) == 8
    assert kinds(other.asked("put")) == ["audio", "call", "manifest.sig", "manifest.json"]
    assert all(str(recording_id(1)) in name for name in other.asked("put"))


@pytest.mark.parametrize("fails_at", range(4))
@pytest.mark.parametrize("moment", Moment)
def test_wherever_the_line_breaks_all_arrives_once_and_the_manifest_is_never_early(
    works: Works, store: FaultyStore, fails_at: int, moment: Moment
) -> None:
    ready(works.spool, OWNER)
    store.fail("put", *[None] * fails_at, moment)

    lane = works.send_all(store)
    early = any(item.name.endswith("manifest.json") for item in store.list("")) and fails_at < 3
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()

    assert not early or whole(store)
    assert whole(store)
    assert len(list(store.list("recordings/"))) == 4
    assert works.alarms() == []


def test_an_answer_that_was_lost_leaves_the_object_stored_without_a_version(
    works: Works, store: FaultyStore
) -> None:
    """The store says only that the name is taken: it is ours, for we tried."""
    ready(works.spool, OWNER)
    store.fail("put", Moment.AFTER)

    lane = works.send_all(store)
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()

    poll = works.depot.deliveries.next_poll(SITE, 1 << 62)
    assert poll is not None
    sent = works.depot.deliveries.sent(poll)
    assert sent is not None
    assert [bool(item.version) for item in sent.objects] == [False, True, True, True]


def test_somebody_elses_bytes_under_our_name_never_count_as_stored(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    (call,) = bundle.path.glob("call-*")
    store.put(f"{PREFIX}{call.name}", b"other", _sha256(b"other"))

    lane = works.send_all(store)
    for _ in range(5):
        works.hands.forward(24 * 3600.0)
        lane.work_off()

    with store.get(f"{PREFIX}{call.name}") as file:
        assert file.read() == b"other"
    poll = works.depot.deliveries.next_poll(SITE, 1 << 62)
    assert poll is not None, "the manifest was sent, and only a receipt can tell"
    assert store.asked("put").count(f"{PREFIX}{call.name}") == 7, "it is put again until one comes"


def test_an_object_in_doubt_is_put_again_only_after_a_while(works: Works, store: FaultyStore) -> None:
    bundle = ready(works.spool, OWNER)
    (call,) = bundle.path.glob("call-*")
    store.put(f"{PREFIX}{call.name}", call.read_bytes(), _sha256(call.read_bytes()))
    lane = works.send_all(store)
    before = len(store.asked("put"))

    works.hands.forward(DOUBT_S - 1)
    lane.work_off()
    early = len(store.asked("put"))
    works.hands.forward(1)
    lane.work_off()

    assert early == before == 5
    assert len(store.asked("put")) == before + 1


def test_a_site_that_is_down_is_left_alone_and_found_when_it_is_back(
    works: Works, store: FaultyStore
) -> None:
    for number in range(10):
        ready(works.spool, OWNER, number)
    store.fail("put", *[Moment.BEFORE] * (FAILURES_TO_OPEN + 1))

    lane = works.send_all(store)
    tried = len(store.asked("put"))
    down = [code for code, _ in works.alarms()]
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()
    probed = len(store.asked("put"))
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()

    assert tried == FAILURES_TO_OPEN
    assert down == ["store-unreachable"]
    assert probed == FAILURES_TO_OPEN + 1, "one probe, and no second"
    assert works.board.counted("sent") == 10
    assert works.alarms() == []


def test_a_site_that_is_down_slows_no_other(works: Works, store: FaultyStore, tmp_path: Path) -> None:
    other = FaultyStore(DirectoryStore.create(tmp_path / "other"))
    ready(works.spool, OWNER, stores=["other", SITE])
    store.fail("put", *[Moment.BEFORE] * 100)

    works.send_all(store)
    works.send_all(other, "other")

    assert whole(other)


def test_a_denied_account_blames_no_recording_and_is_tried_again(works: Works, store: FaultyStore) -> None:
    for number in range(5):
        ready(works.spool, OWNER, number)
    store.fail("put", Moment.BEFORE, error=StoreDenied("the key is no longer good"))

    lane = works.send_all(store)
    denied = works.alarms()
    tried = len(store.asked("put"))
    works.hands.forward(DENIED_AGAIN_S)
    lane.work_off()

    assert denied == [("store-denied", f"{SITE}: the key is no longer good")]
    assert tried == 1
    assert works.board.counted("sent") == 5
    assert works.alarms() == []


def test_a_refused_object_stops_no_other_recording_and_is_looked_at_again(
    works: Works, store: FaultyStore
) -> None:
    for number in range(2):
        ready(works.spool, OWNER, number)
    store.fail("put", Moment.BEFORE, error=StoreRefused("not such a one"))

    lane = works.send_all(store)
    refused = works.alarms()
    sent = works.board.counted("sent")
    works.hands.forward(BROKEN_AGAIN_S)
    lane.work_off()

    assert refused == [("store-refused", f"{SITE} {recording_id()}: not such a one")]
    assert sent == 1
    assert works.board.counted("sent") == 2
    assert works.alarms() == []


def test_an_altered_object_is_never_sent_and_stops_no_other(works: Works, store: FaultyStore) -> None:
    bundle, _ = ready(works.spool, OWNER, 0), ready(works.spool, OWNER, 1)
    (call,) = bundle.path.glob("call-*")
    good = call.read_bytes()
    call.write_bytes(b"altered")

    lane = works.send_all(store)
    broken = works.alarms()
    sent = works.board.counted("sent")
    call.write_bytes(good)
    works.hands.forward(BROKEN_AGAIN_S)
    lane.work_off()

    assert [code for code, _ in broken] == ["bundle-broken"]
    assert str(bundle.id) in broken[0][1]
    assert sent == 1
    assert works.board.counted("sent") == 2
    assert works.alarms() == []


@pytest.mark.parametrize("damage", ["no manifest", "no manifest at all", "another's manifest"])
def test_a_folder_that_is_no_recording_is_an_alarm_until_it_is_mended(
    works: Works, store: FaultyStore, damage: str
) -> None:
    bundle, other = ready(works.spool, OWNER, 0), ready(works.spool, OWNER, 1)
    path = bundle.path / "manifest.json"
    good = path.read_bytes()
    if damage == "no manifest":
        path.write_bytes(b"{}")
    elif damage == "no manifest at all":
        path.unlink()
    else:
        path.write_bytes(other.manifest_bytes())

    lane = works.send_all(store)
    broken = works.alarms()
    path.write_bytes(good)
    works.hands.forward(BROKEN_AGAIN_S)
    works.scan()
    lane.work_off()

    assert [code for code, _ in broken] == ["bundle-broken"]
    assert str(bundle.id) in broken[0][1]
    assert works.board.counted("sent") == 2
    assert works.alarms() == []


def test_a_long_recording_goes_in_parts_and_is_whole(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER, audio=long_sound())

    works.send_all(store)

    assert len(store.asked("put_part")) == 3
    assert whole(store)


@pytest.mark.parametrize("moment", Moment)
def test_a_line_that_breaks_costs_one_part_and_no_more(
    works: Works, store: FaultyStore, moment: Moment
) -> None:
    ready(works.spool, OWNER, audio=long_sound())
    store.fail("put_part", None, None, moment)
    works.send_all(store)
    works.close()

    again = Works(spool=works.spool, owner=OWNER)
    again.hands.forward(LONGEST_WAIT_S)
    again.send_all(store)

    assert len(store.asked("put_part")) == 4
    assert len(store.asked("begin_parts")) == 1
    assert whole(store)


def test_an_undertaking_that_the_store_forgot_is_begun_again(
    works: Works, store: FaultyStore, tmp_path: Path
) -> None:
    ready(works.spool, OWNER, audio=long_sound())
    store.fail("put_part", None, Moment.BEFORE, error=UploadGone("no such upload"))

    lane = works.send_all(store)
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()

    assert len(store.asked("begin_parts")) == 2
    assert whole(store)
    assert list((tmp_path / "uploads").iterdir()) == [], "nothing is left of the first"


def test_an_end_that_was_tried_and_is_gone_is_in_doubt_until_it_is_put_again(
    works: Works, store: FaultyStore
) -> None:
    """It may be there, and may be not: the rest is sent meanwhile, and then it proves itself."""
    ready(works.spool, OWNER, audio=long_sound())
    store.fail("end_parts", Moment.BEFORE)
    store.fail("end_parts", Moment.BEFORE, error=UploadGone("no such upload"))

    lane = works.send_all(store)
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()
    audio = [item for item in store.list("recordings/") if "audio-" in item.name]
    manifest = [item for item in store.list("recordings/") if item.name.endswith("manifest.json")]
    works.hands.forward(DOUBT_S)
    lane.work_off()

    assert (len(audio), len(manifest)) == (0, 1)
    assert whole(store)


def test_a_long_sound_that_was_altered_is_told_before_a_byte_of_it_is_sent(
    works: Works, store: FaultyStore
) -> None:
    sound = bytearray(long_sound())
    bundle = ready(works.spool, OWNER, audio=bytes(sound))
    (audio,) = bundle.path.glob("audio-*")
    sound[-1] ^= 1
    audio.write_bytes(sound)

    works.send_all(store)

    assert [code for code, _ in works.alarms()] == ["bundle-broken"]
    assert store.asked("begin_parts") == []


def test_what_is_stopped_in_the_middle_goes_on_later(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER, audio=long_sound())
    works.scan()
    lane = works.lane(store)
    calls = 0

    def stop_soon(name: str) -> None:
        nonlocal calls
        calls += name.startswith("part")
        if calls == 2:
            works.stop.set()

    halted = Works(spool=works.spool, owner=OWNER, step=stop_soon, stop=works.stop)
    with pytest.raises(Stopped):
        halted.lane(store).work_off()
    parts = len(store.asked("put_part"))
    works.stop.clear()
    lane.work_off()

    assert parts == 2, "the second was told to end while it went"
    assert len(store.asked("put_part")) == 4
    assert whole(store)
    halted.close()


def test_several_threads_send_everything_once(works: Works, store: FaultyStore) -> None:
    for number in range(20):
        ready(works.spool, OWNER, number)
    ready(works.spool, OWNER, 20, audio=long_sound())
    works.scan()
    lane = works.lane(store)
    threads = [threading.Thread(target=lane.work_off) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lane.work_off()

    assert works.board.counted("sent") == 21
    assert len(store.asked("put")) == len(set(store.asked("put"))) == 21 * 4 - 1
    assert len(store.asked("put_part")) == 3


def test_a_clock_that_was_set_back_stops_no_upload(works: Works, store: FaultyStore) -> None:
    ready(works.spool, OWNER)
    store.fail("put", Moment.BEFORE)
    lane = works.send_all(store)

    works.hands.forward(-30 * 24 * 3600.0)
    lane.work_off()

    assert whole(store)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class ChoosyStore(FaultyStore):
    """A store that denies one device what it takes from another."""

    def __init__(self, root: Path, *strangers: str) -> None:
        super().__init__(PartsStore(root))
        self.strangers = strangers

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        if any(stranger in name for stranger in self.strangers):
            raise StoreDenied("not for you")
        return super().put(name, content, sha256, pace=pace)


def test_one_recording_that_is_denied_keeps_no_other_here_for_ever(works: Works, tmp_path: Path) -> None:
    """What a former device left behind is denied to the one that this machine is now, and to nobody else."""
    former = organisation("Former")
    for number in range(50):
        ready(works.spool, former, number)
    for number in range(50, 60):
        ready(works.spool, OWNER, number)
    store = ChoosyStore(tmp_path, former.device)

    lane = works.send_all(store)
    at_first = works.alarms()
    for _ in range(5):
        works.hands.forward(DENIED_AGAIN_S)
        lane.work_off()

    assert [code for code, _ in at_first] == ["store-denied"], "nobody can tell yet"
    assert works.board.counted("sent") == 10
    assert "store-refused" in {code for code, _ in works.alarms()}


def test_an_account_that_is_denied_everything_is_not_taken_for_a_choosy_store(
    works: Works, tmp_path: Path
) -> None:
    for number in range(30):
        ready(works.spool, OWNER, number)
    store = ChoosyStore(tmp_path, OWNER.device)
    lane = works.send_all(store)
    for _ in range(20):
        works.hands.forward(DENIED_AGAIN_S)
        lane.work_off()
    denied = works.alarms()

    store.strangers = ()
    works.hands.forward(DENIED_AGAIN_S)
    lane.work_off()

    assert [code for code, _ in denied] == ["store-denied"]
    assert works.board.counted("sent") == 30
    assert works.alarms() == []


def test_a_ledger_that_is_denied_keeps_no_recording_here_for_ever(works: Works, tmp_path: Path) -> None:
    clocks = clocks_of(lambda: STARTED_AT, lambda: 0.0)
    journal = Journal([works.spool.ledger_path], device=OWNER.device, key=OWNER.device_key, clocks=clocks)
    journal.append(Kind.HEARTBEAT, open_=0)
    journal.publish()
    journal.close()
    ready(works.spool, OWNER)
    store = ChoosyStore(tmp_path, "ledger/")

    lane = works.send_all(store)
    for _ in range(5):
        works.hands.forward(DENIED_AGAIN_S)
        lane.wake(segments=True)
        lane.work_off()

    assert whole(store)
    assert [code for code, _ in works.alarms()] == ["ledger-refused"]


def test_where_a_store_takes_a_name_twice_a_lost_answer_leaves_the_version_to_the_receipt(
    works: Works,
) -> None:
    """The custodian may have received either of two equal versions: both are what was sent."""
    able = replace(VERSIONED, exclusive_put=False)
    store = FaultyStore(cast("CentralStore", VersionedStore(capabilities=able)))
    bundle = ready(works.spool, OWNER)
    store.fail("put", Moment.AFTER)
    lane = works.send_all(store)
    works.hands.forward(LONGEST_WAIT_S)
    lane.work_off()

    poll = works.depot.deliveries.next_poll(SITE, works.hands.clocks().now_ms() + 60_000)

    assert poll is not None
    sent = works.depot.deliveries.sent(poll)
    assert sent is not None
    assert sent.id == bundle.id
    assert [bool(item.version) for item in sent.objects] == [False, True, True, True]


def test_an_object_that_fails_for_ever_while_others_go_is_an_alarm(works: Works, tmp_path: Path) -> None:
    ready(works.spool, OWNER)
    store = FailingStore(tmp_path, str(recording_id()))
    lane = works.send_all(store)
    for number in range(1, STUCK_TRIES + 1):
        works.hands.forward(LONGEST_WAIT_S)
        ready(works.spool, OWNER, number)
        works.scan()
        lane.work_off()

    ((code, words),) = works.alarms()

    assert code == "upload-stuck"
    assert str(recording_id()) in words
    assert "a server's fault" in words
    assert works.board.counted("sent") == STUCK_TRIES, "one keeps no other here"


class FailingStore(FaultyStore):
    """A store that answers for all recordings but one."""

    def __init__(self, root: Path, recording: str) -> None:
        super().__init__(PartsStore(root))
        self.recording = recording

    def put(self, name: str, content: Content, sha256: bytes, *, pace: Pace = unpaced) -> str:
        if self.recording in name:
            raise StoreUnreachable("a server's fault")
        return super().put(name, content, sha256, pace=pace)


def test_a_pipe_in_place_of_a_manifest_is_an_alarm_and_keeps_nobody_waiting(
    works: Works, store: FaultyStore
) -> None:
    folder = works.spool.ready_path / str(recording_id(7))
    folder.mkdir()
    os.mkfifo(folder / "manifest.json")
    ready(works.spool, OWNER)

    works.send_all(store)

    assert [code for code, _ in works.alarms()] == ["bundle-broken"]
    assert whole(store)
