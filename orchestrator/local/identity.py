"""Whom a server runs as. PostgreSQL refuses to run as root, so root lends it another identity."""

from __future__ import annotations

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigurationError

ACCOUNT = "nobody"
"""Exists everywhere and owns nothing."""

_CAPABILITIES = {"dac_read_search": 2, "dac_override": 1}
"""Names and bits; the weaker first. Containers often withhold it but grant the stronger."""


@dataclass(frozen=True)
class Identity:
    """A user to run as: ourselves (`uid` None), or another with what setpriv needs to become it."""

    uid: int | None = None
    gid: int | None = None
    privileges: tuple[str, ...] = ()

    @classmethod
    def for_folder(cls, folder: Path, data: Path, binaries: Path) -> Identity:
        """Who can run `binaries` on `data`, which may not exist yet, below `folder`.

        Ourselves unless we are root: then the owner of existing data, else `nobody`.
        Raises ConfigurationError if the data belong to somebody that we cannot become.
        """
        owner = data.stat().st_uid if data.exists() else None
        if os.geteuid() != 0:
            if owner is not None and owner != os.geteuid():
                raise ConfigurationError(
                    f"{data} belongs to user {_name(owner)}, because root started it first: "
                    f"run as root again, or move the folder away to start afresh"
                )
            return cls()

        uid, gid = _account(owner)
        privileges: tuple[str, ...] = (f"--reuid={uid}", f"--regid={gid}", "--clear-groups")
        if not all(_may_enter(uid, gid, path) for path in (folder, binaries)):
            # Somewhere above, a folder such as /root is closed to others. Better to let one process
            # read past that than to open it for everybody.
            capability = _capability(folder)
            privileges += (f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}")
        return cls(uid, gid, privileges)

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def _account(owner: int | None) -> tuple[int, int]:
    try:
        entry = pwd.getpwuid(owner) if owner else pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL refuses to run as root, and this system has no user {owner or ACCOUNT}: "
            f"start as an ordinary user, or set DATABASE_URL"
        ) from None
    return entry.pw_uid, entry.pw_gid


def _may_enter(uid: int, gid: int, path: Path) -> bool:
    """Whether that user may pass through every folder down to `path`, judged by the mode bits."""
    for folder in (path, *path.parents):
        status = folder.stat()
        if status.st_uid == uid:
            needed = 0o100
        elif status.st_gid == gid:
            needed = 0o010
        else:
            needed = 0o001
        if not status.st_mode & needed:
            return False
    return True


def _capability(folder: Path) -> str:
    held = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    for name, bit in _CAPABILITIES.items():
        if held >> bit & 1:
            return name
    raise ConfigurationError(
        f"{folder} or the installation lies in a folder that only root may enter, and PostgreSQL "
        f"refuses to run as root: move it elsewhere, start as an ordinary user, or set DATABASE_URL"
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
