"""The demo, as a new user runs it; and its recordings, as stock tools open them."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from callseal.agent.announcement import read
from callseal.agent.sources.bridge.source import missing
from callseal.cli.demo.voices import on_the_line
from callseal.codecs import g711
from callseal.config.announcement import Builtin, read_announcement
from support.programs import needed
from support.sound import RATE_HZ, Samples, demo_speech, likeness, locate

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("demo"),  # one run of it serves all tests here
]


@dataclass(frozen=True)
class Demo:
    """A demo that was run."""

    root: Path
    output: str
    code: int


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """Run the demo once for all tests here."""
    root = tmp_path_factory.mktemp("demo") / "out"
    ended = subprocess.run(
        [sys.executable, "-m", "callseal.cli", "demo", "--out", str(root)],
        capture_output=True,
        text=True,
        check=False,
    )
    yield Demo(root=root, output=ended.stdout + ended.stderr, code=ended.returncode)
    shutil.rmtree(root, ignore_errors=True)


pjsua2 = pytest.mark.skipif(bool(missing()), reason=missing() or "pjsua2 is there")


@pjsua2
def test_it_ends_with_success_and_three_verified_recordings(demo: Demo) -> None:
    """Exit 0; all calls ok and verified, and nothing of the services left running."""
    assert demo.code == 0, demo.output
    verified = next(line for line in demo.output.splitlines() if line.startswith("Verified"))
    assert verified.split()[1:] == ["yes", "yes", "yes"]
    result = next(line for line in demo.output.splitlines() if line.startswith("Result"))
    assert [cell.partition(":")[0] for cell in re.split(r" {2,}", result)[1:]] == ["ok", "ok", "ok"]


@pjsua2
@pytest.mark.parametrize(("direction", "language"), [("outbound", "zh"), ("inbound", "en")])
def test_the_opened_files_hold_each_party_on_its_own_channel(
    demo: Demo, direction: str, language: str
) -> None:
    """Correlation at least 0.95 with what was played, at most 0.15 with the other side's."""
    (path,) = (demo.root / "opened").glob(f"desk-{direction}-*.wav")
    sound, rate_hz = soundfile.read(path, dtype="int16")
    spoken = read("x", language, "x", read_announcement(Builtin(name=language)), RATE_HZ).samples

    assert rate_hz == RATE_HZ
    channels = sound.T
    starts = [locate(channel, spoken) for channel in channels]
    assert all(score >= 0.99 for _start, score in starts), "the announcement is not on both channels"
    talk = channels[:, starts[0][0] + spoken.size :]
    agent, customer = demo_speech(f"{language}-agent"), demo_speech(f"{language}-customer")
    assert likeness(talk[0], agent) >= 0.95
    assert likeness(talk[1], customer) >= 0.95
    assert abs(locate(talk[0], customer)[1]) <= 0.15
    assert abs(locate(talk[1], agent)[1]) <= 0.15


@pjsua2
def test_the_printed_age_command_opens_the_recording_with_stock_tools(demo: Demo, tmp_path: Path) -> None:
    """What age gives is what `open --raw` gives; soxi, ffmpeg and soundfile read the same samples."""
    needed("age", "age")
    soxi, ffmpeg = needed("soxi", "sox"), needed("ffmpeg", "ffmpeg")
    found = re.search(r"^ +age -d -i (\S+) (\S+) > call\.au$", demo.output, re.MULTILINE)
    assert found is not None, demo.output
    key, sealed = found.groups()
    by_age = tmp_path / "age.au"
    subprocess.run(["age", "-d", "-i", key, "-o", str(by_age), sealed], check=True)
    raw = tmp_path / "raw.au"
    opened = subprocess.run(
        [
            sys.executable, "-m", "callseal.cli", "open", str(Path(sealed).parent), "-i", key,
            "--raw", "-o", str(raw), "--roots", str(demo.root / "config" / "trust.pem"), "--json",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert opened.returncode == 0, opened.stderr
    assert json.loads(opened.stdout)["signer"]["trusted"]
    assert by_age.read_bytes() == raw.read_bytes()
    by_soundfile, _rate = soundfile.read(by_age, dtype="int16")
    decoded = subprocess.run(
        [ffmpeg, "-v", "error", "-i", str(by_age), "-f", "s16le", "-"], capture_output=True, check=True
    ).stdout
    by_ffmpeg: Samples = np.frombuffer(decoded, "<i2").astype(np.int16).reshape(-1, 2)
    assert np.array_equal(by_ffmpeg, by_soundfile)
    told = subprocess.run([soxi, "-s", str(by_age)], capture_output=True, text=True, check=True).stdout
    assert int(told) == by_soundfile.shape[0]


def test_what_the_gateway_copied_is_in_its_recording_byte_for_byte(demo: Demo) -> None:
    """Agent and customer each on a channel, nothing decoded and encoded again."""
    (path,) = (demo.root / "opened").glob("gateway-inbound-*.wav")
    sound, rate_hz = soundfile.read(path, dtype="int16")

    assert rate_hz == RATE_HZ
    for channel, name in enumerate(("en-agent", "en-customer")):
        sent = g711.decode(np.frombuffer(on_the_line(name), np.uint8), g711.Law.A)
        first = int(np.flatnonzero(np.abs(sent) > 1000)[0])
        start, _score = locate(sound[:, channel], sent[first : first + RATE_HZ])
        assert np.array_equal(sound[start:, channel][: sent.size - first], sent[first:])


def test_without_pjsua2_the_gateways_call_is_recorded_and_the_desks_are_said_to_be_left_out(
    tmp_path: Path,
) -> None:
    """Exit 0 with one verified recording, and a line that says what to install for the rest."""
    root = tmp_path / "out"
    # A module of that name that cannot be found: as on a machine without the extra.
    hide = "import sys, importlib.util as u; f = u.find_spec; "
    hide += "u.find_spec = lambda n, p=None: None if n == 'pjsua2' else f(n, p); "
    hide += f"sys.argv = ['callseal', 'demo', '--out', {str(root)!r}]; "
    hide += "from callseal.cli.main import main; main()"

    ended = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    (said,) = [line for line in ended.stderr.splitlines() if "callseal[bridge]" in line]
    assert "pjsua2" in said
    verified = next(line for line in ended.stdout.splitlines() if line.startswith("Verified"))
    assert verified.split()[1:] == ["yes"]
    (opened,) = (root / "opened").iterdir()
    assert opened.name.startswith("gateway-inbound-")
