"""`a=crypto`: keys for SRTP in a session description.

::

    a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:<base64 of key and salt>|2^20|1:4 WSH=64
             tag suite                        key                    lifetime MKI:length  parameters

Conventions: of several keys in one line only the first is read; they are for changing keys without a new
offer, and nobody is known to do so. A line that can't be understood is as good as none. Source: RFC 4568.
"""

import binascii
from collections.abc import Callable
from dataclasses import replace
from re import ASCII
from re import compile as compile_pattern
from typing import Final

from callseal.agent.sdp.session import Crypto
from callseal.codecs.srtp_suite import Suite

MAX_MKI_BYTES: Final = 128
"""RFC 4568 section 6.1 says so."""

_LINE: Final = compile_pattern(
    r"(?P<tag>[0-9]{1,9})\s+(?P<suite>[A-Za-z0-9_]{1,64})\s+inline:(?P<keys>[^\s]{1,2000})(?:\s+(?P<rest>.*))?",
    ASCII,
)
_LIFETIME: Final = compile_pattern(r"(?:2\^)?[0-9]{1,20}", ASCII)
_MKI: Final = compile_pattern(r"(?P<value>[0-9]{1,40}):(?P<size>[0-9]{1,3})", ASCII)
_HARMLESS: Final = compile_pattern(r"-.*|WSH=[0-9]{1,9}|KDR=0", ASCII)
"""Parameters that change nothing here: what may be passed over, and how far packets come out of order."""


def parse_crypto(value: str) -> Crypto | None:
    """Read the value of an `a=crypto`, None for what is no key at all; any suite is let through."""
    line = _LINE.fullmatch(value.strip())
    if line is None:
        return None
    key, *details = line["keys"].partition(";")[0].split("|")
    lifetime, mki = "", b""
    for detail in details:
        found = _MKI.fullmatch(detail)
        if found is not None:
            size_bytes = int(found["size"])
            number = int(found["value"])
            if not 0 < size_bytes <= MAX_MKI_BYTES or number >= 1 << (8 * size_bytes):
                return None
            mki = number.to_bytes(size_bytes, "big")
        elif _LIFETIME.fullmatch(detail):
            lifetime = detail
        else:
            return None
    unpadded = key.rstrip("=")  # some leave the padding away, some write too much of it
    if not unpadded:
        return None
    try:
        key_and_salt = binascii.a2b_base64(unpadded + "=" * (-len(unpadded) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None
    return Crypto(
        tag=int(line["tag"]),
        suite=line["suite"],
        key_and_salt=key_and_salt,
        mki=mki,
        lifetime=lifetime,
        parameters=(line["rest"] or "").strip(),
    )


def crypto_value(crypto: Crypto) -> str:
    """Write the value of an `a=crypto`."""
    key = binascii.b2a_base64(crypto.key_and_salt, newline=False).decode("ascii")
    mki = f"{int.from_bytes(crypto.mki, 'big')}:{len(crypto.mki)}" if crypto.mki else ""
    inline = "|".join(part for part in (f"inline:{key}", crypto.lifetime, mki) if part)
    return " ".join(part for part in (str(crypto.tag), crypto.suite, inline, crypto.parameters) if part)


def chosen(offered: tuple[Crypto, ...]) -> Crypto | None:
    """Give the first offered key that sound can be decrypted with, in the offer's order.

    One that wants sound, or the reports on it, to go unencrypted or unauthenticated is none, and so is one
    with a parameter that is not known (RFC 4568 section 6.3).
    """
    return next((crypto for crypto in offered if _is_usable(crypto)), None)


def answered(offered: Crypto, *, previous: tuple[Crypto, ...], random: Callable[[int], bytes]) -> Crypto:
    """Give our side of a chosen key: its tag, suite, lifetime and MKI, and a key of our own.

    Nothing is ever sent with it, but the answer has to have one (RFC 4568 section 5.1.2). A key of the
    `previous` answer stays as long as what was chosen does. Raises ValueError for a suite that is not known.
    """
    suite = Suite.named(offered.suite)
    if suite is None:
        raise ValueError("that suite can't be received")
    for crypto in previous:
        again = replace(offered, key_and_salt=crypto.key_and_salt, parameters="")
        if crypto == again and len(crypto.key_and_salt) == suite.key_and_salt_bytes:
            return again
    return replace(offered, key_and_salt=random(suite.key_and_salt_bytes), parameters="")


def _is_usable(crypto: Crypto) -> bool:
    suite = Suite.named(crypto.suite)
    return (
        suite is not None
        and len(crypto.key_and_salt) == suite.key_and_salt_bytes
        and all(_HARMLESS.fullmatch(parameter.upper()) for parameter in crypto.parameters.split())
    )
