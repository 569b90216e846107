"""Recordings of calls that a gateway copied, made by the recorder itself, without a network.

One conversation with a transfer in two recordings, and a call that has nothing to do with it: the second and
the third in another form each, so that all that a gateway brings is there.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from callseal.agent.call import (
    AudioFormat,
    Call,
    Link,
    Linked,
    PartiesChanged,
    Party,
    StreamReport,
)
from callseal.codecs import g711
from callseal.codecs.au import Encoding
from support.bundle import Office, open_office, record_call
from support.sealed_recordings import STARTED_AT

WANG: Final = Party(number="8001", uri="sip:8001@sbc.example", name="Wang Fang")
LI: Final = Party(number="8002", uri="sip:8002@sbc.example", name="Li Na")
CUSTOMER: Final = Party(number="+8613800138000", uri="sip:013800138000@carrier.example;user=phone")
OTHER_CUSTOMER: Final = Party(number="+862112345678")
SUPERVISOR: Final = Party(number="8009", uri="sip:8009@sbc.example", name="Zhao Min")
CONVERSATION: Final = "b1946ac9-2bff-4b3e-8f1d-7d1c2b8f0a01"
UCID: Final = "00FA080018803B69810C6D"
SECOND_UCID: Final = "00FA080019803B69810C71"
THIRD_UCID: Final = "00FA08001A803B69810C99"
GUID: Final = "1A2B3C4D-5E6F-11EE-8899-AABBCCDDEEFF"

ULAW: Final = AudioFormat(encoding=Encoding.ULAW, rate_hz=8000)
ALAW: Final = AudioFormat(encoding=Encoding.ALAW, rate_hz=8000)
WIDE: Final = AudioFormat(encoding=Encoding.PCM16, rate_hz=16000)
FORMS: Final = (ULAW, ALAW, WIDE)

_FIRST: Final = Call(
    source="siprec",
    direction="inbound",
    started_at=STARTED_AT,
    agent=WANG,
    customer=CUSTOMER,
    business="service",
    others=(SUPERVISOR,),
    conversation=CONVERSATION,
    attributes=(
        ("oracle:ucid", UCID),
        ("oracle:ucid", SECOND_UCID),
        ("cisco:guid", GUID),
        ("header:x-queue", "claims [motor]"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switchboard:
    """An office with three recordings, in the order of their calls."""

    office: Office
    before: UUID
    """Before the transfer."""
    after: UUID
    unrelated: UUID


def open_switchboard(root: Path) -> Switchboard:
    """Record the calls."""
    office = open_office(root)
    before = record_call(
        office,
        0,
        _FIRST,
        wave(ULAW),
        [
            PartiesChanged(
                position_samples=4000,
                agent=WANG,
                customer=CUSTOMER,
                others=(LI,),
                conversation="a second name",
                attributes=(("oracle:ucid", THIRD_UCID),),
            ),
            report(0, "PCMU", packets=150, lost=2),
            report(1, "PCMU", packets=149, lost=0, strangers=7),
        ],
        form=ULAW,
    )
    link = Link(relation="same-conversation", recording=before)
    second = replace(_FIRST, agent=LI, others=(), attributes=(("oracle:ucid", SECOND_UCID),))
    after = record_call(office, 1, second, wave(ALAW), [Linked(link=link)], form=ALAW)
    third = Call(
        source="siprec",
        direction="outbound",
        started_at=STARTED_AT,
        agent=WANG,
        customer=OTHER_CUSTOMER,
        is_mixed=True,
    )
    unrelated = record_call(office, 2, third, wave(WIDE), [report(0, "G722", packets=150, lost=0)], form=WIDE)
    return Switchboard(office=office, before=before, after=after, unrelated=unrelated)


def wave(form: AudioFormat) -> "NDArray[np.uint8] | NDArray[np.int16]":
    """Give three seconds of a tone for each side, as the format has them, shape (samples, 2)."""
    samples = linear(form)
    law = form.encoding.law
    return samples if law is None else g711.encode(samples, law)


def heard(form: AudioFormat) -> NDArray[np.int16]:
    """Give the same as whoever opens the recording must hear it, shape (samples, 2)."""
    law = form.encoding.law
    return linear(form) if law is None else g711.decode(g711.encode(linear(form), law), law)


def linear(form: AudioFormat) -> NDArray[np.int16]:
    """Give the tones before they are coded."""
    time = np.arange(3 * form.rate_hz) / form.rate_hz
    tones = [level * np.sin(2 * np.pi * hz * time) for level, hz in ((6000, 440), (4000, 700))]
    return np.stack(tones, axis=1).round().astype(np.int16)


def report(channel: int, codec: str, *, packets: int, lost: int, strangers: int = 0) -> StreamReport:
    """Give what a stream's end tells."""
    return StreamReport(
        channel=channel,
        label=str(channel),
        codec=codec,
        encrypted=False,
        packets=packets,
        placed=packets,
        lost=lost,
        duplicates=0,
        reordered=0,
        late=0,
        comfort_noise=0,
        digits=0,
        restarts=0,
        slips=0,
        strangers=strangers,
        malformed=0,
        unauthentic=0,
        unreceived_samples=0,
        dropped_by_kernel=0,
    )
