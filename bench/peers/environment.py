"""The environments of peers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.measurement import Skipped
from bench.stage import SCRATCH

PROGRAMS = Path(__file__).with_name("programs")
_FOLDER = SCRATCH / "peers"
_PATIENCE_SECONDS = 600


def python(name: str) -> Path:
    """The Python that has what `programs/<name>.txt` names.

    Raises:
        Skipped: it cannot be installed here.
    """
    wanted = (PROGRAMS / f"{name}.txt").read_text()
    folder = _FOLDER / name
    stamp = folder / "installed"
    found = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        _run(name, [sys.executable, "-m", "venv", str(folder)])
        _run(name, [str(found), "-m", "pip", "install", "--quiet", *wanted.split()])
        stamp.write_text(wanted)
    return found


def node_package(name: str, package: str) -> Path:
    """The folder into which npm has installed this package and what it needs.

    Raises:
        Skipped: it cannot be installed here.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise Skipped(f"{package} comes through npm, which is not here")
    folder = _FOLDER / f"{name}-server"
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text() != package:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _run(name, [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), package])
        stamp.write_text(package)
    return folder / "node_modules"


def _run(name: str, argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Skipped(f"installing {name} takes too long") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise Skipped(f"{name} cannot be installed: {lines[-1] if lines else 'no reason given'}")
