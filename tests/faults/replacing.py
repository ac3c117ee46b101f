"""The ways in which a SQLite file, its -wal, its -shm or its folder is taken away or replaced, and comes back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from jeeves_journal import SqliteJournalStore


class Place(NamedTuple):
    """Where the journal lies, and what may come in its place."""

    path: Path
    folder: Path
    target: Path
    other: Path


Undo = Callable[[], object]


def unlink(suffix: str) -> Callable[[Place], Undo]:
    def fault(place: Place) -> Undo:
        name = Path(f"{place.target}{suffix}")
        kept = place.other / f"kept{suffix}"
        kept.hardlink_to(name)
        name.unlink()
        return lambda: kept.rename(name)

    return fault


def replace(suffix: str) -> Callable[[Place], Undo]:
    def fault(place: Place) -> Undo:
        name = Path(f"{place.target}{suffix}")
        kept = place.other / f"kept{suffix}"
        kept.hardlink_to(name)
        (place.other / f"journal.db{suffix}").rename(name)
        return lambda: kept.rename(name)

    return fault


def remove_all(place: Place) -> Undo:
    """As one does who restores a backup: the three files go, and a copy of an older one comes."""
    undone = [unlink(suffix)(place) for suffix in ("-wal", "-shm", "")]
    shutil.copy(place.other / "journal.db", place.target)
    return lambda: [undo() for undo in undone]


def rename_folder(place: Place) -> Undo:
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    return lambda: aside.rename(place.folder)


def exchange_folder(place: Place) -> Undo:
    aside = place.folder.with_name("aside")
    place.folder.rename(aside)
    shutil.copytree(place.other, place.folder)

    def undo() -> None:
        shutil.rmtree(place.folder)
        aside.rename(place.folder)

    return undo


def retarget_link(place: Place) -> Undo:
    def point_to(target: Path) -> None:
        new = place.path.with_name("new link")
        new.symlink_to(target)
        new.replace(place.path)

    point_to(place.other / "journal.db")
    return lambda: point_to(place.target)


FAULTS: Final[dict[str, Callable[[Place], Undo]]] = {
    "unlinked": unlink(""),
    "-wal unlinked": unlink("-wal"),
    "-shm unlinked": unlink("-shm"),
    "replaced": replace(""),
    "-wal replaced": replace("-wal"),
    "-shm replaced": replace("-shm"),
    "restored": remove_all,
    "folder renamed": rename_folder,
    "folder exchanged": exchange_folder,
    "link retargeted": retarget_link,
}


def make_place(tmp_path: Path) -> Place:
    folder, other, links = tmp_path / "folder", tmp_path / "other", tmp_path / "links"
    for each in (folder, other, links):
        each.mkdir()
    path = links / "journal.db"
    path.symlink_to(folder / "journal.db")
    return Place(path, folder, folder / "journal.db", other)


async def make_other(folder: Path) -> None:
    """Make a journal with a log, as if it were open."""
    async with SqliteJournalStore(folder / "source.db") as store:
        await store.put_step("run", "other", "other")
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(folder / f"source.db{suffix}", folder / f"journal.db{suffix}")
