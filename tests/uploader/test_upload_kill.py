"""Killed at any instant, the uploader goes on where it was: nothing is lost, nothing is doubled."""

from functools import partial
from pathlib import Path

import pytest

from callseal.seal.durable import Step
from callseal.seal.ledger.entry import Kind
from callseal.seal.ledger.journal import Journal
from callseal.seal.spool import Spool
from callseal.seal.verify import verify_recording
from callseal.store.directory import DirectoryStore
from callseal.store.interface import CentralStore, Store
from callseal.uploader import clearing
from callseal.uploader.clearing import CustodianTime
from callseal.uploader.queue import DOUBT_S, FIRST_POLL_S
from callseal.uploader.retry import LONGEST_WAIT_S
from callseal.uploader.sweep import Sweep
from support.chronicles import clocks_of
from support.faulty_store import FaultyStore, Moment
from support.killed_child import killed_at
from support.parts_store import PartsStore
from support.sealed_recordings import STARTED_AT, organisation, recording_id
from support.uploading import Works, give_receipt, long_sound, ready

OWNER = organisation()


def prefix(number: int) -> str:
    day = "2026/11/21" if number < 2 else "2026/11/22"
    return f"recordings/{OWNER.device}/{day}/{recording_id(number)}/"


def filled(root: Path) -> Spool:
    spool = Spool.create(root)
    with spool.lock():
        ready(spool, OWNER, 0, audio=long_sound())
        ready(spool, OWNER, 1)
    clocks = clocks_of(lambda: STARTED_AT, lambda: 0.0)
    ledger = Journal([spool.ledger_path], device=OWNER.device, key=OWNER.device_key, clocks=clocks)
    ledger.append(Kind.HEARTBEAT, open_=0)
    ledger.publish()
    ledger.close()
    return spool


def sent_by(spool: Spool, store: Store, step: Step) -> None:
    works = Works(spool=spool, owner=OWNER, step=step)
    works.send_all(store)
    works.close()


@pytest.mark.parametrize("blind", [False, True], ids=["comparing", "write-only"])
def test_wherever_it_is_killed_it_goes_on_and_all_arrives_once(tmp_path: Path, *, blind: bool) -> None:
    """Against a store that compares what is there, and one that only says that a name is taken."""
    number, killed, early = 0, True, 0
    while killed:
        root = tmp_path / str(number)
        root.mkdir()
        spool = filled(root / "spool")
        store: CentralStore = PartsStore(root) if blind else DirectoryStore.create(root / "store")

        killed = killed_at(number, partial(sent_by, spool, store))

        names = [item.name for item in store.list("recordings/")]
        early += not names
        for which in range(2):
            if f"{prefix(which)}manifest.json" in names:
                assert verify_recording(store, prefix(which), OWNER.trust).intact, "a manifest came early"
        works = Works(spool=spool, owner=OWNER)
        counted = FaultyStore(store)
        lane = works.send_all(counted)
        works.hands.forward(LONGEST_WAIT_S)
        lane.work_off()

        for which in range(2):
            assert verify_recording(store, prefix(which), OWNER.trust).intact
        assert len(list(store.list("recordings/"))) == 8
        assert [item.name for item in store.list("ledger/")] == [f"ledger/{OWNER.device}/0.jsonl"]
        assert works.alarms() == []
        assert len(counted.asked("put_part")) <= 3
        works.close()
        number += 1

    assert number > 30, "the steps are no longer heard"
    assert early


def test_wherever_it_is_killed_no_copy_goes_before_its_receipt_and_then_all_of_it(tmp_path: Path) -> None:
    number, killed, seen = 0, True, set()
    while killed:
        root = tmp_path / str(number)
        root.mkdir()
        spool = Spool.create(root / "spool")
        with spool.lock():
            bundle = ready(spool, OWNER)
        store = DirectoryStore.create(root / "store")
        sent_by(spool, store, lambda _name: None)
        give_receipt(OWNER, bundle, store)

        killed = killed_at(number, partial(cleared_by, spool, store))

        here = bundle.path.exists()
        seen.add(here)
        if here:
            assert len(list(bundle.path.iterdir())) == 4, "half a recording is left in ready/"
        cleared_by(spool, store, lambda _name: None)
        assert not bundle.path.exists()
        assert list((spool.root / "removing").iterdir()) == []
        assert verify_recording(store, prefix(0), OWNER.trust).intact
        number += 1

    assert seen == {True, False}


def cleared_by(spool: Spool, store: DirectoryStore, step: Step) -> None:
    works = Works(spool=spool, owner=OWNER, step=step)
    with spool.lock("uploader"):
        clearing.finish(spool)
        works.scan()
        lane = works.lane(store)
        works.hands.forward(FIRST_POLL_S)
        poller = works.poller(lane, store)
        while poller.look_once():
            pass
        clocks = works.hands.clocks()
        time = CustodianTime(clock=clocks.monotonic)
        Sweep(works.depot, works.board, keep_days=0.0, time=time, clocks=clocks, step=step).run()
        works.scan()
    works.close()


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("operation", ["begin_parts", "put_part", "end_parts", "put"])
def test_a_fault_and_then_a_kill_lose_nothing(tmp_path: Path, operation: str, moment: Moment) -> None:
    """The answer to the last request is lost, and then the machine."""
    spool, inner = filled(tmp_path / "spool"), PartsStore(tmp_path)
    faulty = FaultyStore(inner)
    faulty.fail(operation, None if operation in {"put_part", "put"} else moment, moment)
    sent_by(spool, faulty, lambda _name: None)

    works = Works(spool=spool, owner=OWNER)
    works.hands.forward(LONGEST_WAIT_S)
    lane = works.send_all(inner)
    works.hands.forward(2 * DOUBT_S)
    lane.work_off()

    for which in range(2):
        assert verify_recording(inner, prefix(which), OWNER.trust).intact
    assert len(list(inner.list("recordings/"))) == 8
    assert works.alarms() == []
    works.close()
