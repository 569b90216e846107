"""The fixture that lends a real S3 store to the tests of one module: see `support.seaweed`.

A module of its own, because pytest wants to be the first to import what it loads as a plugin.
"""

from collections.abc import Iterator

import pytest

from support.seaweed import S3Server, serving


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run one store for the tests of a module; its credentials are found by profile."""
    with (
        serving(tmp_path_factory.mktemp("seaweed")) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in server.environment().items():
            patch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        yield server
