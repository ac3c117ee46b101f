"""Bundles: sessions in a file, on their way from one store to another. docs/bundles.md specifies the format."""

from __future__ import annotations

from jeeves_journal.bundles.counts import Exported, Imported
from jeeves_journal.bundles.exporting import export_bundle
from jeeves_journal.bundles.importing import import_bundle

__all__ = ["Exported", "Imported", "export_bundle", "import_bundle"]
