"""The settings of the central side: the way to the stores, the stores, the custodian.

Conventions: as in `settings`, which these tables belong to.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from callseal.config.kinds import (
    TABLE,
    Bucket,
    ClockTime,
    Flag,
    HttpUrl,
    Id,
    KeyPrefix,
    Label,
    OptionalBucket,
    OptionalId,
    OptionalPath,
    PathName,
    Real,
    Whole,
)

__all__ = [
    "Bandwidth",
    "Custodian",
    "DirectoryStore",
    "Important",
    "S3Store",
    "Store",
    "Uploader",
]


class Bandwidth(BaseModel):
    """`[[bandwidth]]`: how much of the network may be taken at which hours; the first that fits counts."""

    model_config = TABLE

    begin: ClockTime = Field(description="From when on, by this machine's clock.")
    end: ClockTime = Field(description="Until when; before `begin` it is that time on the next day.")
    kbit_s: Whole = Field(
        ge=0, le=100_000_000, description="Kilobits a second for all uploads; 0 is no limit."
    )


class Uploader(BaseModel):
    """`[uploader]`: the way from the spool to the stores."""

    model_config = TABLE

    scan_s: Real = Field(
        default=30.0,
        ge=1.0,
        le=3600.0,
        description="How often the spool is searched for bundles that no notice told of.",
    )
    connections: Whole = Field(
        default=2, ge=1, le=32, description="How many objects are sent to one store at a time."
    )
    kbit_s: Whole = Field(
        default=0,
        ge=0,
        le=100_000_000,
        description="Kilobits a second for all uploads, outside the hours of `[[bandwidth]]`; 0 is no limit.",
    )
    pause_during_calls: Flag = Field(
        default=False, description="Whether nothing is sent while a call is being recorded."
    )
    keep_days: Real = Field(
        default=0.0,
        ge=0.0,
        le=3650.0,
        description="How long a recording stays here after all its stores have given receipts.",
    )


def _takes() -> Any:
    return Field(
        default="all", description='Which recordings go there: "important" are those of `[[important]]`.'
    )


def _filled_by() -> Any:
    return Field(
        default="uploader",
        description="Who brings recordings there: each machine, or the custodian from the other stores.",
    )


class Important(BaseModel):
    """`[[important]]`: which recordings also go to the stores that take only important ones."""

    model_config = TABLE

    business: OptionalId = Field(default="", description='A business type, by its id; "" is any.')
    direction: Literal["inbound", "outbound", "internal", "unknown", "any"] = Field(
        default="any", description="Which calls."
    )
    result: Literal["any", "ok", "degraded", "failed", "exempt"] = Field(
        default="any", description="What became of the recording."
    )
    tag: Label = Field(default="", description='A tag that was set during the call; "" is any.')


class DirectoryStore(BaseModel):
    """`[[store]]` of type "directory": a folder, on this machine or mounted."""

    model_config = TABLE

    name: Id = Field(description="The store's name in manifests and messages.")
    type: Literal["directory"] = Field(description="The kind of store.")
    takes: Literal["all", "important"] = _takes()
    filled_by: Literal["uploader", "custodian"] = _filled_by()
    ask_reason: Flag = Field(
        default=False, description="Whether who opens a recording must say why, which is kept in the store."
    )
    path: PathName = Field(description="The folder.")


class S3Store(BaseModel):
    """`[[store]]` of type "s3": any S3-compatible object storage."""

    model_config = TABLE

    name: Id = Field(description="The store's name in manifests and messages.")
    type: Literal["s3"] = Field(description="The kind of store.")
    takes: Literal["all", "important"] = _takes()
    filled_by: Literal["uploader", "custodian"] = _filled_by()
    ask_reason: Flag = Field(
        default=True, description="Whether who opens a recording must say why, which is kept in the store."
    )
    endpoint: HttpUrl = Field(description="The service's address; credentials are never written here.")
    bucket: Bucket = Field(description="The bucket.")
    fleet_bucket: OptionalBucket = Field(
        default="",
        description="The bucket without a lock for what is replaced all the time (fleet/); "
        '"" is the name of the other with "-fleet" behind it.',
    )
    prefix: KeyPrefix = Field(default="", description="What every object's name begins with.")
    region: Id = Field(default="us-east-1", description="The region that requests are signed for.")
    path_style: Flag = Field(
        default=True, description="Whether the bucket stands in the address's path, not in its host name."
    )
    conditional_put: Flag = Field(
        default=True,
        description="Whether the service refuses a name that is taken (If-None-Match); where it does not "
        "know that, versions and receipts serve instead.",
    )
    ca_file: OptionalPath = Field(
        default=None, description="Certificates (PEM) that vouch for the service, instead of the system's."
    )
    profile: Label = Field(
        default="",
        description='Which credentials, by the profile\'s name in their file; "" is the usual one.',
    )
    sse: Literal["", "AES256", "aws:kms"] = Field(
        default="", description="Encryption by the service, on top of ours, where its rules ask for it."
    )
    kms_key: Label = Field(default="", description='The key for "aws:kms", by its id; "" is the default one.')
    lock: Literal["compliance", "governance", "none"] = Field(
        default="compliance",
        description="How `callseal store init` protects objects: nobody, or only who has that right, can "
        "delete one before its time.",
    )
    lock_days: Whole = Field(
        default=400,
        ge=1,
        le=36_500,
        description="How long an object is protected at first; the custodian extends it.",
    )


Store: TypeAlias = Annotated[DirectoryStore | S3Store, Field(discriminator="type")]


class Custodian(BaseModel):
    """`[custodian]`: the central service that reads back what arrived, and vouches for it."""

    model_config = TABLE

    key_file: PathName = Field(
        default=Path("custodian.key"),
        description="Private Ed25519 key that signs receipts, mode 0600. A systemd credential named "
        "custodian.key is used instead of it.",
    )
    certificate_file: PathName = Field(
        default=Path("custodian.pem"),
        description="Its certificate: `callseal keys certify --role custodian`.",
    )
    path: PathName = Field(
        default=Path("/var/lib/callseal-custodian"),
        description="Folder for what the custodian remembers; lost, it is read from the stores again.",
    )
    scan_s: Real = Field(
        default=60.0, ge=1.0, le=3600.0, description="How often the stores are searched for new recordings."
    )
    full_scan_h: Real = Field(
        default=24.0,
        ge=0.01,
        le=720.0,
        description="How often they are searched from the beginning: old recordings may come late.",
    )
    scrub_share: Real = Field(
        default=0.001,
        ge=0.0,
        le=1.0,
        description="Share of the old recordings, chosen by lot, that is read again each day.",
    )
    heartbeat_late_s: Real = Field(
        default=900.0, ge=60.0, le=864_000.0, description="How long a device may be silent before it is told."
    )
    incomplete_h: Real = Field(
        default=24.0,
        ge=0.01,
        le=720.0,
        description="How long a recording may be on its way before it is told as never completed.",
    )
    renew_days: Whole = Field(
        default=60,
        ge=1,
        le=3650,
        description="How long before its end a protection is renewed while the contract's end is unknown.",
    )
