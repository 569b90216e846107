"""The public test vectors of the age format: each file opens, or fails, exactly as the format demands."""

import io
from hashlib import sha256

import pytest

from callseal.seal.age import (
    Identity,
    ScryptIdentity,
    dearmor,
    decrypt,
    open_age,
    parse_identity,
    read_header,
)
from callseal.seal.age.header import VERSION_LINE
from callseal.seal.errors import (
    ArmorError,
    HeaderError,
    HeaderMacError,
    NoIdentityMatch,
    PayloadError,
    RemoteError,
)
from callseal.seal.secret import Secret
from support.age_peers import VECTOR_COUNT, Vector, vector, vector_names

ERRORS: dict[str, type[RemoteError]] = {
    "header failure": HeaderError,
    "HMAC failure": HeaderMacError,
    "no match": NoIdentityMatch,
    "payload failure": PayloadError,
    "armor failure": ArmorError,
}
NAMES = vector_names() or ("not installed",)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_opens_or_fails_as_its_vector_says(name: str) -> None:
    case = vector(name)
    identities = identities_of(case)
    source = io.BytesIO(case.file)
    released = sha256()

    failure: type[RemoteError] | None = None
    try:
        for chunk in decrypt(dearmor(source) if case.armored else source, identities):
            released.update(chunk)
    except RemoteError as error:
        failure = type(error)

    assert failure is ERRORS.get(case.expect)
    assert case.expect in ERRORS or case.expect == "success"
    if case.payload_sha256 is not None:
        assert released.hexdigest() == case.payload_sha256


def test_no_vector_is_missing() -> None:
    for name in NAMES:
        vector(name)

    assert len(NAMES) == VECTOR_COUNT


def test_armor_is_found_without_being_announced() -> None:
    opened = 0
    for name in NAMES:
        case = vector(name)
        if case.expect != "success" or not case.armored:
            continue

        plaintext = b"".join(decrypt(open_age(io.BytesIO(case.file)), identities_of(case)))

        assert sha256(plaintext).hexdigest() == case.payload_sha256, name
        opened += 1
    assert opened


def test_every_header_that_is_read_is_written_back_to_the_byte() -> None:
    rewritten = 0
    for name in NAMES:
        case = vector(name)
        if case.armored or case.expect == "header failure":
            continue
        header = read_header(io.BytesIO(case.file))

        covered = b"".join([VERSION_LINE, b"\n", *map(bytes, header.stanzas)])

        assert header.raw.startswith(covered + b"--- "), name
        assert case.file.startswith(header.raw), name
        rewritten += 1
    assert rewritten


def identities_of(case: Vector) -> list[Identity]:
    return [
        *(parse_identity(text) for text in case.identities),
        *(ScryptIdentity(passphrase=Secret(text)) for text in case.passphrases),
    ]
