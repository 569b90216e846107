"""What arrived in packets is told in the metadata, whatever a peer's figures are."""

import math
from dataclasses import replace

import pytest

from callseal.agent import streams
from callseal.agent.call import CodecChanged, Digit, Gap, Held, MediaLost, StreamReport
from support.stream_reports import REPORT


def test_every_kind_of_news_of_a_stream_has_its_list() -> None:
    events = (
        Gap(channel=0, start_samples=10, end_samples=20, expected=True),
        Held(channel=1, position_samples=30, held=True),
        Digit(channel=1, position_samples=40, duration_ms=100),
        CodecChanged(channel=0, position_samples=50, codec="G729"),
        REPORT,
    )

    found = streams.analysis(events, {Digit: 2, StreamReport: 0})

    assert found is not None
    assert (found.type, found.schema) == ("streams", "callseal-streams/1")
    assert isinstance(found.body, dict)
    reports = found.body.pop("streams")
    assert found.body == {
        "gaps": [{"channel": 0, "start_sample": 10, "end_sample": 20, "expected": True}],
        "digits": [{"channel": 1, "sample": 40, "duration_ms": 100}],
        "holds": [{"channel": 1, "sample": 30, "held": True}],
        "codec_changes": [{"channel": 0, "sample": 50, "codec": "G729"}],
        "unlisted": {"digits": 2},
    }
    assert isinstance(reports, list)
    assert isinstance(reports[0], dict)
    assert (reports[0]["label"], reports[0]["packets"], reports[0]["lost"]) == ("a", 3000, 0)


@pytest.mark.parametrize("jitter_ms", [None, math.nan, math.inf])
def test_a_figure_that_is_none_does_not_keep_the_metadata_from_being_written(jitter_ms: float | None) -> None:
    found = streams.analysis((replace(REPORT, remote_jitter_ms=jitter_ms),), {})

    assert found is not None
    assert isinstance(found.body, dict)
    reports = found.body["streams"]
    assert isinstance(reports, list)
    assert isinstance(reports[0], dict)
    assert reports[0]["remote_jitter_ms"] is None


def test_a_source_without_streams_has_no_such_analysis() -> None:
    assert streams.analysis((MediaLost(position_samples=1, detail="x"),), {}) is None
