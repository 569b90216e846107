"""A desk, or a recording server with a gateway, that the tests of one file share."""

from collections.abc import Iterator

import pytest

from support.desk import NO_ANNOUNCEMENT, Desk, desk
from support.line import NUMBER, Line
from support.recording_server import Copies, RecordingServer, recording_server
from support.sip_peer import Peer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("torture") / "desk", rules=NO_ANNOUNCEMENT) as at:
        yield at


@pytest.fixture
def line(running: Desk) -> Iterator[Line]:
    """Lend the running desk to one test, which must leave it alive and silent about customers."""
    with (
        Peer(running.phone_port, running.bridge_port) as phone,
        Peer(running.pbx_port, running.bridge_port) as pbx,
    ):
        lent = Line(running, phone, pbx)
        child = lent.child
        yield lent
        assert lent.child == child, "the bridge's child was lost"
        assert NUMBER not in lent.log


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingServer]:
    """Run a recording server; a file whose tests need another one has a fixture of this name of its own."""
    with recording_server(tmp_path_factory.mktemp("siprec")) as at:
        yield at


@pytest.fixture
def gateway(server: RecordingServer) -> Iterator[Copies]:
    """Lend one test a gateway that knows the server, whichever the test's file has."""
    with server.gateway() as copies:
        yield copies
