"""The moments of a call at which a desk's child may die."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from support.desk_scene import ANNOUNCED, NUMBER, TALK_S, THIRD, Scene
from support.timed import until


@dataclass(frozen=True)
class Phase:
    """A moment of a call at which the child may die."""

    name: str
    arrange: Callable[[Scene], None]
    """Bring a call there."""
    aftermath: Callable[[Scene], None] = lambda _scene: None
    """What the parties do that do not know of the death yet."""
    recorded: int = 0
    """How many calls have been recorded by then."""
    traces: int = 0
    """How many have not, and leave a trace."""
    talks: bool = False
    """Whether both parties' voices are to be heard up to its end."""
    races: bool = False
    """Whether the call may as well have ended by itself, or be taken by the next child."""


def _invited(at: Scene) -> None:
    at.call()


def _ramping(at: Scene) -> None:
    at.call()
    time.sleep(0.06)  # the ramp plays for 0.1 s before the second leg is dialled


def _dialling(at: Scene) -> None:
    at.pbx.manner = "silent"
    at.call()
    at.wait_called()


def _ringing(at: Scene) -> None:
    at.pbx.manner = "rings"
    leg = at.call()
    until(lambda: 180 in leg.codes, "the telephone rings")


def _early(at: Scene) -> None:
    at.pbx.manner = "early"
    leg = at.call()
    until(lambda: 183 in leg.codes, "the telephone hears something")
    time.sleep(TALK_S)


def _unacknowledged(at: Scene) -> None:
    at.phone.holds_ack_back = True
    at.talk()


def _untold(at: Scene) -> None:
    """Let the call be taken without the child's knowledge."""
    _ringing(at)
    at.stop_child()
    at.pbx.legs[-1].take()
    time.sleep(0.1)


def _announcing(at: Scene) -> None:
    at.talk(ANNOUNCED, 0.9)


def _talking(at: Scene) -> None:
    at.talk()


def _held_by_telephone(at: Scene) -> None:
    leg = at.talk()
    leg.offer("sendonly")
    until(lambda: at.pbx.legs[0].directions != [], "the telephone system hears of the hold")
    time.sleep(0.5)


def _holding(at: Scene) -> None:
    """Have a re-INVITE under way."""
    at.pbx.ignores.add("re-INVITE")
    leg = at.talk()
    leg.offer("sendonly")
    until(lambda: at.pbx.legs[0].waiting is not None, "the telephone system is asked to hold")


def _held_by_system(at: Scene) -> None:
    leg = at.talk()
    at.pbx.legs[0].offer("sendonly")
    until(lambda: leg.directions != [], "the telephone hears of the hold")
    time.sleep(0.5)


def _transferring(at: Scene) -> None:
    leg = at.talk()
    at.pbx.manner = "rings"
    leg.refer(f"sip:{THIRD}@127.0.0.1:{at.pbx.port}")
    at.wait_called(2)
    time.sleep(0.1)


def _hanging_up(at: Scene) -> None:
    at.talk().hang_up()


def _system_hangs_up(at: Scene) -> None:
    at.talk()
    at.pbx.legs[0].hang_up()


def _unheard_bye(at: Scene) -> None:
    """Have the child's own BYE under way, and not answered yet."""
    at.pbx.ignores.add("BYE")
    before = at.count()
    at.talk().hang_up()
    until(lambda: at.count() == before + 1, "the recording of a call that is over")


def _second_call(at: Scene) -> None:
    leg = at.talk()
    leg.offer("sendonly")
    until(lambda: at.pbx.legs[0].directions != [], "the telephone system hears of the hold")
    at.talk(ANNOUNCED)


def _ringing_in(at: Scene) -> None:
    at.phone.manner = "rings"
    leg = at.pbx.call("6001", user=NUMBER)
    until(lambda: 180 in leg.codes, "the caller hears it ring")


def _talking_in(at: Scene) -> None:
    leg = at.pbx.call("6001", user=NUMBER)
    until(lambda: leg.final == 200, "an answer")
    time.sleep(TALK_S)


def _ring_late(at: Scene) -> None:
    at.pbx.legs[-1].ring()


def _take_late(at: Scene) -> None:
    at.pbx.legs[-1].take()


def _acknowledge_late(at: Scene) -> None:
    until(lambda: at.phone.legs[0].end == "BYE", "the telephone is told of the end")
    at.phone.legs[0].acknowledge()


def _hear_bye(at: Scene) -> None:
    at.pbx.ignores.clear()


PHASES: Final = (
    Phase("an INVITE has just come", _invited, traces=1, races=True),
    Phase("the ramp plays", _ramping, traces=1, races=True),
    Phase("dialling", _dialling, _ring_late, traces=1),
    Phase("dialling, and taken afterwards", _dialling, _take_late, traces=1),
    Phase("ringing", _ringing, traces=1),
    Phase("ringing, and taken in the same moment", _ringing, _take_late, traces=1),
    Phase("early media", _early, recorded=1, talks=True),
    Phase("taken, and the child does not know", _untold, traces=1),
    Phase("answered, and not acknowledged", _unacknowledged, _acknowledge_late, recorded=1, talks=True),
    Phase("an announcement plays", _announcing, recorded=1),
    Phase("talking", _talking, recorded=1, talks=True),
    Phase("held by the telephone", _held_by_telephone, recorded=1),
    Phase("the telephone is about to hold", _holding, recorded=1),
    Phase("held by the telephone system", _held_by_system, recorded=1),
    Phase("the third leg of a transfer rings", _transferring, recorded=1),
    Phase("the telephone hangs up", _hanging_up, recorded=1, races=True),
    Phase("the telephone system hangs up", _system_hangs_up, recorded=1, races=True),
    Phase("the child's BYE is not answered", _unheard_bye, _hear_bye, races=True, recorded=1),
    Phase("a second call, while the first is held", _second_call, recorded=2),
    Phase("ringing, from outside", _ringing_in, traces=1),
    Phase("talking, from outside", _talking_in, recorded=1, talks=True),
)
