"""Which sources the settings ask for, put together from their parts.

Raised to whoever starts the agent: what keeps a source from being made at all.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from callseal.agent import announcement
from callseal.agent.announcement import Programme
from callseal.agent.call import Source
from callseal.agent.chronicle import Ledger
from callseal.agent.media.engine import Engine
from callseal.agent.media.fleet import Fleet, shares
from callseal.agent.media.worker_process import Backing
from callseal.agent.numbering import Numbering
from callseal.agent.sdp.policy import ALWAYS, AnswerPolicy
from callseal.agent.sip.flow import Transport
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sources.bridge import source as bridge
from callseal.agent.sources.bridge.desk_calls import DeskCalls, Room
from callseal.agent.sources.bridge.edge.server import Edge, Surrounding
from callseal.agent.sources.bridge.routing import Desk, announcement_key
from callseal.agent.sources.siprec import source as siprec
from callseal.agent.sources.siprec.describing import House
from callseal.agent.spools import Spools
from callseal.agent.tagging import Tagging
from callseal.codecs import decoder
from callseal.config.announcement import read_announcement
from callseal.config.settings import Settings
from callseal.config.sources import BridgeSource, SiprecSource
from callseal.seal.age import Recipient
from callseal.seal.device import DeviceSigner
from callseal.seal.manifest import Result

BINDINGS: Final = "bridge-bindings-{port}.json"
"""Beside the status files: which telephone has registered through the bridge."""
PBX_RESPONSE_S: Final = 6.0
"""How long the telephone system may say nothing at all before the caller gets 503."""


def bridge_rate_hz(settings: Settings) -> int:
    """Give the clock of this desk's bridge."""
    wide = any(isinstance(source, BridgeSource) and source.wideband for source in settings.sources)
    return bridge.WIDEBAND_HZ if wide else bridge.NARROWBAND_HZ


def programmes(settings: Settings) -> dict[str, Programme]:
    """Read all announcements and prepare those sequences that calls can ask for.

    Raises AnnouncementError (of this part or of `config`): a file is missing or holds no sound.
    """
    rate_hz = bridge_rate_hz(settings)
    known = {
        item.name: announcement.read(
            item.name, item.language, str(item.file), read_announcement(item.file), rate_hz
        )
        for item in settings.announcements
    }
    every = tuple(known)
    wanted = {every} | {
        every if rule.announcements is None else tuple(rule.announcements) for rule in settings.rules
    }
    return {announcement_key(names): announcement.prepare(names, known, rate_hz) for names in wanted if names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every source is given."""

    spools: Spools
    alarm: Callable[[str, str], None]
    """Takes a code and words."""
    clear: Callable[[str], None]
    """Takes the code of an alarm that is over."""
    ledger: Ledger
    recipients: Sequence[Recipient]
    signer: DeviceSigner
    finished: Callable[[Result], None]
    """Hears of every result."""
    recover: Callable[[Collection[UUID]], None]
    """Completes recordings whose process has ended, and these alone."""
    now: Callable[[], datetime]
    random: Callable[[int], bytes]


def sources(
    settings: Settings, programmes: dict[str, Programme], surroundings: Surroundings
) -> tuple[Source, ...]:
    """Make the sources of the settings, in their order; none of them runs yet."""
    found: list[Source] = []
    for source in settings.sources:
        if isinstance(source, BridgeSource):
            found.append(_bridge(source, settings, programmes, surroundings))
        elif isinstance(source, SiprecSource):
            found.append(_siprec(source, settings, surroundings))
    return tuple(found)


def _numbering(settings: Settings) -> Numbering:
    return Numbering(
        region=settings.numbers.region,
        outside_prefix=settings.numbers.outside_prefix,
        emergency=settings.numbers.emergency,
    )


def _bridge(
    source: BridgeSource, settings: Settings, programmes: dict[str, Programme], around: Surroundings
) -> bridge.BridgeSource:
    numbering = _numbering(settings)
    pbx = source.pbx
    room = Room(
        why_not=around.spools.why_not,
        on_full=settings.spool.on_full,
        alarm=around.alarm,
        clear=around.clear,
    )
    desk = Desk(
        pbx_target=f"{pbx.host}:{pbx.port}",
        phone="" if source.phone is None else str(source.phone),
        agent=source.agent,
        on_failure=settings.disclosure.on_failure,
        hold_talk=settings.disclosure.hold_talk,
        ring_timeout_s=source.ring_timeout_s,
        response_timeout_s=PBX_RESPONSE_S,
        numbering=numbering,
        tagging=Tagging.of(settings, numbering),
        edge=str(source.listen),
    )
    calls = DeskCalls(
        desk=desk,
        programmes=programmes,
        room=room,
        rate_hz=bridge_rate_hz(settings),
        max_calls=source.max_calls,
        when_down=source.when_down,
        now=around.now,
    )
    edge = Edge(
        surrounding=Surrounding(
            listen=(source.listen.host, source.listen.port),
            pbx_host=pbx.bare_host,
            pbx_port=pbx.port,
            pbx_transport=Transport(pbx.transport.upper()),
            pbx_listen=None
            if source.pbx_listen is None
            else (source.pbx_listen.host, source.pbx_listen.port),
            pbx_peers=tuple(str(peer) for peer in source.pbx_peers),
            pbx_tls=ClientTls(
                server_name=pbx.bare_host,
                ca_file=source.pbx_ca_file,
                certificate_file=source.pbx_certificate_file,
                key_file=source.pbx_certificate_key_file,
            )
            if pbx.transport == "tls"
            else None,
            phone=desk.phone,
            ring_timeout_s=source.ring_timeout_s,
            bindings_file=around.spools.first.status_path / BINDINGS.format(port=source.listen.port),
        ),
        gate=calls,
        random=around.random,
    )
    sound = bridge.Sound(
        phone_media=source.listen.host,
        rtp_port=source.rtp_ports.first,
        rtp_ports=source.rtp_ports.last - source.rtp_ports.first + 1,
        rate_hz=bridge_rate_hz(settings),
        phone_srtp=source.phone_srtp,
    )
    return bridge.BridgeSource(
        edge=edge,
        calls=calls,
        sound=sound,
        programmes=programmes,
        max_calls=source.max_calls,
        room=room,
    )


def _siprec(source: SiprecSource, settings: Settings, around: Surroundings) -> siprec.SiprecSource:
    numbering = _numbering(settings)
    tls = source.tls_listen
    house = House(
        numbering=numbering,
        tagging=Tagging.of(settings, numbering),
        inside=source.inside,
        policy=AnswerPolicy(max_streams=source.max_streams, codecs=ALWAYS | decoder.available()),
        more_parties=source.more_parties,
        max_calls=source.max_calls,
        media_timeout_s=source.media_timeout_s,
        media_address=lambda reached: source.media_address or reached,
    )
    listen = siprec.Listen(
        address=(source.listen.host, source.listen.port),
        tls_address=None if tls is None else (tls.host, tls.port),
        certificate_file=source.certificate_file,
        key_file=source.certificate_key_file,
        peer_ca_file=source.peer_ca_file,
        peers=source.peers,
        peer_names=source.peer_names,
    )
    return siprec.SiprecSource(
        listen=listen,
        house=house,
        engine=_engine(source, settings, around),
        spool=around.spools.first.root,
        room=around.spools.why_not,
        now=around.now,
        random=around.random,
        alarm=around.alarm,
    )


def _engine(source: SiprecSource, settings: Settings, around: Surroundings) -> siprec.RunningEngine:
    address, ports = source.media_address or source.listen.host, source.rtp_ports
    if source.workers == 1:
        return Engine(
            address=address,
            first_port=ports.first,
            last_port=ports.last,
            max_calls=source.max_calls,
            now=around.now,
            alarm=around.alarm,
        )
    return Fleet(
        shares=shares(address, ports.first, ports.last, source.max_calls, source.workers),
        backing=Backing(
            settings=settings,
            spools=around.spools,
            ledger=around.ledger,
            recipients=around.recipients,
            signer=around.signer,
            alarm=around.alarm,
            finished=around.finished,
            recover=around.recover,
        ),
    )
