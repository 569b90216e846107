"""Where calls come from: the models of `[[source]]`, one for each `type`. Conventions: see `settings`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from callseal.config.address import ListenAddress, PortRange
from callseal.config.kinds import (
    TABLE,
    DnsName,
    Label,
    Listen,
    Network,
    NumberGlob,
    OptionalIp,
    OptionalListen,
    OptionalPath,
    OptionalSipUri,
    PathName,
    Ports,
    Real,
    SipAddress,
    Whole,
)
from callseal.config.references import DEFAULT_SIPREC_CALLS, DEFAULT_SIPREC_PORTS

__all__ = ["BridgeSource", "FolderSource", "SiprecSource", "SoundcardSource", "Source"]


class BridgeSource(BaseModel):
    """`[[source]]` of type "bridge": one desk's telephone, connected through this machine."""

    model_config = TABLE

    type: Literal["bridge"] = Field(description="The kind of source.")
    listen: Listen = Field(
        default=ListenAddress(host="127.0.0.1", port=5060),
        description="Where the telephone program finds the bridge, as its outbound proxy, by UDP and TCP; "
        "loopback only.",
    )
    pbx: SipAddress = Field(
        description='The telephone system, by UDP, or by TCP or TLS 1.3 with ";transport=tcp" or "=tls".'
    )
    pbx_listen: OptionalListen = Field(
        default=None,
        description="Where the telephone system finds the bridge; empty: at this machine's address on the "
        "way to it and the port of `listen`, or any free port where both would be the same.",
    )
    pbx_peers: tuple[Network, ...] = Field(
        default=(),
        max_length=64,
        description="Further addresses that the telephone system sends from, besides its own.",
    )
    pbx_ca_file: OptionalPath = Field(
        default=None,
        description="Who signs the telephone system's certificate; empty: whom the operating system trusts.",
    )
    pbx_certificate_file: OptionalPath = Field(
        default=None, description="This machine's own certificate, for a system that asks for one; PEM."
    )
    pbx_certificate_key_file: OptionalPath = Field(default=None, description="Its private key; PEM.")
    phone: OptionalSipUri = Field(
        default=None,
        description="A telephone on this machine that does not register; inbound calls go there.",
    )
    phone_srtp: Literal["off", "optional", "required"] = Field(
        default="optional",
        description="SRTP (SDES) between the telephone and the bridge, on this machine.",
    )
    wideband: bool = Field(
        default=False,
        description="Take G.722 where both sides have it; calls in G.711 are then resampled on their way.",
    )
    when_down: Literal["refuse", "pass"] = Field(
        default="refuse",
        description='What happens to calls while recording is impossible; "pass" connects them, '
        "with an alarm and a trace that they were not recorded.",
    )
    max_calls: Whole = Field(default=2, ge=1, le=2, description="Calls at a time.")
    ring_timeout_s: Real = Field(
        default=180.0, ge=5.0, le=600.0, description="How long a call may ring before it is given up."
    )
    agent: Label = Field(default="", description="Who sits at the desk: an extension or a name.")
    rtp_ports: Ports = Field(
        default=PortRange(first=20000, last=20999), description="UDP ports for the sound of calls."
    )


class SiprecSource(BaseModel):
    """`[[source]]` of type "siprec": copies of calls that a gateway sends (RFC 7866)."""

    model_config = TABLE

    type: Literal["siprec"] = Field(description="The kind of source.")
    listen: Listen = Field(
        default=ListenAddress(host="127.0.0.1", port=5070),
        description="Where the gateway finds the recorder, by UDP and TCP.",
    )
    tls_listen: OptionalListen = Field(
        default=None, description="Where it finds the recorder by TLS 1.3; empty: nowhere."
    )
    certificate_file: OptionalPath = Field(
        default=None, description="The recorder's own certificate for TLS, with its chain; PEM."
    )
    certificate_key_file: OptionalPath = Field(default=None, description="Its private key; PEM.")
    peer_ca_file: OptionalPath = Field(
        default=None,
        description="Who signs the gateways' certificates; with it only gateways that have one are let in.",
    )
    peer_names: tuple[DnsName, ...] = Field(
        default=(),
        max_length=64,
        description="Names that a gateway's certificate must have one of; none: any.",
    )
    peers: tuple[Network, ...] = Field(
        default=(),
        max_length=256,
        description="Addresses and networks that gateways may send from; loopback alone when empty.",
    )
    media_address: OptionalIp = Field(
        default="", description="The address for sound that gateways are told; empty: that of `listen`."
    )
    rtp_ports: Ports = Field(
        default=PortRange.parse(DEFAULT_SIPREC_PORTS),
        description="UDP ports for the sound of calls, four a call of two streams.",
    )
    max_calls: Whole = Field(default=DEFAULT_SIPREC_CALLS, ge=1, le=20000, description="Calls at a time.")
    max_streams: Whole = Field(
        default=8, ge=1, le=32, description="Streams of one call; what is beyond is refused in the answer."
    )
    more_parties: Literal["mix", "link"] = Field(
        default="mix",
        description='More than two streams: "mix" them into the two channels, or "link" further recordings.',
    )
    inside: tuple[NumberGlob, ...] = Field(
        default=(),
        max_length=256,
        description="Numbers of this house, which tell the agent from the customer; extensions when empty.",
    )
    workers: Whole = Field(
        default=1, ge=1, le=64, description="Processes that take the sound, each with a share of the ports."
    )
    media_timeout_s: Real = Field(
        default=3600.0,
        ge=0.0,
        le=86400.0,
        description="A call of which nothing at all comes for so long is ended; 0: none is.",
    )
    drain_s: Real = Field(
        default=30.0,
        ge=0.0,
        le=7200.0,
        description="How long running calls may go on when the agent is stopped.",
    )


class SoundcardSource(BaseModel):
    """`[[source]]` of type "soundcard": microphone and speaker of this machine."""

    model_config = TABLE

    type: Literal["soundcard"] = Field(description="The kind of source.")


class FolderSource(BaseModel):
    """`[[source]]` of type "folder": recordings that another system made."""

    model_config = TABLE

    type: Literal["folder"] = Field(description="The kind of source.")
    path: PathName = Field(description="The folder that is watched.")


Source: TypeAlias = Annotated[
    BridgeSource | SiprecSource | SoundcardSource | FolderSource, Field(discriminator="type")
]
