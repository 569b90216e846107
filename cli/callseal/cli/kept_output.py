"""How a recording is kept, as a table or as JSON: what `retention show` prints, and what follows a decision.

JSON: ``type "callseal-kept/1", exit_code, recording, device, stores[], records[]``. A store has ``store,
received, class, listed, contract_end, settled, waits_for, kept_until, holds[], protects, protected_until,
objects, destroyable_from``; what nobody can say is null. A record has ``record, at, by, action, value,
reason``. What was just extended is ``extended[]`` of ``object, version, before, until``.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from callseal.archive.retention import Outcome, Renewal
from callseal.cli import output
from callseal.cli.custody import Found, Stand
from callseal.cli.i18n import _, language, mark
from callseal.cli.output import JsonValue
from callseal.config.terms import Event, RetentionClass, Terms, shipped_terms
from callseal.seal.reasons import Language
from callseal.seal.retention import Action, RetentionRecord, action_of, value_of
from callseal.seal.timestamp import write_time

JSON_TYPE: Final = "callseal-kept/1"

_WAITS_FOR: Final = {
    Event.CONTRACT_END: mark("open, until the contract's end is known"),
    Event.DISPUTE_SETTLED: mark("open, until its dispute is settled"),
    Event.CALL: mark("open"),
}
_ACTIONS: Final = {
    Action.CLASS: mark("class"),
    Action.CONTRACT_END: mark("contract's end"),
    Action.DISPUTE_SETTLED: mark("dispute settled"),
    Action.HOLD: mark("hold"),
    Action.RELEASE: mark("hold lifted"),
}


def print_kept(found: Found, *, json_: bool, extended: Sequence[Renewal] | None = None) -> None:
    """Print how a recording is kept in each store, and who decided what."""
    if json_:
        output.json_document(_json(found, extended))
        return
    terms = shipped_terms()
    output.facts([(_("Recording"), str(found.recording.id)), (_("Device"), found.recording.device)])
    columns = [
        _("Store"),
        _("Class"),
        _("Contract ends"),
        _("Dispute settled"),
        _("Kept until"),
        _("Holds"),
        _("Protected until"),
        _("Could be destroyed from"),
    ]
    output.line()
    output.table(columns, [_cells(stand) for stand in found.stands])
    records = _records(found)
    if records:
        output.line()
        columns = [_("At"), _("By"), _("What"), _("Value"), _("Reason")]
        rows = [
            [
                output.local_time(one.at),
                one.by,
                _(_ACTIONS[action_of(one.decision)]),
                value_of(one.decision),
                one.reason,
            ]
            for one in records
        ]
        output.table(columns, rows)
    for sentence in dict.fromkeys(_sentences(found, terms)):
        output.note(sentence)


def _cells(stand: Stand) -> list[str]:
    kept, state = stand.kept, stand.decided.state
    if kept is None:
        unknown = _("not received")
        term, until, protected, destroyable = state.retention_class or "", unknown, unknown, unknown
    else:
        term = kept.term.name or "-"
        waits_for = kept.term.waits_for
        until = _day_of(kept.term.until) if waits_for is None else _(_WAITS_FOR[waits_for])
        protected = _("not protected")
        if stand.shelf.retention.protects:
            until_then = kept.locked_until
            protected = _("not all of it") if until_then is None else output.local_time(until_then)
        destroyable = _day_of(kept.destroyable_from)
    return [
        stand.shelf.name,
        term,
        "" if state.contract_end is None else state.contract_end.isoformat(),
        "" if state.settled is None else state.settled.isoformat(),
        until,
        ", ".join(state.holds),
        protected,
        destroyable,
    ]


def _sentences(found: Found, terms: Terms) -> list[str]:
    """Return what a reader of the table should know."""
    sentences = []
    for stand in found.stands:
        if stand.kept is not None:
            term = stand.kept.term
            if not term.is_listed:
                words = _("Class {name} is not among the terms: the longest counts, that of {counted}.")
                sentences.append(words.format(name=term.name or "-", counted=term.counted.id))
            sentences.append(f"{_label(term.counted)}: {_source(term.counted)}")
            if stand.decided.state.settled is not None:
                chinese = language() is Language.CHINESE
                sentences.append(terms.dispute_source_zh if chinese else terms.dispute_source_en)
        if not stand.shelf.retention.protects:
            words = _(
                "{store}: this store does not protect objects: whoever may write there can delete them,"
                " whatever is decided here"
            )
            sentences.append(words.format(store=stand.shelf.name))
    if len({tuple(item.record for item in stand.decided.state.records) for stand in found.stands}) > 1:
        sentences.append(_("The stores do not hold the same decisions: give the last ones again."))
    return sentences


def _label(item: RetentionClass) -> str:
    return item.label_zh if language() is Language.CHINESE else item.label_en


def _source(item: RetentionClass) -> str:
    return item.source_zh if language() is Language.CHINESE else item.source_en


def _records(found: Found) -> list[RetentionRecord]:
    by_id = {item.record: item for stand in found.stands for item in stand.decided.state.records}
    return [by_id[one] for one in sorted(by_id)]


def _json(found: Found, extended: Sequence[Renewal] | None) -> Mapping[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "type": JSON_TYPE,
        "exit_code": found.code,
        "recording": str(found.recording.id),
        "device": found.recording.device,
        "stores": [_json_store(stand) for stand in found.stands],
        "records": [json_record(item) for item in _records(found)],
    }
    if extended is not None:
        document["extended"] = [_json_extended(one) for one in extended if one.outcome is Outcome.EXTENDED]
    return document


def _json_store(stand: Stand) -> Mapping[str, JsonValue]:
    kept, state = stand.kept, stand.decided.state
    term = None if kept is None else kept.term
    return {
        "store": stand.shelf.name,
        "received": kept is not None,
        "class": state.retention_class if term is None else term.name,
        "listed": None if term is None else term.is_listed,
        "contract_end": None if state.contract_end is None else state.contract_end.isoformat(),
        "settled": None if state.settled is None else state.settled.isoformat(),
        "waits_for": None if term is None or term.waits_for is None else term.waits_for.value,
        "kept_until": None if term is None else _time(term.until),
        "holds": list(state.holds),
        "protects": stand.shelf.retention.protects,
        "protected_until": None if kept is None else _time(kept.locked_until),
        "objects": None if kept is None else len(kept.objects),
        "destroyable_from": None if kept is None else _time(kept.destroyable_from),
    }


def json_record(item: RetentionRecord) -> Mapping[str, JsonValue]:
    """Return a decision as JSON shows it."""
    return {
        "record": str(item.record),
        "at": write_time(item.at),
        "by": item.by,
        "action": action_of(item.decision).value,
        "value": value_of(item.decision),
        "reason": item.reason,
    }


def _json_extended(one: Renewal) -> Mapping[str, JsonValue]:
    return {
        "object": one.name,
        "version": one.version,
        "before": _time(one.before),
        "until": _time(one.until),
    }


def _time(time: datetime | None) -> str | None:
    return None if time is None else write_time(time)


def _day_of(time: datetime | None) -> str:
    return "-" if time is None else time.astimezone(UTC).date().isoformat()
