"""Where the migrations are found, and what is loaded to use a journal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from jeeves_journal import migrations
from tests.migrations.databases import revision_of
from tests.migrations.ways import CHECKOUT, alembic_succeeds, python

pytestmark = pytest.mark.migrations

ODD_NAME = "50% off %(here)s, ün daß"
# A folder with "%" in its name is beyond Alembic's own %(here)s.
ODD_NAME_FOR_ALEMBIC = "fünf: 50, (here)s & daß"

UPGRADE = (
    "import sys; from jeeves_journal import migrations; print(migrations.__file__); migrations.upgrade(sys.argv[1])"
)

USE = """
import asyncio, sys
from jeeves_journal import JournalStore

async def use():
    async with JournalStore.from_url(sys.argv[1], **eval(sys.argv[2])) as store:
        await store.put_step("run-1", "fetch", 3)
        assert (await store.get_step("run-1", "fetch")).value == 3

asyncio.run(use())
print(*sorted(name for name in sys.modules if name.partition(".")[0] == "alembic"))
"""


def copy_package(folder: Path) -> None:
    shutil.copytree(
        CHECKOUT / "jeeves_journal", folder / "jeeves_journal", ignore=shutil.ignore_patterns("__pycache__")
    )


def copy_migrations(folder: Path) -> None:
    shutil.copytree(CHECKOUT / "alembic", folder, ignore=shutil.ignore_patterns("__pycache__"))


def test_a_checkout_may_lie_in_any_folder(tmp_path: Path, sqlite_url: str) -> None:
    copy_package(tmp_path / ODD_NAME)
    copy_migrations(tmp_path / ODD_NAME / "alembic")
    assert ODD_NAME in python(UPGRADE, sqlite_url, cwd=tmp_path / ODD_NAME)
    assert revision_of(sqlite_url) == migrations.HEAD


def test_alembic_runs_in_a_folder_with_spaces(tmp_path: Path, sqlite_url: str) -> None:
    checkout = tmp_path / ODD_NAME_FOR_ALEMBIC
    copy_package(checkout)
    copy_migrations(checkout / "alembic")
    shutil.copy(CHECKOUT / "alembic.ini", checkout)
    alembic_succeeds("upgrade", "head", url=sqlite_url, cwd=checkout)
    assert revision_of(sqlite_url) == migrations.HEAD


def test_the_command_alembic_needs_no_installed_package(tmp_path: Path, sqlite_url: str) -> None:
    checkout = tmp_path / "checkout"
    copy_package(checkout)
    copy_migrations(checkout / "alembic")
    shutil.copy(CHECKOUT / "alembic.ini", checkout)
    # As the installed script does: the current folder is not on the path.
    code = "import sys; sys.path.remove(''); from alembic.config import main; main(sys.argv[1:])"
    python(code, "-x", f"url={sqlite_url}", "upgrade", "head", cwd=checkout)
    assert revision_of(sqlite_url) == migrations.HEAD


def test_an_installed_package_may_lie_in_any_folder(tmp_path: Path, sqlite_url: str) -> None:
    site_packages = tmp_path / ODD_NAME
    copy_package(site_packages)
    copy_migrations(site_packages / "jeeves_journal" / "_alembic")
    assert str(site_packages) in python(UPGRADE, sqlite_url, cwd=tmp_path, env={"PYTHONPATH": str(site_packages)})
    assert revision_of(sqlite_url) == migrations.HEAD


def test_a_package_without_its_migrations_says_so(tmp_path: Path, sqlite_url: str) -> None:
    copy_package(tmp_path)
    code = (
        "import sys\nfrom jeeves_journal import ConfigurationError, migrations\n"
        "try: migrations.upgrade(sys.argv[1])\nexcept ConfigurationError as error: print(error)"
    )
    assert "install jeeves-journal again" in python(code, sqlite_url, cwd=tmp_path)


@pytest.mark.parametrize("options", ["{}", "{'create_tables': True}"])
def test_a_current_schema_is_used_without_alembic(options: str, url: str) -> None:
    migrations.upgrade(url)
    assert python(USE, url, options).strip() == ""


def test_importing_everything_public_loads_no_alembic() -> None:
    code = "import sys; from jeeves_journal import *; print('sqlalchemy' in sys.modules, 'alembic' in sys.modules)"
    assert python(code) == "True False\n"


def test_an_outdated_schema_is_what_alembic_is_loaded_for(url: str) -> None:
    loaded = python(USE, url, "{'create_tables': True}")
    assert "alembic.command" in loaded
