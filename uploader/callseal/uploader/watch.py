"""Is told by the kernel when something appears in a spool, so that nobody has to look all the time.

A watch can miss things and can fail: whoever uses it looks now and then all the same.
"""

from collections.abc import Callable, Iterable

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from callseal.seal.spool import Spool


class _Waker(FileSystemEventHandler):
    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def on_created(self, _event: FileSystemEvent) -> None:
        self._wake()

    def on_moved(self, _event: FileSystemEvent) -> None:
        self._wake()


def watch(spools: Iterable[Spool], ready: Callable[[], None], segment: Callable[[], None]) -> BaseObserver:
    """Call `ready` when a recording may have appeared, `segment` when one of the ledger may have.

    They are called from another thread, until the observer returned is stopped. Raises OSError.
    """
    observer = Observer()
    folders: list[type[FileSystemEvent]] = [DirCreatedEvent, DirMovedEvent]
    for spool in spools:
        observer.schedule(_Waker(ready), str(spool.ready_path), event_filter=folders)
        observer.schedule(_Waker(segment), str(spool.ledger_path), event_filter=[FileMovedEvent])
    observer.start()
    return observer
