"""The central side of the demo where its store is S3: SeaweedFS, and an account for each role.

Everything as in an installation: buckets as `callseal store init` makes them, and the policies that it
prints; nobody works with more rights than his role has. The administrator's credentials serve once, to set it
up.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from callseal.cli.demo.seaweed import Identity, Seaweed, credentials_text
from callseal.config.central import S3Store
from callseal.store.accounts import Account
from callseal.store.policies import Role, place_of, policies, text_of
from callseal.store.preparing import prepare

STORE: Final = "central"
BUCKET: Final = "callseal"
LOCK_DAYS: Final = 1
ADMIN: Final = "admin"
DEVICE: Final = "device"
CUSTODIAN: Final = "custodian"
READER: Final = "reader"

_PRIVATE: Final = 0o600
_ROLES: Final = {DEVICE: Role.DEVICE, CUSTODIAN: Role.CUSTODIAN, READER: Role.READER}


class Central:
    """An S3 store in ``<root>/seaweed``, made ready for one device; stopped with the context."""

    def __init__(self, root: Path, device: str) -> None:
        self._credentials_file = root / "config" / "credentials"
        self._device = device
        self._left = False
        self._admin = Identity.create(ADMIN, is_admin=True)
        self._seaweed = Seaweed((root / "seaweed").absolute(), [self._admin])

    def __enter__(self) -> Self:
        self._seaweed.start()
        try:
            self._prepare()
        except BaseException:
            self._seaweed.kill()
            raise
        return self

    def __exit__(self, *_reason: object) -> None:
        if not self._left:
            self._seaweed.kill()

    def leave_running(self) -> int:
        """Let the store outlive this context and this process; give the number of its process."""
        self._left = True
        return self._seaweed.leave_running()

    def settings(self, profile: str) -> S3Store:
        """Give the store's table of the settings, for one role."""
        return S3Store(
            name=STORE,
            type="s3",
            endpoint=self._seaweed.endpoint,
            bucket=BUCKET,
            profile=profile,
            lock_days=LOCK_DAYS,
            ask_reason=True,
        )

    def table(self, profile: str) -> str:
        """Give the same as it stands in a settings file."""
        return (
            f'[[store]]\nname = "{STORE}"\ntype = "s3"\nendpoint = "{self._seaweed.endpoint}"\n'
            f'bucket = "{BUCKET}"\nprofile = "{profile}"\nlock_days = {LOCK_DAYS}\n'
        )

    def environment(self) -> Mapping[str, str]:
        """Give the variables by which services find their credentials, and no others."""
        return {
            "AWS_SHARED_CREDENTIALS_FILE": str(self._credentials_file.absolute()),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _prepare(self) -> None:
        self._write_credentials([self._admin])
        os.environ.update(self.environment())  # this process reads the store too
        item = self.settings(ADMIN)
        for _finding in prepare(Account(item, ADMIN), item):
            pass  # a new store: all of it is made
        documents = policies(place_of(item), self._device)
        people = [Identity.create(name, text_of(documents[role])) for name, role in _ROLES.items()]
        self._seaweed.give_rights([self._admin, *people])
        self._write_credentials(people)

    def _write_credentials(self, identities: list[Identity]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(self._credentials_file, flags, _PRIVATE), "w") as file:
            file.write(credentials_text(identities))
