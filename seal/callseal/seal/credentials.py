"""Where a service's private key is: a systemd credential, or a file that nobody else can read.

The key comes as a systemd credential (``LoadCredential=``, ``LoadCredentialEncrypted=``) or lies in a file
that nobody but this account, and root, can read: whoever else has read it may sign in this service's name, so
that such a file is refused rather than used. A credential is guarded by systemd and not judged here.

Source: systemd.exec(5), "Credentials".
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from callseal.seal.errors import KeyFileError

CREDENTIALS_VARIABLE: Final = "CREDENTIALS_DIRECTORY"

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_ROOT: Final = 0


def key_path(key_file: Path, credential: str, env: Mapping[str, str]) -> Path:
    """Return where the key is: systemd's credential of that name if there is one, else the settings' file."""
    folder = env.get(CREDENTIALS_VARIABLE)
    if folder and exists(Path(folder) / credential):
        return Path(folder) / credential
    return key_file


def check_private(path: Path, *, remedy: str) -> None:
    """Raise KeyFileError for a key file that somebody else may have read or put there.

    `remedy` says what to do if somebody has: "revoke it and …".
    """
    try:
        found = path.stat()
    except OSError as problem:
        raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
    if found.st_mode & _OTHERS:
        raise KeyFileError(
            f"other accounts may read this private key (mode {stat.S_IMODE(found.st_mode):o}): chmod 600 it,"
            f" and if others may have read it, {remedy}",
            path=path,
        )
    if found.st_uid not in {_ROOT, os.geteuid()}:
        raise KeyFileError(
            f"this private key belongs to user {found.st_uid}, and the service runs as user {os.geteuid()}:"
            " chown it to that user, and chmod 600 it",
            path=path,
        )


def exists(path: Path) -> bool:
    """Say whether there is such a file; one in a folder that this user may not enter is not missing."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as problem:
        raise KeyFileError(f"can't be read: {problem.strerror}", path=path) from problem
    return True
