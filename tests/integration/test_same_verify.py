"""A folder and an S3 store that hold the same are told the same of by `verify`, receipts included."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from callseal.seal.spool import Bundle
from callseal.store.directory import DirectoryStore
from callseal.store.interface import StoreWriter
from callseal.store.names import ledger_name
from callseal.store.opening import open_store
from callseal.uploader.plan import plan_puts
from support.central import write_central
from support.filled_spool import FilledSpool
from support.sealed_recordings import organisation
from support.seaweed import ADMIN, S3Server

pytest_plugins = ["support.seaweed_fixture"]
pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

OWNER = organisation()
ALTERED, LOST = 1, 2


def _callseal(*words: object, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "callseal.cli", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def _bring(filled: FilledSpool, store: StoreWriter) -> None:
    """Put all that a spool holds; one recording altered on its way, and of another the sound left out."""
    for first, path in filled.spool.segments():
        name = ledger_name(filled.owner.device, first)
        store.put(name, path, hashlib.sha256(path.read_bytes()).digest())
    for number, (recording, manifest) in enumerate(filled.manifests.items()):
        bundle = Bundle(id=recording, path=filled.spool.ready_path / str(recording))
        for item in plan_puts(manifest, bundle.manifest_bytes(), bundle.signature()):
            data = (bundle.path / item.file).read_bytes()
            if item.file.startswith("audio-"):
                if number == LOST:
                    continue
                data = data[:-1] + bytes([data[-1] ^ 1]) if number == ALTERED else data
            store.put(item.name, data, hashlib.sha256(data).digest())


def _told(document: dict[str, Any], place: str) -> dict[str, Any]:
    """Leave out what must differ: the place's name, and when what was received."""
    told: dict[str, Any] = json.loads(json.dumps(document).replace(place, "PLACE"))
    for recording in told["recordings"]:
        for finding in recording["findings"]:
            if finding["check"] == "receipt":
                finding["words"] = finding["words"].partition(" at ")[0]
    return told


def test_a_folder_and_s3_give_the_same_verdicts(tmp_path: Path, s3_server: S3Server) -> None:
    """Whole, altered and incomplete recordings: the same findings, words and exit code."""
    bucket = s3_server.bucket()
    stores = (
        s3_server.settings_text(bucket, profile=ADMIN, name="cloud")
        + '[[store]]\nname = "shelf"\ntype = "directory"\npath = "shelf"\n'
    )
    config = write_central(tmp_path, OWNER, stores)
    with FilledSpool(tmp_path / "spool", OWNER, random.Random(7), stores=("cloud", "shelf")) as filled:  # noqa: S311 - any bytes will do
        for _ in range(4):
            filled.record(70_000)
    _bring(filled, DirectoryStore.create(tmp_path / "shelf"))
    _bring(filled, open_store(s3_server.settings(bucket, profile=ADMIN)))
    env = s3_server.environment()

    received = _callseal("custodian", "--once", "--json", "--config", config, env=env)
    verified = {
        name: _callseal("verify", "--json", "--store", name, "--config", config, env=env)
        for name in ("cloud", "shelf")
    }

    documents = {name: _told(json.loads(ran.stdout), name) for name, ran in verified.items()}
    assert received.returncode == 12, received.stderr
    assert verified["cloud"].returncode == verified["shelf"].returncode == 12
    assert documents["cloud"] == documents["shelf"]
    codes = [recording["exit_code"] for recording in documents["cloud"]["recordings"]]
    assert sorted(codes) == [0, 0, 12, 12]
