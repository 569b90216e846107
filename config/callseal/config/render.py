"""Settings as text: the documented file that `init` writes, and the effective settings to show.

`default.toml` is a template that is TOML itself. A text that is only `@name@` is a place to fill.
A line that begins with `#` and no space after it is a setting that is switched off; every other
comment is for reading.
"""

import re
from importlib.resources import files

import tomli_w

from callseal.config.masking import masked
from callseal.config.settings import Settings

__all__ = ["effective", "render_default", "template", "to_toml"]

_PLACE = re.compile(r'"@([a-z_]+)@"')


def template() -> str:
    """Give the text of `default.toml` with its places unfilled."""
    return files("callseal.config").joinpath("default.toml").read_text(encoding="utf-8")


def render_default(
    *,
    site: str,
    pbx: str,
    phone: str = "",
    agent: str = "",
    key_file: str = "device.key",
    certificate_file: str = "device.pem",
    roots_file: str = "trust.pem",
    revocations_file: str = "revoked.pem",
    stamp_roots_file: str = "tsa.pem",
    recipients_file: str = "recipients.txt",
    spool_path: str = "/var/lib/callseal",
    store_path: str = "store",
    listen: str = "127.0.0.1:5060",
    rtp_ports: str = "20000-20999",
    region: str = "CN",
    outside_prefix: str = "",
) -> str:
    """Fill the documented settings file. The values are not judged here: `read_settings` does that."""
    values = {
        "site": site,
        "pbx": pbx,
        "phone": phone,
        "agent": agent,
        "key_file": key_file,
        "certificate_file": certificate_file,
        "roots_file": roots_file,
        "revocations_file": revocations_file,
        "stamp_roots_file": stamp_roots_file,
        "recipients_file": recipients_file,
        "spool_path": spool_path,
        "store_path": store_path,
        "listen": listen,
        "rtp_ports": rtp_ports,
        "region": region,
        "outside_prefix": outside_prefix,
    }
    return _PLACE.sub(lambda place: _quoted(values[place[1]]), template())


def _quoted(text: str) -> str:
    return tomli_w.dumps({"x": text}).removeprefix("x = ").rstrip("\n")


def effective(settings: Settings) -> dict[str, object]:
    """Give the settings as they take effect, defaults filled in, in the file's form; secrets masked."""
    shown = settings.model_dump(mode="json", by_alias=True)
    every = [announcement.name for announcement in settings.announcements]
    for rule in shown["rule"]:
        if rule["announcements"] is None:
            rule["announcements"] = every
    shown["business"] = [
        {
            "id": one.id,
            "label_zh": one.label_zh,
            "label_en": one.label_en,
            "retention_class": one.retention_class,
        }
        for one in settings.business_types().values()
    ]
    # TOML has no word for a table that is not there.
    return {key: masked(key, value) for key, value in shown.items() if value is not None}


def to_toml(settings: Settings) -> str:
    """Write the effective settings as TOML, which loads as the same settings."""
    return tomli_w.dumps(effective(settings))
