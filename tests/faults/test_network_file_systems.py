"""A file on another machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from jeeves_journal import ConfigurationError, JournalStore

pytestmark = pytest.mark.anyio

_SERVERS: Final = ("/usr/lib/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/openssh/sftp-server")


@pytest.fixture
def network_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that sshfs reaches by a real SFTP server, though on this machine and without ssh."""
    server = next((each for each in _SERVERS if Path(each).exists()), None)
    if server is None or shutil.which("sshfs") is None or not Path("/dev/fuse").exists():
        pytest.skip("needs sshfs, an SFTP server and FUSE")
    folder, remote = tmp_path / "mounted", tmp_path / "remote"
    folder.mkdir()
    remote.mkdir()
    connect = tmp_path / "connect"
    connect.write_text(f"#!/bin/sh\nexec {server}\n")
    connect.chmod(0o755)
    command = ["sshfs", f"nowhere:{remote}", str(folder), "-o", f"ssh_command={connect}"]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    if mounted.returncode:
        pytest.skip(f"this user may not mount by FUSE: {mounted.stderr}")
    try:
        yield folder
    finally:
        subprocess.run(["fusermount", "-u", str(folder)], check=True, timeout=30)


async def test_a_file_on_a_network_file_system_is_refused_before_anything_is_made(network_folder: Path) -> None:
    store = JournalStore.from_url(f"sqlite:///{network_folder}/deeper/journal.db")
    with pytest.raises(ConfigurationError, match=r"network file system \(fuse.sshfs\).*choose a local disk"):
        await store.put_step("run", "step", 1)
    await store.aclose()
    assert list(network_folder.iterdir()) == []


async def test_a_link_into_a_network_file_system_is_refused(network_folder: Path, tmp_path: Path) -> None:
    (network_folder / "journal.db").touch()
    (tmp_path / "journal.db").symlink_to(network_folder / "journal.db")
    async with JournalStore.from_url(f"sqlite:///{tmp_path}/journal.db") as store:
        with pytest.raises(ConfigurationError, match="network file system"):
            await store.get_step("run", "step")
