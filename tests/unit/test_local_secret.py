"""Secrets that are made once."""

from __future__ import annotations

from pathlib import Path

from orchestrator.local.secret import kept_secret


def test_kept_secret_when_asked_twice(tmp_path: Path) -> None:
    """The second time brings the same one."""
    path = tmp_path / "secret"

    first = kept_secret(path)

    assert first == kept_secret(path)
    assert len(first) == 43


def test_kept_secret_is_for_its_owner_only(tmp_path: Path) -> None:
    """Nobody else may read the file, and no draft stays beside it."""
    path = tmp_path / "secret"

    kept_secret(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(tmp_path.iterdir())


def test_kept_secret_when_the_file_is_empty(tmp_path: Path) -> None:
    """An empty file, as a full disk leaves it, is no secret."""
    path = tmp_path / "secret"
    path.touch()

    assert kept_secret(path) != ""


def test_kept_secret_of_two_places(tmp_path: Path) -> None:
    """They differ."""
    assert kept_secret(tmp_path / "one") != kept_secret(tmp_path / "two")
