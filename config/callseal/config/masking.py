"""Which keys and values are secrets, and how a value is shown without giving one away.

Settings hold no secret. One that was written there by mistake must not spread into a terminal, a
journal or a ticket when the mistake is reported, so values pass through `shown` first.
"""

import json
import re

__all__ = ["MASK", "MAX_SHOWN_CHARS", "is_secret_key", "is_secret_value", "masked", "quoted_key", "shown"]

MASK = "***"
# A problem is one line of a terminal; what goes beyond says nothing more about where to look.
MAX_SHOWN_CHARS = 80

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|^pass$|^pwd$|^pin$|secret|token|credential|access_?key|api_?key|private_?key",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"AGE-SECRET-KEY|AGE-PLUGIN-|PRIVATE KEY"  # an identity or a PEM key pasted in
    r"|^[a-z][a-z0-9+.\-]*:(//)?[^/@\s]*:[^/@\s]*@",  # user:password@ of a URI
    re.IGNORECASE,
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def is_secret_key(key: str) -> bool:
    """Say whether a key's name promises a secret, `password` or `aws_secret_access_key` for example."""
    return _SECRET_KEY.search(key.replace("-", "_")) is not None


def is_secret_value(value: object) -> bool:
    """Say whether a text is itself a secret: a private key, or a URI with a password."""
    return isinstance(value, str) and _SECRET_VALUE.search(value) is not None


def masked(key: str, value: object) -> object:
    """Give the value as it may be shown: tables and lists keep their shape, secrets are replaced."""
    if is_secret_key(key) or is_secret_value(value):
        return MASK
    if isinstance(value, dict):
        return {name: masked(name, inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [masked("", inner) for inner in value]
    return value


def shown(key: str, value: object) -> str:
    """Write a value for a message: one line, as TOML would have it, cut, without control characters."""
    if isinstance(value, dict):
        return "{…}"
    try:
        # str() of an integer beyond 4,300 digits raises ValueError.
        text = json.dumps(masked(key, value), ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "…"
    text = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
    return text if len(text) <= MAX_SHOWN_CHARS else text[: MAX_SHOWN_CHARS - 1] + "…"


def quoted_key(key: str) -> str:
    """Write one part of a key path as TOML would: bare where that is possible."""
    return key if _BARE_KEY.fullmatch(key) and len(key) <= MAX_SHOWN_CHARS else shown("", key)
