"""The report of a stream in which all was well, to be altered by tests."""

from typing import Final

from callseal.agent.call import StreamReport

REPORT: Final = StreamReport(
    channel=0,
    label="a",
    codec="PCMU",
    encrypted=False,
    packets=3000,
    placed=3000,
    lost=0,
    duplicates=0,
    reordered=0,
    late=0,
    comfort_noise=0,
    digits=0,
    restarts=0,
    slips=0,
    strangers=0,
    malformed=0,
    unauthentic=0,
    unreceived_samples=0,
    dropped_by_kernel=0,
)
