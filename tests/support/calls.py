"""Calls through a desk's bridge, between two sipps: one is the telephone, the other the telephone system."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.desk import Desk
from support.programs import free_udp_port
from support.sipp import Callee, Caller, Sipp, pause

NUMBER = "13800138000"


@contextmanager
def calling(
    folder: Path,
    at: Desk,
    caller: list[str],
    callee: list[str],
    *,
    inbound: bool = False,
    number: str = NUMBER,
    name: str = "",
    count: int = 1,
) -> Iterator[tuple[Sipp, Sipp]]:
    """Let calls begin; gives the caller and the callee, which are stopped at the end if they still run."""
    near, far = (at.pbx_port, at.phone_port) if inbound else (at.phone_port, at.pbx_port)
    with (
        Sipp.start(
            folder,
            f"{name}callee",
            callee,
            port=far,
            media_port=free_udp_port(),
            remote=at.bridge,
            calls=count,
        ) as called,
        Sipp.start(
            folder,
            f"{name}caller",
            caller,
            port=near,
            media_port=free_udp_port(),
            remote=at.bridge,
            service="6001" if inbound else number,
            calls=count,
        ) as placed,
    ):
        yield placed, called


def place(
    folder: Path,
    at: Desk,
    caller: list[str],
    callee: list[str],
    *,
    inbound: bool = False,
    number: str = NUMBER,
    name: str = "",
    count: int = 1,
) -> None:
    """Let calls take place, the caller's steps against the callee's; both must come to their end."""
    limit_s = 60.0 + 10 * count
    with calling(folder, at, caller, callee, inbound=inbound, number=number, name=name, count=count) as (
        placed,
        called,
    ):
        placed.finish(limit_s)
        called.finish(limit_s)


def hold_call(folder: Path, at: Desk, seconds: float, *, name: str = "") -> None:
    """Let an outbound call without talk take place, that is answered at once."""
    caller, callee = Caller(), Callee()
    place(
        folder,
        at,
        [caller.invite(), caller.answered(), pause(seconds), caller.hang_up()],
        [callee.invited(), *callee.answers(), callee.hung_up_on()],
        name=name,
    )


def be_refused(folder: Path, at: Desk, code: int) -> None:
    """Place a call that is turned away with a code before anybody is rung."""
    caller = Caller()
    with Sipp.start(
        folder,
        "refused",
        [caller.invite(), caller.refused(code)],
        port=at.phone_port,
        media_port=free_udp_port(),
        remote=at.bridge,
        service=NUMBER,
    ) as placed:
        placed.finish()
