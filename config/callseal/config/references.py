"""What the tables of one file say of one another: names that must exist and names that must differ.

This reads the document as TOML gave it, with whatever is wrong in it, so that contradictions and
wrong values are reported together. What has the wrong type is passed over here: the model names it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from callseal.config.address import PORTS_PER_CALL, ListenAddress, PortRange
from callseal.config.announcement import BUILTIN_VOICES
from callseal.config.business import BUILTIN

__all__ = ["DEFAULT_SIPREC_CALLS", "DEFAULT_SIPREC_PORTS", "Contradiction", "contradictions", "tables"]

DEFAULT_SIPREC_PORTS = "20000-29999"
DEFAULT_SIPREC_CALLS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """A key whose value does not go with the rest of the file; `value` is None when it is missing."""

    key: str
    value: object
    allowed: str

    def __str__(self) -> str:
        return f"{self.key}: {self.allowed}"


def tables(document: Mapping[str, object], name: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Walk the tables of `[[name]]`, counted from 1; gives nothing where something else stands."""
    entries = document.get(name)
    if isinstance(entries, Sequence) and not isinstance(entries, str):
        for number, entry in enumerate(entries, start=1):
            if isinstance(entry, Mapping):
                yield number, entry


def contradictions(document: Mapping[str, object]) -> Iterator[Contradiction]:
    """Find all contradictions in a document."""
    for name, key in (("announcement", "name"), ("business", "id"), ("store", "name"), ("source", "listen")):
        yield from _repeated(document, name, key)
    yield from _incomplete_business(document)
    yield from _unknown_names(document)
    yield from _stores(document)
    for number, table in tables(document, "source"):
        if table.get("type") == "siprec":
            yield from _siprec(f"source[{number}]", table)


def _siprec(place: str, table: Mapping[str, object]) -> Iterator[Contradiction]:
    """Find what keeps gateways from being heard, or lets in whom nobody asked."""
    with_tls = table.get("tls_listen", "") != ""
    for key in ("certificate_file", "certificate_key_file"):
        if with_tls and table.get(key, "") == "":
            yield Contradiction(key=f"{place}.{key}", value=None, allowed="missing: tls_listen needs it")
    for key in ("peer_ca_file", "peer_names"):
        if not with_tls and table.get(key, "") not in ("", [], ()):
            yield Contradiction(
                key=f"{place}.{key}", value=table[key], allowed="has no effect without tls_listen"
            )
    if table.get("peer_names", "") not in ("", [], ()) and table.get("peer_ca_file", "") == "":
        yield Contradiction(
            key=f"{place}.peer_ca_file",
            value=None,
            allowed="missing: peer_names are compared with certificates that it vouches for",
        )
    if not table.get("peers"):
        for key in ("listen", "tls_listen"):
            address = _listen_address(table.get(key))
            if address is not None and not address.is_loopback:
                yield Contradiction(
                    key=f"{place}.peers",
                    value=None,
                    allowed=f"missing: {key} can be reached from other machines, so say which may send",
                )
                break
    yield from _siprec_ports(place, table)


def _siprec_ports(place: str, table: Mapping[str, object]) -> Iterator[Contradiction]:
    text, calls = table.get("rtp_ports", DEFAULT_SIPREC_PORTS), table.get("max_calls", DEFAULT_SIPREC_CALLS)
    if not isinstance(text, str) or not isinstance(calls, int):
        return
    try:
        ports = PortRange.parse(text)
    except ValueError:
        return
    wanted = calls * PORTS_PER_CALL
    if len(ports) < wanted:
        yield Contradiction(
            key=f"{place}.rtp_ports",
            value=text,
            allowed=f"holds {len(ports)} ports, but max_calls = {calls} needs {wanted}: four a call",
        )


def _listen_address(value: object) -> ListenAddress | None:
    if not isinstance(value, str):
        return None
    try:
        return ListenAddress.parse(value)
    except ValueError:
        return None


def _repeated(document: Mapping[str, object], name: str, key: str) -> Iterator[Contradiction]:
    first: dict[str, int] = {}
    for number, table in tables(document, name):
        value = table.get(key)
        if not isinstance(value, str):
            continue
        if value in first:
            yield Contradiction(
                key=f"{name}[{number}].{key}",
                value=value,
                allowed=f"already stands in {name}[{first[value]}]; each must differ",
            )
        first.setdefault(value, number)


def _incomplete_business(document: Mapping[str, object]) -> Iterator[Contradiction]:
    for number, table in tables(document, "business"):
        name = table.get("id")
        if not isinstance(name, str) or name in BUILTIN:
            continue
        for key in ("label_zh", "label_en", "retention_class"):
            if table.get(key, "") == "":
                yield Contradiction(
                    key=f"business[{number}].{key}",
                    value=None,
                    allowed="missing: needed for a business type that is not built in",
                )


def _stores(document: Mapping[str, object]) -> Iterator[Contradiction]:
    found = list(tables(document, "store"))
    if found and all(table.get("takes") == "important" for _number, table in found):
        yield Contradiction(
            key="store[1].takes", value="important", allowed='at least one [[store]] must take "all"'
        )
    if found and all(table.get("filled_by") == "custodian" for _number, table in found):
        yield Contradiction(
            key="store[1].filled_by",
            value="custodian",
            allowed='at least one [[store]] must be filled by the "uploader": the custodian copies from it',
        )
    spool = document.get("spool")
    if isinstance(spool, Mapping):
        warn, full = spool.get("warn_percent", 80), spool.get("full_percent", 95)
        if isinstance(warn, int) and isinstance(full, int) and warn >= full:
            yield Contradiction(
                key="spool.warn_percent", value=warn, allowed=f"must be less than full_percent, {full}"
            )


def _names(document: Mapping[str, object], name: str, key: str) -> list[str]:
    values = (table.get(key) for _, table in tables(document, name))
    return [value for value in values if isinstance(value, str)]


def _unknown_names(document: Mapping[str, object]) -> Iterator[Contradiction]:
    # Without any [[announcement]] the shipped voices are announced under their own names.
    announcements = (
        _names(document, "announcement", "name") if "announcement" in document else list(BUILTIN_VOICES)
    )
    business = [*BUILTIN, *_names(document, "business", "id")]
    for number, rule in tables(document, "rule"):
        named = rule.get("announcements")
        for place, value in enumerate(named if isinstance(named, (list, tuple)) else [], start=1):
            if isinstance(value, str) and value not in announcements:
                yield Contradiction(
                    key=f"rule[{number}].announcements[{place}]",
                    value=value,
                    allowed=_one_of("no [[announcement]] has this name", announcements),
                )
        value = rule.get("business")
        if isinstance(value, str) and value not in business:
            yield Contradiction(
                key=f"rule[{number}].business",
                value=value,
                allowed=_one_of("no business type has this id", business),
            )
    for number, important in tables(document, "important"):
        value = important.get("business")
        if isinstance(value, str) and value and value not in business:
            yield Contradiction(
                key=f"important[{number}].business",
                value=value,
                allowed=_one_of("no business type has this id", business),
            )


def _one_of(what: str, names: Sequence[str]) -> str:
    known = ", ".join(f'"{name}"' for name in dict.fromkeys(names))
    return f"{what}; must be one of {known}" if known else what
