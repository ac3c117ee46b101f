"""The value of one step: checked first, then shown; what would run code only if that was asked for."""

from __future__ import annotations

import json as json_text
from dataclasses import dataclass
from pprint import pformat
from typing import Any, Final, Literal, cast

from jeeves_journal.cli.journals import Journal, keys_of_environment
from jeeves_journal.cli.nearest import recorded_steps
from jeeves_journal.cli.outlines import printed
from jeeves_journal.cli.output import print_json, say
from jeeves_journal.cli.pickles import Outline, UnclearError
from jeeves_journal.cli.text import clock, moment, shown, size
from jeeves_journal.codecs import CodecOrName, Keyring, RecordCodec, record_codec
from jeeves_journal.codecs.footer import CHECKSUM_BYTES, FOOTER_BYTES, Tail, has_footer
from jeeves_journal.errors import DecodeError, IntegrityError
from jeeves_journal.options import Settings
from jeeves_journal.records import StepSummary, StoredRecord

_LONGEST_HEX: Final = 32


@dataclass(frozen=True, repr=False)
class Value:
    """A step's value, as far as it can be shown.

    Attributes:
        record: Where it stands.
        summary: What its record says of itself, checked by now.
        text: The value as lines, or what it is made of.
        note: What has to be said of the text.
        document: The value for JSON.
    """

    record: StoredRecord
    summary: StepSummary
    text: str
    note: str
    document: dict[str, object]


async def values_of(
    journal: Journal,
    session_id: str,
    step_name: str,
    *,
    unpickle: bool,
    allow_unsealed: bool,
) -> list[Value]:
    """Return the value of a step, and of a stream of the same name.

    Raises:
        NotRecordedError: There is neither.
        DecodeError: The record cannot be trusted or read.
    """
    keys = keys_of_environment()
    values = list[Value]()
    async with journal.to_look() as store:
        for step in await recorded_steps(store, session_id, step_name):
            if step.name == step_name:
                record = await store.record(step.kind, session_id, step_name)
                # Unless it was deleted in between.
                if record is not None:
                    _see_to_seal(record, step, keys, allow_unsealed=allow_unsealed)
                    values.append(_value(record, step, keys, unpickle=unpickle, allow_unsealed=allow_unsealed))
    return values


def print_values(values: list[Value], *, json: bool) -> None:
    """Print values."""
    if json:
        print_json({"records": [_document(value) for value in values]})
        return
    for value in values:
        record, step = value.record, value.summary
        seal = f"sealed by key {step.sealed_by}" if step.sealed_by else "not sealed"
        place = f"{step.kind} {shown(record.step_name)} of {shown(record.session_id)}"
        say(f"{place}: recorded {clock(step.recorded_at)} UTC, {size(step.bytes)}, codec {shown(step.codec)}, {seal}")
        if value.note:
            say(value.note)
        say("\n".join(map(shown, value.text.split("\n"))))


def _document(value: Value) -> dict[str, object]:
    step = value.summary
    return {
        "session_id": value.record.session_id,
        "name": step.name,
        "kind": step.kind,
        "recorded_at": moment(step.recorded_at),
        "bytes": step.bytes,
        "codec": step.codec,
        "sealed_by": step.sealed_by,
        **value.document,
    }


def _see_to_seal(record: StoredRecord, step: StepSummary, keys: Keyring | None, *, allow_unsealed: bool) -> None:
    """Say what to do on the command line, where the codec would speak of arguments."""
    place = record.session_id, record.step_name
    if keys is None and step.sealed_by is not None:
        raise DecodeError(f"the record is sealed by key {step.sealed_by!r}", "put it in JEEVES_JOURNAL_KEYS", *place)
    if keys is not None and step.sealed_by is None and not allow_unsealed:
        what = "the record is not sealed: anybody may have written it"
        raise IntegrityError(what, "to see it all the same, add --allow-unsealed", *place)


def _value(
    record: StoredRecord, step: StepSummary, keys: Keyring | None, *, unpickle: bool, allow_unsealed: bool
) -> Value:
    codec_id = _codec_id(record.data) or step.codec
    codec = _codec(record, codec_id, keys, allow_unsealed=allow_unsealed)
    place = (record.kind, record.session_id, record.step_name, record.created_at)
    if codec_id == "pickle" and unpickle:
        value = codec.decode_chunks(place, record.data) if record.kind == "stream" else codec.decode(place, record.data)
        text = _pretty(value)
        return Value(record, step, text, "", {"repr": text})
    payload = bytes(codec.payload(place, record.data))
    if codec_id == "pickle":
        return _of_pickle(record, step, payload)
    if codec_id == "json":
        try:
            value = json_text.loads(payload)
        except (ValueError, RecursionError) as error:
            raise DecodeError("the recorded value is no JSON", "", record.session_id, record.step_name) from error
        return Value(record, step, json_text.dumps(value, indent=2, ensure_ascii=False), "", {"value": value})
    text = f"{payload[:_LONGEST_HEX].hex(' ')}{' ...' if len(payload) > _LONGEST_HEX else ''}"
    note = f"written by a codec of your own; {size(len(payload))}, which begin with:"
    return Value(record, step, text, note, {"hex": payload.hex()})


def _of_pickle(record: StoredRecord, step: StepSummary, payload: bytes) -> Value:
    try:
        outline = Outline(payload)
    except UnclearError as error:
        note = f"a pickle of {size(len(payload))}, not unpickled: {error}"
        return Value(record, step, "", note, {"pickle": {"protocol": None, "imports": [], "outline": None}})
    imports = list(outline.imports)
    note = f"a pickle of protocol {outline.protocol}, not unpickled"
    if imports:
        note += f"; that would import {', '.join(map(shown, imports[:20]))}{' and more' if len(imports) > 20 else ''}"
    text = printed(outline.value)
    return Value(
        record, step, text, note, {"pickle": {"protocol": outline.protocol, "imports": imports, "outline": text}}
    )


def _codec(record: StoredRecord, codec_id: str, keys: Keyring | None, *, allow_unsealed: bool) -> RecordCodec:
    named: CodecOrName = cast("Literal['pickle', 'json']", codec_id)
    if codec_id not in ("pickle", "json"):
        named = _Unknown(codec_id)
    compressed = has_footer(record.data) and Tail.read(record.data[CHECKSUM_BYTES - FOOTER_BYTES :]).compression != 0
    return record_codec(
        Settings(
            codec=named,
            # The package that inflates is missed only where it is needed.
            compress="zstd" if compressed else None,
            keys=keys,
            allow_unsealed=allow_unsealed and keys is not None,
        )
    )


def _codec_id(data: bytes) -> str | None:
    return Tail.read(data[CHECKSUM_BYTES - FOOTER_BYTES :]).codec_id if has_footer(data) else None


class _Unknown:
    """A codec that is not here."""

    def __init__(self, codec_id: str) -> None:
        self.id = codec_id

    def dumps(self, value: Any) -> bytes:
        raise NotImplementedError

    def loads(self, payload: bytes | memoryview) -> Any:
        raise NotImplementedError


def _pretty(value: object) -> str:
    try:
        return pformat(value, width=100, sort_dicts=False)
    # The value's own classes may raise anything.
    except Exception as error:
        return f"<{type(value).__qualname__}, whose repr raises {type(error).__name__}>"
