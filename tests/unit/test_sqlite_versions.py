"""Which versions of SQLite are warned of, and which file systems count as another machine's."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from jeeves_journal.stores.dialects.sqlite.file_systems import network_file_system
from jeeves_journal.stores.dialects.sqlite.versions import has_wal_reset_bug
from tests.stores.processes import run_python

TWO_STORES = """
    import asyncio, sys
    from jeeves_journal import JournalStore

    async def main():
        for name in ("one", "two"):
            async with JournalStore.from_url(f"sqlite:///{sys.argv[1]}/{name}.db") as store:
                await store.put_step("run", "step", 1)

    asyncio.run(main())
"""


@pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)])
def test_versions_with_the_wal_reset_bug(version: tuple[int, ...]) -> None:
    assert has_wal_reset_bug(version)


@pytest.mark.parametrize("version", [(3, 6, 23), (3, 44, 6), (3, 50, 7), (3, 50, 8), (3, 51, 3), (3, 52, 0), (4, 0, 0)])
def test_versions_without_the_wal_reset_bug(version: tuple[int, ...]) -> None:
    assert not has_wal_reset_bug(version)


def test_a_process_whose_sqlite_has_the_bug_is_warned_once(tmp_path: Path) -> None:
    done = run_python(TWO_STORES, tmp_path)
    assert done.returncode == 0, done.stderr
    times = 1 if has_wal_reset_bug(sqlite3.sqlite_version_info) else 0
    assert done.stderr.count(f"SQLite {sqlite3.sqlite_version} has the WAL-reset bug") == times


def mounts(folder: Path, device: int, kind: str) -> Path:
    listed = folder / "mountinfo"
    listed.write_text(
        f"22 27 0:21 / /proc rw,relatime - proc proc rw\n"
        f"31 27 {os.major(device)}:{os.minor(device)} /export /home/my\\040files rw shared:1 - {kind} host:/export rw\n"
    )
    return listed


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "ceph", "fuse.sshfs"])
def test_a_network_file_system_is_told_by_its_type(tmp_path: Path, kind: str) -> None:
    assert network_file_system(tmp_path, mounts(tmp_path, tmp_path.stat().st_dev, kind)) == kind


@pytest.mark.parametrize("kind", ["ext4", "overlay", "9p", "fuse", "zfs"])
def test_a_local_file_system_is_none(tmp_path: Path, kind: str) -> None:
    assert network_file_system(tmp_path, mounts(tmp_path, tmp_path.stat().st_dev, kind)) is None


def test_a_network_file_system_elsewhere_does_not_matter(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, mounts(tmp_path, tmp_path.stat().st_dev + 1, "nfs")) is None


def test_without_a_list_of_mounts_nobody_can_tell(tmp_path: Path) -> None:
    assert network_file_system(tmp_path, tmp_path / "nothing") is None
