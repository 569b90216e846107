"""The stores that run the contract, as fixtures: each test gets all of them that can do what it is about.

A store joins by a line in `STORES`, which says how it is made and what it promises. The S3 store here is a
real one, SeaweedFS; each test has a prefix of its own in one bucket. To be loaded as a plugin.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from callseal.store.directory import DirectoryStore
from callseal.store.interface import CentralStore
from callseal.store.opening import open_store
from support.faulty_store import FaultyStore
from support.seaweed import S3Server
from support.stored import StoreWithParts

pytest_plugins = ["support.seaweed_fixture"]


@dataclass(frozen=True)
class Kind:
    """How a store is made, and what it promises."""

    make: Callable[[Path, pytest.FixtureRequest], CentralStore]
    parts: bool = False
    lock: bool = False
    notices: bool = False
    is_remote: bool = False


def directory(folder: Path, _request: pytest.FixtureRequest) -> CentralStore:
    return DirectoryStore.create(folder / "store")


def faulty(folder: Path, request: pytest.FixtureRequest) -> CentralStore:
    return FaultyStore(directory(folder, request))


PREFIXES = (f"t{number}/" for number in itertools.count())


def s3(_folder: Path, request: pytest.FixtureRequest) -> CentralStore:
    server = cast("S3Server", request.getfixturevalue("s3_server"))
    bucket = cast("str", request.getfixturevalue("bucket"))
    return open_store(server.settings(bucket, prefix=next(PREFIXES), lock="governance"))


STORES = {
    "directory": Kind(make=directory, notices=True),
    "faulty": Kind(make=faulty, notices=True),
    "s3": Kind(make=s3, parts=True, lock=True, is_remote=True),
}
REMOTE = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]


def kinds(wanted: Callable[[Kind], bool]) -> list[object]:
    return [
        pytest.param(name, marks=REMOTE if kind.is_remote else [])
        for name, kind in STORES.items()
        if wanted(kind)
    ]


@pytest.fixture(scope="module")
def bucket(s3_server: S3Server) -> str:
    return s3_server.bucket()


@pytest.fixture(params=kinds(lambda _kind: True))
def kind(request: pytest.FixtureRequest) -> Kind:
    return STORES[request.param]


@pytest.fixture
def store(kind: Kind, request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return kind.make(tmp_path, request)


@pytest.fixture(params=kinds(lambda kind: kind.parts))
def in_parts(request: pytest.FixtureRequest, tmp_path: Path) -> StoreWithParts:
    return cast("StoreWithParts", STORES[request.param].make(tmp_path, request))


@pytest.fixture(params=kinds(lambda kind: kind.lock))
def locking(request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return STORES[request.param].make(tmp_path, request)


@pytest.fixture(params=kinds(lambda kind: not kind.lock))
def unlocking(request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return STORES[request.param].make(tmp_path, request)


@pytest.fixture(params=kinds(lambda kind: kind.notices))
def noticing(request: pytest.FixtureRequest, tmp_path: Path) -> CentralStore:
    return STORES[request.param].make(tmp_path, request)
