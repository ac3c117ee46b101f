"""One record as it is stored, out of whatever stands in its row."""

from __future__ import annotations

from typing import cast

from jeeves_journal.codecs.envelope import REMEDY_DAMAGED
from jeeves_journal.codecs.sealing import seconds
from jeeves_journal.errors import DecodeError
from jeeves_journal.records import StoredRecord
from jeeves_journal.stores.dialects import Key


def stored_record(key: Key, data: object, created_at: object) -> StoredRecord:
    """Return a record.

    Raises:
        DecodeError: It has no bytes, or no time.
    """
    recorded_at = seconds(created_at)
    if not isinstance(data, bytes | bytearray | memoryview) or recorded_at is None:
        raise DecodeError("the row holds no record", REMEDY_DAMAGED, *key[1:])
    return StoredRecord(*key, bytes(cast("bytes", data)), recorded_at)
