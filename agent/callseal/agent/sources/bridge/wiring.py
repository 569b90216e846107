"""Who hears whom: the connections between a call's ports.

What is connected to what is never switched step by step: `paths` says which connections belong to the
present state, `Wiring.be` makes it so.

Trap of pjsua2 2.15.1 that shapes this file: a port's removal waits in the conference's queue until its next
tick. To disconnect such a port from another then disconnects that other one from everybody (the one that is
gone counts as "any"). So what hung on a port that the library has taken away is forgotten, never undone by
hand; ports of our own are parted first and destroyed then.
"""

from collections.abc import Callable, Mapping
from typing import Final

import pjsua2 as pj

from callseal.agent.sources.bridge.protocol import CallSide
from callseal.agent.sources.bridge.taps import NAMES

Path = tuple[str, str]
"""Names of the ports that speak and listen."""
OTHER: Final[dict[CallSide, CallSide]] = {"agent": "customer", "customer": "agent"}


def paths(*, flowing: bool, talk: bool, newcomer: CallSide | None = None) -> list[Path]:
    """Say which port is to be heard by which, were they all there.

    Ports are agent, customer, a tap for each and for the announcement, silence, ramp, player, and the
    newcomer that a transfer calls, heard for the side given. With `flowing`, sound may pass at all; with
    `talk`, the parties hear each other.
    """
    wanted: list[Path] = []
    for tap in NAMES:
        wanted += [("silence", tap), ("ramp", tap), ("player", tap)]
    if not flowing:
        return wanted
    sides: tuple[CallSide, CallSide] = ("agent", "customer")
    for side in sides:
        speaker = "newcomer" if side == newcomer else side
        wanted += [(speaker, f"{side}-tap"), ("player", side)]
        if talk:
            wanted.append((speaker, OTHER[side]))
    return wanted


class Wiring:
    """A call's connections in the library."""

    def __init__(self, fault: Callable[[str, Exception], None]) -> None:
        self._fault = fault
        self._made: dict[Path, tuple[pj.AudioMedia, pj.AudioMedia]] = {}

    def __contains__(self, path: Path) -> bool:
        return path in self._made

    def be(self, wanted: list[Path], ports: Mapping[str, pj.AudioMedia]) -> None:
        """Connect what is wanted and there, disconnect the rest."""
        now = {
            path: (ports[path[0]], ports[path[1]]) for path in wanted if path[0] in ports and path[1] in ports
        }
        for path in [path for path in self._made if path not in now]:
            self._undo(path)
        for path, (speaker, listener) in now.items():
            if path not in self._made:
                speaker.startTransmit(listener)
                self._made[path] = (speaker, listener)

    def part(self, name: str) -> None:
        """Disconnect a port that stands."""
        for path in [path for path in self._made if name in path]:
            self._undo(path)

    def lose(self, name: str) -> None:
        """Forget a port that the library has taken away."""
        for path in [path for path in self._made if name in path]:
            del self._made[path]

    def renew(self, name: str, port: pj.AudioMedia | None) -> None:
        """Take a port's connections away after the library may have put another in its place.

        One of another number, or none, means that the old one is gone. One of the same number may be either.
        """
        for path in [path for path in self._made if name in path]:
            old = self._made[path][path.index(name)]
            if port is None or port.getPortId() != old.getPortId():
                del self._made[path]
            else:
                self._undo(path)

    def _undo(self, path: Path) -> None:
        speaker, listener = self._made.pop(path)
        try:
            speaker.stopTransmit(listener)
        except pj.Error as error:
            self._fault("disconnect", error)
