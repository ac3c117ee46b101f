"""What the tests of operating share."""

from __future__ import annotations

from tests.stores.conftest import rows

__all__ = ["rows"]
