"""A desk between a telephone and a telephone system that both watch whether anybody hangs.

Each is a `watchful_party`, which keeps its dialogs and complains of whoever does not.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from callseal.cli.demo.office import AGENT
from support.desk import Desk, desk
from support.desk_hearing import agent_voice, announcing, customer_voice, over_and_over
from support.ear import Ear
from support.process import children
from support.sound import Samples
from support.timed import until
from support.watchful_leg import Leg
from support.watchful_party import Party

ANNOUNCED: Final = "13800138000"
NUMBER: Final = "13900139000"
THIRD: Final = "13700137000"
TALK_S: Final = 1.2


@dataclass
class Scene:
    """A running desk and who is around it."""

    at: Desk
    phone: Party
    pbx: Party
    ears: contextlib.ExitStack
    stopped_s: float = 0.0
    """When the child was stopped by the phase itself; 0 when it was not."""

    @property
    def agent(self) -> int:
        return self.at.office.process(AGENT).pid

    @property
    def child(self) -> int:
        (child,) = children(self.agent)
        return child

    @property
    def log(self) -> str:
        return (self.at.office.root / "logs" / "agent.log").read_text(errors="replace")

    def count(self) -> int:
        return len(list((self.at.office.spool / "ready").iterdir()))

    def settle(self) -> None:
        """Let everybody forget the former calls, and say no more in them: their ports are used again."""
        self.ears.close()
        self.stopped_s = 0.0
        self.phone.forget()
        self.pbx.forget()

    def call(self, number: str = NUMBER) -> Leg:
        """Call from the telephone; gives the telephone's leg."""
        return self.phone.call(number)

    def talk(self, number: str = NUMBER, talk_s: float = TALK_S) -> Leg:
        """Call, and talk for a while."""
        leg = self.call(number)
        until(lambda: leg.final != 0, "an answer")
        assert leg.final == 200, leg.codes
        time.sleep(talk_s)
        return leg

    def wait_called(self, count: int = 1) -> Leg:
        """Wait for calls that come to the telephone system; gives the last one's leg."""
        until(lambda: len(self.pbx.legs) == count, f"{count} calls at the telephone system")
        return self.pbx.legs[-1]

    def stop_child(self) -> None:
        """Let the child stand still before its death."""
        self.stopped_s = time.monotonic()
        os.kill(self.child, signal.SIGSTOP)

    def kill_child(self) -> None:
        """Kill the child that there is, or will be in a moment, and wait until it is gone."""
        until(lambda: children(self.agent) != [], "a child")
        dead = self.child
        os.kill(dead, signal.SIGKILL)
        until(lambda: dead not in children(self.agent), "the end of a child")

    def next_child_stopped(self) -> int:
        """Kill the child, and let the next one stand still before it listens; gives its process id."""
        self.kill_child()
        # Until it runs its own program, whoever starts it stands still with it (vfork).
        until(lambda: any(map(_is_itself, children(self.agent))), "another child")
        os.kill(self.child, signal.SIGSTOP)
        return self.child

    def is_told(self, reason: str) -> bool:
        """Say whether the agent says of itself that it is not ready for a reason."""
        reading = self.at.office.status(AGENT)
        return reading is not None and reason in reading.status.reasons

    def is_alarmed(self, code: str) -> bool:
        """Say whether an alarm stands."""
        reading = self.at.office.status(AGENT)
        return reading is not None and code in [alarm.code for alarm in reading.status.alarms]

    def unfinished(self) -> list[str]:
        """Say what hangs at either party."""
        return self.phone.unfinished() + self.pbx.unfinished()

    def complaints(self) -> list[str]:
        """Give what either party complains of."""
        return self.phone.complaints + self.pbx.complaints


@contextmanager
def scene(folder: Path, *, when_down: Literal["refuse", "pass"] = "refuse") -> Iterator[Scene]:
    """Run a desk: calls with ANNOUNCED are announced, others not."""
    edit = (('when_down = "refuse"', f'when_down = "{when_down}"'),)
    with (
        contextlib.ExitStack() as ears,
        desk(folder / "desk", rules=announcing(folder, ANNOUNCED), edit=edit) as at,
        Party("telephone", at.phone_port, at.bridge_port, _mouths(ears, agent_voice())) as phone,
        Party("telephone system", at.pbx_port, at.bridge_port, _mouths(ears, customer_voice())) as pbx,
    ):
        yield Scene(at, phone, pbx, ears)


def _is_itself(child: int) -> bool:
    return b"bridge.child" in Path(f"/proc/{child}/cmdline").read_bytes()


def _mouths(ears: contextlib.ExitStack, voice: Samples) -> Callable[[], Ear]:
    return lambda: ears.enter_context(Ear(over_and_over(voice)))
