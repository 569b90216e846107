"""How the media thread is doing, in figures for status and metrics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts since the start, and the last tick's figures."""

    recordings: int = 0
    """That run now."""
    streams: int = 0
    packets: int = 0
    """Datagrams that were read."""
    strangers: int = 0
    """Of these, from others than the streams' sources."""
    dropped_by_kernel: int = 0
    """Datagrams that sockets of ended calls had no room for."""
    faults: int = 0
    """Times that something went wrong for a whole bank or a write."""
    ticks: int = 0
    busy_s: float = 0.0
    """CPU time of the thread."""
    behind_s: float = 0.0
    """How much later than it should the last tick began."""
    longest_s: float = 0.0
    """How long the longest tick took."""
