"""The settings: one frozen model for each table of `callseal.toml`.

Conventions: the name of a number ends in its unit; every field has a description and, in its type,
what may stand there (`kinds`). A field whose key is a TOML array of tables has a plural name here
and the singular as its alias: `settings.rules` is `[[rule]]`. The file is the only source: no
environment variable changes a key, so what a device was told is what one file says.

Later work has its keys here already. What this version can't run yet is listed in `IMPLEMENTED_…`
below and refused when a file is loaded, not by the model.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from callseal.config.announcement import BUILTIN_VOICES, Builtin
from callseal.config.business import UNCLASSIFIED, BusinessType, merged
from callseal.config.central import Bandwidth, Custodian, DirectoryStore, Important, S3Store, Store, Uploader
from callseal.config.kinds import (
    MAX_TABLES,
    TABLE,
    AudioFile,
    Digits,
    Flag,
    Id,
    Label,
    Language,
    NumberGlob,
    OptionalId,
    OptionalPath,
    PathName,
    Prefix,
    Real,
    Region,
    Whole,
)
from callseal.config.references import contradictions
from callseal.config.sources import SiprecSource, Source

__all__ = [
    "CROSS_CHECK",
    "IMPLEMENTED_SOURCES",
    "IMPLEMENTED_STORES",
    "SCHEMA",
    "Announcement",
    "Bandwidth",
    "Business",
    "Checks",
    "Custodian",
    "Device",
    "DirectoryStore",
    "Disclosure",
    "Important",
    "Ledger",
    "Log",
    "Numbers",
    "Rule",
    "S3Store",
    "Seal",
    "Settings",
    "Spool",
    "Store",
    "Trust",
    "Uploader",
]

SCHEMA = 1
IMPLEMENTED_SOURCES = frozenset({"bridge", "siprec"})
IMPLEMENTED_STORES = frozenset({"directory", "s3"})

# The type of the error that `Settings` raises when its tables contradict one another.
CROSS_CHECK = "callseal_cross_check"

DESK_FLUSH_S = 0.35
BANK_FLUSH_S = 0.7

MAX_EMERGENCY_NUMBERS = 32


class Device(BaseModel):
    """`[device]`: who this machine is."""

    model_config = TABLE

    key_file: PathName = Field(
        default=Path("device.key"),
        description="Private Ed25519 key that signs what this device recorded; made by `callseal init`, "
        "mode 0600. A systemd credential named device.key is used instead of it.",
    )
    certificate_file: PathName = Field(
        default=Path("device.pem"),
        description="Certificate of that key, signed by the organisation; until it is there, "
        "recordings verify as untrusted.",
    )
    site: Id = Field(description="Where the device stands; public, part of every manifest.")


class Trust(BaseModel):
    """`[trust]`: whom this machine believes."""

    model_config = TABLE

    roots_file: PathName = Field(
        default=Path("trust.pem"),
        description="Root certificates (PEM) that this machine believes; while the file is missing, "
        "nothing verifies as trusted.",
    )
    revocations_file: PathName = Field(
        default=Path("revoked.pem"),
        description="Certificates that the organisation took back, from when on (PEM, made by "
        "`callseal keys revoke`); while the file is missing, none is.",
    )
    stamp_roots_file: PathName = Field(
        default=Path("tsa.pem"),
        description="Root certificates (PEM) of time-stamping authorities (RFC 3161) that this machine "
        "believes; while the file is missing, no stamp counts.",
    )


class Seal(BaseModel):
    """`[seal]`: who will be able to read the recordings."""

    model_config = TABLE

    recipients_file: PathName = Field(
        default=Path("recipients.txt"),
        description="Public age recipients, one a line; at least two are asked for: daily and recovery.",
    )
    durability: Literal["auto", "each", "bank"] = Field(
        default="auto",
        description='How sound is made durable: "each" syncs every recording at every flush, for a desk; '
        '"bank" syncs all of them at once, for a gateway whose spool has a file system of its own; '
        '"auto" chooses by the sources.',
    )
    flush_s: Real = Field(
        default=0.0,
        ge=0.0,
        le=5.0,
        description="How often the sound is made safe from the death of the agent: the most that is lost "
        'then. 0 means 0.35 s with "each" and 0.7 s with "bank"; smaller wears the disk more.',
    )
    sync_s: Real = Field(
        default=3.5,
        ge=0.5,
        le=60.0,
        description='With "bank": how often all recordings are synced; a power cut loses that and a flush.',
    )


class Spool(BaseModel):
    """`[spool]`: where sealed recordings wait until they are in central storage."""

    model_config = TABLE

    path: PathName = Field(default=Path("/var/lib/callseal"), description="The spool's folder, mode 0700.")
    second_path: OptionalPath = Field(
        default=None, description="A folder on another disk, taken while the first is full or broken."
    )
    on_full: Literal["refuse-call", "pass"] = Field(
        default="refuse-call",
        description="What happens to calls while no room is left; an alarm is given either way. "
        '"pass" connects them and keeps a trace that they were not recorded.',
    )
    min_free_mb: Whole = Field(
        default=512, ge=16, le=1_000_000, description="Free space below which the spool counts as full."
    )
    warn_percent: Whole = Field(
        default=80, ge=1, le=100, description="How full the spool's disk may get before a warning is given."
    )
    full_percent: Whole = Field(
        default=95,
        ge=2,
        le=100,
        description="How full it may get before it counts as full; nothing is deleted for that.",
    )

    def folders(self) -> list[Path]:
        """Give the folders, in the order in which they are used."""
        return [self.path] if self.second_path is None else [self.path, self.second_path]


class Ledger(BaseModel):
    """`[ledger]`: the signed chain of what happened on this machine."""

    model_config = TABLE

    heartbeat_s: Real = Field(
        default=60.0, ge=1.0, le=3600.0, description="How often the agent notes that it is there."
    )
    publish_s: Real = Field(
        default=60.0,
        ge=1.0,
        le=3600.0,
        description="How often new entries go to the stores, under a checkpoint; after 100 entries at once.",
    )


class Numbers(BaseModel):
    """`[numbers]`: how telephone numbers are read."""

    model_config = TABLE

    region: Region = Field(default="CN", description="Whose numbering plan national numbers follow.")
    outside_prefix: Prefix = Field(default="", description="What is dialled first for an outside line.")
    emergency: tuple[Digits, ...] = Field(
        default=("110", "119", "120", "122"),
        min_length=1,
        max_length=MAX_EMERGENCY_NUMBERS,
        description="Numbers that connect at once, unannounced and unrecorded; those of the region "
        "count even when they are not listed.",
    )


class Announcement(BaseModel):
    """`[[announcement]]`: what callers are told."""

    model_config = TABLE

    name: Id = Field(description="The name that rules use.")
    language: Language = Field(description="The language that is spoken.")
    file: AudioFile = Field(description="The sound: a voice that is shipped, or an audio file.")


class Disclosure(BaseModel):
    """`[disclosure]`: telling the customer that the call is recorded."""

    model_config = TABLE

    on_failure: Literal["record", "no-record", "refuse-call"] = Field(
        default="record", description="What happens when the announcement can not be played."
    )
    hold_talk: Flag = Field(
        default=True, description="Whether the two can hear each other only after the announcement."
    )


class Rule(BaseModel):
    """`[[rule]]`: what happens to which calls; the first that matches counts."""

    model_config = TABLE

    direction: Literal["inbound", "outbound", "internal", "unknown", "any"] = Field(
        default="any",
        description='Which calls, seen from the desk; of a gateway\'s also "internal" and "unknown".',
    )
    called: NumberGlob = Field(default="*", description="The number that was called, E.164 or internal.")
    calling: NumberGlob = Field(default="*", description="The number that calls, E.164 or internal.")
    record: Literal["always", "never"] = Field(
        default="always", description='"never" is for private and internal lines.'
    )
    announcements: tuple[Id, ...] | None = Field(
        default=None,
        max_length=8,
        description="Names of announcements, played in this order; all of them when the key is left out, "
        "none at all when the list is empty.",
    )
    business: Id = Field(default=UNCLASSIFIED, description="The business type, by its id.")


class Business(BaseModel):
    """`[[business]]`: a business type of one's own, or changes to a built-in one."""

    model_config = TABLE

    id: Id = Field(description="The name that rules use.")
    label_zh: Label = Field(default="", description="Chinese label; may be left out for a built-in type.")
    label_en: Label = Field(default="", description="English label; may be left out for a built-in type.")
    retention_class: OptionalId = Field(
        default="", description="How long recordings are kept, by name; may be left out for a built-in type."
    )


class Checks(BaseModel):
    """`[checks]`: when the sound of a call is worth an alert. Levels are ITU-T P.56, dB re overload."""

    model_config = TABLE

    min_level_dbov: Real = Field(
        default=-35.0, ge=-60.0, le=-10.0, description="Speech that is quieter counts as too quiet."
    )
    max_clipped_ratio: Real = Field(
        default=0.001, ge=0.0, le=1.0, description="Share of clipped samples above which speech is distorted."
    )
    silent_channel_dbov: Real = Field(
        default=-60.0, ge=-90.0, le=-20.0, description="A channel that is never above this level is silent."
    )
    silent_s: Real = Field(
        default=10.0, ge=1.0, le=600.0, description="How long a channel must stay so before it is reported."
    )


class Log(BaseModel):
    """`[log]`: what the services write to the journal."""

    model_config = TABLE

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least grave of what is written."
    )
    format: Literal["json", "console"] = Field(
        default="json", description='"console" is for people at a terminal.'
    )


def _shipped_announcements() -> tuple[Announcement, ...]:
    return tuple(
        Announcement(name=name, language=language, file=Builtin(name=name))
        for name, language in BUILTIN_VOICES.items()
    )


class Settings(BaseSettings):
    """The whole file. Valid once constructed: what its tables say of one another is checked too."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = Field(alias="schema", description="The version of this file's form.")
    device: Device = Field(description="Who this machine is.")
    trust: Trust = Field(default_factory=Trust, description="Whom this machine believes.")
    seal: Seal = Field(default_factory=Seal, description="Who will be able to read the recordings.")
    spool: Spool = Field(default_factory=Spool, description="Where sealed recordings wait.")
    ledger: Ledger = Field(default_factory=Ledger, description="The chain of what happened.")
    uploader: Uploader = Field(default_factory=Uploader, description="The way to the stores.")
    bandwidth: tuple[Bandwidth, ...] = Field(
        default=(), max_length=MAX_TABLES, description="How much of the network is taken at some hours."
    )
    sources: tuple[Source, ...] = Field(
        alias="source", default=(), max_length=MAX_TABLES, description="Where calls come from."
    )
    numbers: Numbers = Field(default_factory=Numbers, description="How telephone numbers are read.")
    announcements: tuple[Announcement, ...] = Field(
        alias="announcement",
        default_factory=_shipped_announcements,
        max_length=MAX_TABLES,
        description="What callers are told.",
    )
    disclosure: Disclosure = Field(default_factory=Disclosure, description="Telling the customer.")
    rules: tuple[Rule, ...] = Field(
        alias="rule", default=(), max_length=MAX_TABLES, description="What happens to which calls."
    )
    business: tuple[Business, ...] = Field(
        default=(), max_length=MAX_TABLES, description="Business types of one's own."
    )
    checks: Checks = Field(default_factory=Checks, description="When sound is worth an alert.")
    stores: tuple[Store, ...] = Field(
        alias="store", default=(), max_length=MAX_TABLES, description="Where recordings are kept."
    )
    important: tuple[Important, ...] = Field(
        default=(), max_length=MAX_TABLES, description="Which recordings are kept at a second place too."
    )
    custodian: Custodian | None = Field(default=None, description="The central service, where it runs.")
    log: Log = Field(default_factory=Log, description="What is written to the journal.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the file as the only source."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        document: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        found = "; ".join(str(one) for one in contradictions(document))
        if found:
            raise PydanticCustomError(CROSS_CHECK, "{found}", {"found": found})
        return self

    def is_banked(self) -> bool:
        """Tell whether recordings are made durable all at once, as a gateway does, or each by itself."""
        if self.seal.durability == "auto":
            return any(isinstance(source, SiprecSource) for source in self.sources)
        return self.seal.durability == "bank"

    def flush_interval_s(self) -> float:
        """Give how often sound is made safe from the death of the agent."""
        return self.seal.flush_s or (BANK_FLUSH_S if self.is_banked() else DESK_FLUSH_S)

    def stores_for(
        self, *, business: str, direction: str, result: str, tags: Collection[str] = ()
    ) -> tuple[str, ...]:
        """Give the names of the stores that a recording is meant for, in the settings' order."""
        important = any(
            one.business in ("", business)
            and one.direction in ("any", direction)
            and one.result in ("any", result)
            and (not one.tag or one.tag in tags)
            for one in self.important
        )
        return tuple(store.name for store in self.stores if important or store.takes == "all")

    def business_types(self) -> Mapping[str, BusinessType]:
        """Give the business types that rules can name: the built-in ones with `[[business]]` laid over."""
        return merged(
            BusinessType(
                id=one.id,
                label_zh=one.label_zh,
                label_en=one.label_en,
                retention_class=one.retention_class,
            )
            for one in self.business
        )
