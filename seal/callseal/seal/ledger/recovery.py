"""Where the ledger stands when the agent starts: read from its folders, and never guessed.

::

    head.json          the state at the newest checkpoint that this folder knows of
    <first>.jsonl      finished segments; those behind head.json were finished by a process that then died
    open.jsonl         the segment that grows; a torn last line is what a crash left of a write

A ledger begins anew only where nothing at all is found. Everything else either continues what is there or
is a SpoolError that says what to do: a second chain under one device's name can't be told from a forgery.

Conventions: of several folders the one with the most entries goes on; what two folders both have must be the
same bytes. Segments may be taken away once they are stored elsewhere, as long as ``head.json`` stays.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from callseal.seal import durable
from callseal.seal.errors import LedgerError, RemoteError, SpoolError
from callseal.seal.ledger import checkpoint, entry
from callseal.seal.ledger.chain import Chain, verify_chain
from callseal.seal.ledger.findings import Code
from callseal.seal.ledger.merkle import CompactRange
from callseal.seal.ledger.state import MAX_HEAD_BYTES, LedgerState, read_head

OPEN_NAME: Final = "open.jsonl"
HEAD_NAME: Final = "head.json"
FOLDER_MODE: Final = 0o700
MAX_SEGMENT_ENTRIES: Final = 100
MAX_SEGMENT_BYTES: Final = (MAX_SEGMENT_ENTRIES + 4) * entry.MAX_LINE_BYTES

_SEGMENT_PATTERN: Final = re.compile(r"(0|[1-9][0-9]{0,15})\.jsonl")
# What makes finished segments unfit to go on from; the rest is for those who judge the chain.
_BROKEN: Final = frozenset({Code.ALTERED, Code.BAD_SIGNATURE, Code.GAP, Code.FORK, Code.NOT_COVERED})
_WHAT_TO_DO: Final = (
    "the ledger can't go on from here, and is not begun anew; put the folder's files back from a copy or from"
    " the store, or, if they are lost, give the device a new key"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What to go on from: the state, the lines of the unfinished segment, the folders, the best one first.

    `finished` means that the last of the lines is the segment's checkpoint.
    """

    state: LedgerState
    head: bytes
    lines: list[bytes]
    finished: bool
    folders: tuple[Path, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shelf:
    """What lies in one folder."""

    folder: Path
    segments: dict[int, Path]
    head: LedgerState | None
    lines: list[bytes]


def segment_name(first: int) -> str:
    """Return the name of the segment that begins with this entry."""
    return f"{first}.jsonl"


def recover(folders: Sequence[Path], *, device: str, key: Ed25519PublicKey) -> Recovered:
    """Read the ledger's folders, which are made where they are missing; SpoolError if it can't go on."""
    shelves = [_read_shelf(folder, device) for folder in folders]
    _check_common(shelves)
    state = _base(shelves, device, key)
    for first in sorted({first for shelf in shelves for first in shelf.segments}):
        if first >= state.size:
            _replay(state, first, shelves, key)
    head = state.to_bytes()
    lines = _unfinished(shelves, state.size)
    try:
        finished = state.take_lines(lines, key)
    except RemoteError as problem:
        names = ", ".join(str(shelf.folder / OPEN_NAME) for shelf in shelves if shelf.lines == lines)
        raise SpoolError(f"{names}: {problem}; {_WHAT_TO_DO}") from problem
    best = max(shelves, key=lambda shelf: _merit(shelf, lines))
    others = [shelf.folder for shelf in shelves if shelf is not best]
    return Recovered(state=state, head=head, lines=lines, finished=finished, folders=(best.folder, *others))


def _read_shelf(folder: Path, device: str) -> _Shelf:
    try:
        if not folder.exists():
            folder.mkdir(mode=FOLDER_MODE, parents=True)
            durable.sync_folder(folder.parent)
        matches = ((path, _SEGMENT_PATTERN.fullmatch(path.name)) for path in folder.iterdir())
        segments = {int(match[1]): path for path, match in matches if match is not None}
        head_data = _read(folder / HEAD_NAME, MAX_HEAD_BYTES)
        data = _read(folder / OPEN_NAME, MAX_SEGMENT_BYTES)
    except OSError as problem:
        raise SpoolError(
            f"{problem.filename or folder}: {problem.strerror}; the ledger may go on there, so"
            " that it can't be told where it stands: bring the folder back, or take it out of the settings"
        ) from problem
    try:
        head = None if head_data is None else read_head(head_data)
    except LedgerError:
        head = None  # then the segments say it, see _base
    if head is not None and head.device != device:
        raise SpoolError(
            f"{folder}: the ledger of {head.device}, and this is {device};"
            " give each device a spool of its own"
        )
    # A line is whole or torn by its line feed: the bytes behind the last one never were acknowledged.
    whole = (data or b"").rpartition(b"\n")[0]
    lines = [line + b"\n" for line in whole.split(b"\n")] if whole else []
    return _Shelf(folder=folder, segments=segments, head=head, lines=lines)


def _check_common(shelves: list[_Shelf]) -> None:
    """Compare what folders have in common: the newest such segment, as each stands for all before it."""
    counts = Counter(first for shelf in shelves for first in shelf.segments)
    common = max((first for first, count in counts.items() if count > 1), default=None)
    paths = [shelf.segments[common] for shelf in shelves if common in shelf.segments]
    for path in paths[1:]:
        if _segment(path) != _segment(paths[0]):
            raise SpoolError(f"{paths[0]} and {path}: two histories; {_WHAT_TO_DO}")
    heads = {
        (shelf.head.size, shelf.head.previous, shelf.head.tree.root())
        for shelf in shelves
        if shelf.head is not None
    }
    if len(heads) > len({size for size, _, _ in heads}):
        folders = " and ".join(str(shelf.folder) for shelf in shelves)
        raise SpoolError(f"{folders}: two histories; {_WHAT_TO_DO}")


def _base(shelves: list[_Shelf], device: str, key: Ed25519PublicKey) -> LedgerState:
    """Return the state at the newest head.json if the segments agree with it, else what they all say."""
    segments = {first: path for shelf in reversed(shelves) for first, path in shelf.segments.items()}
    heads = [shelf.head for shelf in shelves if shelf.head is not None]
    head = max(heads, key=lambda state: state.size, default=None)
    if head is not None:
        before = [first for first in segments if first < head.size]
        if not before or _agrees(head, segments[max(before)], key):
            return head
    if not segments:
        return LedgerState.new(device)
    state = _rebuild(segments, device, key)
    if head is not None and head.size > state.size:
        raise SpoolError(
            f"{shelves[0].folder}: entries {state.size} to {head.size - 1}, which {HEAD_NAME} knows of, are"
            f" missing; {_WHAT_TO_DO}"
        )
    return state


def _agrees(head: LedgerState, newest: Path, key: Ed25519PublicKey) -> bool:
    """Tell whether the newest segment before a head.json ends with its entry and its checkpoint."""
    lines = _segment(newest).splitlines(keepends=True)[-2:]
    try:
        data, _ = entry.split_line(b"".join(lines[:1]))
        note = checkpoint.read_line(b"".join(lines[1:]))
        said = checkpoint.open_checkpoint(note, key, head.device)
    except RemoteError:
        return False
    fits = said.size == head.size and said.root == head.tree.root()
    return fits and entry.entry_hash(data) == head.previous


def _rebuild(segments: dict[int, Path], device: str, key: Ed25519PublicKey) -> LedgerState:
    chain = verify_chain(
        ((first, _segment(segments[first])) for first in sorted(segments)), device=device, public_key=key
    )
    folder = segments[min(segments)].parent
    for finding in chain.findings:
        if finding.code in _BROKEN:
            raise SpoolError(f"{folder}: {HEAD_NAME} is of no use, and {finding.words}; {_WHAT_TO_DO}")
    return _state_of(chain)


def _state_of(chain: Chain) -> LedgerState:
    tree = CompactRange()
    for leaf in chain.leaves:
        tree.append(leaf)
    state = LedgerState.new(chain.device)
    state.tree, state.clocks = tree, chain.clocks
    if chain.head is not None:
        state.previous = chain.head.head
    state.open = dict.fromkeys(chain.open_recordings())
    state.ends = {recording: (end.kind, end.manifest) for recording, end in chain.newest_ends(chain.size)}
    state.forget_old_ends()
    return state


def _replay(state: LedgerState, first: int, shelves: list[_Shelf], key: Ed25519PublicKey) -> None:
    path = next(shelf.segments[first] for shelf in shelves if first in shelf.segments)
    data = _segment(path)
    try:
        if first != state.size:
            raise LedgerError(f"entry {state.size} expected, {first} there")
        if not state.take_lines(data.splitlines(keepends=True), key):
            raise LedgerError("a segment without its checkpoint")
    except RemoteError as problem:
        raise SpoolError(f"{path}: {problem}; {_WHAT_TO_DO}") from problem


def _unfinished(shelves: list[_Shelf], size: int) -> list[bytes]:
    """Return the lines of the segment that was growing, of the folder that has most of them."""
    growing: list[bytes] = []
    for shelf in shelves:
        path = shelf.folder / OPEN_NAME
        first = _first(path, shelf.lines) if shelf.lines else size
        if first > size:
            raise SpoolError(f"{path}: entries {size} to {first - 1} are missing; {_WHAT_TO_DO}")
        if first == size:
            same = min(len(growing), len(shelf.lines))
            if growing[:same] != shelf.lines[:same]:
                raise SpoolError(f"{path}: another history than in the other folder; {_WHAT_TO_DO}")
            growing = max(growing, shelf.lines, key=len)
        else:
            # Of a folder that failed, or of a process that died: finished since then, here or elsewhere.
            _check_leftover(path, first, shelf.lines, shelves)
    return growing


def _check_leftover(path: Path, first: int, lines: list[bytes], shelves: list[_Shelf]) -> None:
    for shelf in shelves:
        if first in shelf.segments and not _segment(shelf.segments[first]).startswith(b"".join(lines)):
            raise SpoolError(f"{path} and {shelf.segments[first]}: two histories; {_WHAT_TO_DO}")


def _first(path: Path, lines: list[bytes]) -> int:
    try:
        return entry.parse_entry(entry.split_line(lines[0])[0]).sequence
    except LedgerError as problem:
        raise SpoolError(f"{path}: {problem}; {_WHAT_TO_DO}") from problem


def _merit(shelf: _Shelf, growing: list[bytes]) -> tuple[bool, int, int]:
    return (
        bool(growing) and shelf.lines == growing,
        max(shelf.segments, default=-1),
        0 if shelf.head is None else shelf.head.size,
    )


def _segment(path: Path) -> bytes:
    try:
        data = _read(path, MAX_SEGMENT_BYTES)
    except OSError as problem:
        raise SpoolError(f"{path}: {problem.strerror}; {_WHAT_TO_DO}") from problem
    return data or b""


def _read(path: Path, limit_bytes: int) -> bytes | None:
    """Return a file's bytes, None if there is none; OSError for one beyond the limit or unreadable."""
    try:
        with path.open("rb") as file:
            data = file.read(limit_bytes + 1)
    except FileNotFoundError:
        return None
    if len(data) > limit_bytes:
        raise OSError(27, f"more than the {limit_bytes} bytes allowed", str(path))
    return data
