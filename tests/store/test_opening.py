"""Stores as the settings describe them."""

import subprocess
import sys
from pathlib import Path

from callseal.config.central import DirectoryStore as DirectorySettings
from callseal.config.central import S3Store as S3Settings
from callseal.store.directory import DirectoryStore
from callseal.store.opening import notices_of, open_store, parts_of
from callseal.store.s3 import S3Store


def test_a_folder_is_opened_as_one(tmp_path: Path) -> None:
    store = open_store(DirectorySettings(name="near", type="directory", path=tmp_path))

    assert isinstance(store, DirectoryStore)
    assert store.root == tmp_path
    assert parts_of(store) is None
    assert notices_of(store) is store


def test_an_s3_store_is_opened_without_asking_anybody() -> None:
    """No network, no credentials: both come to light with the first call."""
    settings = S3Settings(name="far", type="s3", endpoint="https://store.invalid", bucket="recordings-bj")

    store = open_store(settings, profile="no-such-profile", connections=3)

    assert isinstance(store, S3Store)
    assert parts_of(store) is store
    assert notices_of(store) is None


def test_a_service_that_can_not_refuse_a_taken_name_is_not_asked_to() -> None:
    """What does not know the condition refuses every request that has it: nothing would ever be stored."""
    settings = S3Settings(
        name="far",
        type="s3",
        endpoint="https://store.invalid",
        bucket="recordings-bj",
        conditional_put=False,
    )

    assert not open_store(settings).capabilities.exclusive_put


def test_who_uses_folders_only_does_not_wait_for_the_s3_library(tmp_path: Path) -> None:
    words = (
        "import sys; from pathlib import Path; from callseal.store.opening import open_store;"
        "from callseal.config.central import DirectoryStore;"
        f"open_store(DirectoryStore(name='a', type='directory', path=Path({str(tmp_path)!r})));"
        "print([name for name in ('boto3', 'botocore') if name in sys.modules])"
    )

    ran = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
