"""File systems of which SQLite's log cannot be trusted.

In WAL mode every process that has the file open maps one piece of shared memory. Two machines share none, so that they
would overwrite each other's commits: https://sqlite.org/wal.html#overview.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")

# 9p is not among them: virtual machines and sandboxes have their own disk by it.
_OF_A_NETWORK: Final = frozenset({
    "afs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.ceph-fuse", "fuse.cifs", "fuse.curlftpfs",
    "fuse.gcsfuse", "fuse.glusterfs", "fuse.nfs", "fuse.rclone", "fuse.s3fs", "fuse.smbnetfs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "pvfs2", "smb3", "smbfs",
})  # fmt: skip


def network_file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the type of the network file system that a file lies on; None if it lies on none, or nobody can tell.

    Args:
        path: A file or folder that is there.
        mounts: Where Linux lists what is mounted; other systems have no such list.
    """
    try:
        device = path.stat().st_dev
        lines = mounts.read_text(errors="replace").splitlines()
    except OSError:
        return None
    place = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        # https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html: the third field is the device, and the type
        # follows a lone "-".
        mount, _, origin = line.partition(" - ")
        fields, kind = mount.split(" "), origin.partition(" ")[0]
        if len(fields) > 2 and fields[2] == place and kind in _OF_A_NETWORK:
            return kind
    return None
