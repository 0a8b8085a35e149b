"""Whom PostgreSQL runs as."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.identity import Identity

ROOT = os.geteuid() == 0


@pytest.mark.skipif(ROOT, reason="needs an ordinary user")
def test_identity_of_an_ordinary_user(tmp_path: Path) -> None:
    """We run it as ourselves."""
    assert Identity() == Identity.for_folder(tmp_path, tmp_path / "data", tmp_path)


@pytest.mark.skipif(ROOT, reason="needs an ordinary user")
def test_identity_when_the_data_belong_to_root() -> None:
    """The message says whose they are and what to do."""
    with pytest.raises(ConfigurationError, match=r"belongs to user root.*run as root again"):
        Identity.for_folder(Path("/"), Path("/etc"), Path("/"))


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_identity_of_root_in_an_open_folder(tmp_path: Path) -> None:
    """Root lends the account nobody, and no capability where none is needed."""
    open_folder = Path("/usr/bin")

    identity = Identity.for_folder(open_folder, tmp_path / "data", open_folder)

    assert pwd.getpwnam("nobody").pw_uid == identity.uid
    assert not any("caps" in option for option in identity.privileges)


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_identity_of_root_in_a_closed_folder(tmp_path: Path) -> None:
    """One capability lets it pass, so that nobody has to open the folder for all."""
    tmp_path.chmod(0o700)

    identity = Identity.for_folder(tmp_path, tmp_path / "data", Path("/usr/bin"))

    assert any(option.startswith("--ambient-caps=+dac_") for option in identity.privileges)


@pytest.mark.skipif(not ROOT, reason="needs root")
def test_identity_of_root_for_existing_data(tmp_path: Path) -> None:
    """Data that an ordinary user made stay that user's."""
    data = tmp_path / "data"
    data.mkdir()
    owner = pwd.getpwnam("daemon")
    os.chown(data, owner.pw_uid, owner.pw_gid)

    identity = Identity.for_folder(tmp_path, data, Path("/usr/bin"))

    assert (owner.pw_uid, owner.pw_gid) == (identity.uid, identity.gid)
