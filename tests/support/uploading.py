"""An uploader's parts on a bench: a spool, its queue, lanes to stores, clocks that stand."""

import hashlib
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from callseal.seal.durable import Step, no_step
from callseal.seal.keys import Role, certify, chain_der, generate_signing_key
from callseal.seal.manifest import sign
from callseal.seal.receipt import Receipt, ReceiptObject, sign_receipt
from callseal.seal.spool import Bundle, Spool
from callseal.seal.status import State
from callseal.store.interface import Store
from callseal.store.names import receipt_name
from callseal.uploader.alarms import Board
from callseal.uploader.database import Database
from callseal.uploader.deliveries import Deliveries
from callseal.uploader.polling import Poller
from callseal.uploader.queue import Queue
from callseal.uploader.receipts import Receipts
from callseal.uploader.report import Report
from callseal.uploader.room import Room
from callseal.uploader.scan import Scan, queue_path
from callseal.uploader.site import Clocks, Depot, Lane
from callseal.uploader.worker import Target
from support.sealed_recordings import AUDIO, CALL, STARTED_AT, Organisation, manifest_of, sealed_object

SITE: Final = "primary"
LONG_BYTES: Final = 17 * 1024 * 1024 + 1
"""The sound of a recording that goes in three parts."""
BEGIN: Final = STARTED_AT + timedelta(hours=1)


@dataclass(slots=True)
class Hands:
    """The hands of clocks that only the test moves."""

    now: datetime = BEGIN
    running_s: float = 1000.0
    drawn: float = 1.0

    def forward(self, seconds: float) -> None:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)
        self.running_s += seconds

    def clocks(self) -> Clocks:
        """Return clocks with these hands."""
        return Clocks(
            now_ms=lambda: round(self.now.timestamp() * 1000),
            monotonic=lambda: self.running_s,
            draw=lambda: self.drawn,
        )


def ready(
    spool: Spool,
    owner: Organisation,
    number: int = 0,
    *,
    stores: Sequence[str] = (SITE,),
    audio: bytes = AUDIO,
) -> Bundle:
    """Record for these stores; the spool's lock is held as an agent."""
    sound, call = sealed_object("audio", audio), sealed_object("call", CALL)
    manifest = replace(manifest_of(owner, sound, call, number=number), stores=tuple(stores))
    bundle = spool.begin(manifest.id)
    bundle.audio_path.write_bytes(audio)
    bundle.put_vcon(CALL)
    bundle.bind(manifest, sign(manifest.to_bytes(), owner.device_key))
    return bundle.release()


def long_sound(seed: int = 0) -> bytes:
    """Return a sound that goes in parts."""
    return hashlib.shake_128(f"long {seed}".encode()).digest(LONG_BYTES)


@dataclass(slots=True, kw_only=True)
class Works:
    """One run of an uploader: everything but its threads. What a run leaves is in the spool."""

    spool: Spool
    owner: Organisation
    hands: Hands = field(default_factory=Hands)
    awaited: tuple[str, ...] = ()
    step: Step = no_step
    board: Board = field(init=False)
    database: Database = field(init=False)
    depot: Depot = field(init=False)
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        clocks = self.hands.clocks()
        self.board = Board(clocks.now)
        self.database = Database(queue_path(self.spool.root), clock=clocks.monotonic, step=self.step)
        self.depot = Depot(spool=self.spool, queue=Queue(self.database), deliveries=Deliveries(self.database))

    def scan(self) -> None:
        """Bring the queue up to date."""
        scan = Scan(self.depot, self.board, awaited=self.awaited, clocks=self.hands.clocks())
        scan.run()

    def lane(self, store: Store, name: str = SITE) -> Lane:
        """Return a lane to a store."""
        target = Target(name=name, writer=store, reader=store)
        return Lane(
            target, [self.depot], self.board, clocks=self.hands.clocks(), stop=self.stop, step=self.step
        )

    def poller(self, lane: Lane, store: Store) -> Poller:
        """Return who looks for receipts in a store."""
        judge = Receipts(lambda: self.owner.trust, now=lambda: self.hands.now)
        return Poller(
            lane, store, [self.depot], judge, self.board, clocks=self.hands.clocks(), stop=self.stop
        )

    def send_all(self, store: Store, name: str = SITE) -> Lane:
        """Scan, and send all that is due."""
        self.scan()
        lane = self.lane(store, name)
        lane.work_off()
        return lane

    def alarms(self, *known: str) -> list[tuple[str, str]]:
        """Return the alarms that stand, with their words, after what follows from the queue was looked at."""
        room = Room(self.spool, full_percent=100, min_free_bytes=0, clock=self.hands.clocks().monotonic)
        report = Report(
            "uploader",
            [(self.depot, self.database, room)],
            self.board,
            known=known or (SITE,),
            warn_percent=100,
            clocks=self.hands.clocks(),
        )
        report.say(State.READY)
        return [(alarm.code, alarm.detail) for alarm in self.board.alarms()]

    def close(self) -> None:
        """End the run."""
        with closing(self.database):
            pass


def give_receipt(
    owner: Organisation, bundle: Bundle, store: Store, site: str = SITE, *, about: str = ""
) -> None:
    """Read a recording back from a store and put the custodian's receipt into it.

    `about` is a site that the custodian filled from this one.
    """
    objects = []
    for item in store.list("recordings/"):
        if str(bundle.id) in item.name:
            with store.get(item.name) as file:
                data = file.read()
            sha256 = hashlib.sha256(data).digest()
            objects.append(
                ReceiptObject(name=item.name, version=sha256.hex(), size_bytes=len(data), sha256=sha256)
            )
    receipt = Receipt(
        id=bundle.id,
        device=owner.device,
        site=about or site,
        received_at=BEGIN,
        manifest=hashlib.sha256(bundle.manifest_bytes()).digest(),
        objects=tuple(objects),
    )
    key = generate_signing_key()
    now = datetime.now(UTC) - timedelta(days=1)
    now = min(now, STARTED_AT - timedelta(days=1))
    leaf = certify(owner.root_key, owner.root, key.public_key(), role=Role.CUSTODIAN, now=now, years=20)
    data = sign_receipt(receipt, key, chain_der([leaf]))
    store.put(receipt_name(owner.device, bundle.id, about), data, hashlib.sha256(data).digest())
