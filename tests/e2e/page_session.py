"""What somebody types who follows a page from its first line to its last, as one script."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from orchestrator.local.ports import free_port
from tests.pages import ROOT, Block, blocks

PATIENCE = 300.0
"""Seconds for a page: many times what it takes where nothing else runs."""

_PORT = re.compile(r"(?:(?<=127\.0\.0\.1:)|(?<=PORT=)|(?<=--port ))\d{4}\b")
_OWN = frozenset({".git", ".venv", ".orchestrator", "out", "site"})
_BEGIN = """\
set -eu
beside=
stop() {
    if [ -n "$beside" ]; then
        kill "$beside" 2>/dev/null || true
        wait "$beside" || true
        beside=
    fi
}
trap stop EXIT
trap 'exit 143' TERM
"""
_WAIT = """\
beside=$!
until {there}; do
    kill -0 "$beside" || {{ cat beside.log >&2; exit 1; }}
    sleep 0.2
done
"""


class Ports:
    """Free ports in place of those that pages name; the same for the same."""

    def __init__(self, known: Mapping[str, int]):
        self._chosen = dict(known)

    def __getitem__(self, named: str) -> int:
        if named not in self._chosen:
            taken = frozenset(self._chosen.values())
            self._chosen[named] = free_port(0, "127.0.0.1", taken=taken)
        return self._chosen[named]

    def applied(self, text: str) -> str:
        """The same lines, at these ports."""
        return _PORT.sub(lambda found: str(self[found[0]]), text)


def script(page: Path, ports: Ports) -> str:
    """All that the page wants to be run, in its order."""
    parts = [_BEGIN]
    for block in blocks(page):
        if block.is_run_here:
            parts.append(f"echo {shlex.quote(f'== {block.place}')} >&2\n")
            parts.append(_typed(block, ports))
    return "".join(parts)


def _typed(block: Block, ports: Ports) -> str:
    text, subject = ports.applied(block.text), ports.applied(block.subject)
    if block.kind == "file":
        return f"cat > {shlex.quote(subject)} <<'END OF FILE'\n{text}END OF FILE\n"
    return _beside(text, subject) if block.kind == "stays up" else text


def _beside(text: str, sign: str) -> str:
    """The last line as a process beside the others, in place of the one that was there."""
    *before, last = text.splitlines(True)
    process = f"{{ exec env {last.rstrip()}\n}} >beside.log 2>&1 &\n"
    return "".join(["stop\n", *before, process, _WAIT.format(there=_test_of(sign))])


def _test_of(sign: str) -> str:
    """What succeeds once there is this file, or somebody answers at this address."""
    if sign.startswith("http:"):
        return f"curl --silent --output /dev/null {shlex.quote(sign)}"
    return f"test -e {shlex.quote(sign)}"


def checkout(folder: Path, programs: Path) -> Path:
    """A checkout after `make install`: our files by link, and an environment that knows it is
    its own. What is made in it stays in it.
    """
    for path in ROOT.iterdir():
        if path.name not in _OWN:
            (folder / path.name).symlink_to(path)
    environment = folder / ".venv"
    environment.mkdir()
    for path in programs.parent.iterdir():
        if not path.name.startswith("."):
            (environment / path.name).symlink_to(path)
    (environment / ".installed").write_text(f"{folder.resolve()}\n")
    return folder


def follow(page: Path, folder: Path, env: Mapping[str, str], ports: Ports) -> str:
    """Run the page in this checkout; what it printed. Fails where a line does, and shows
    where that was.
    """
    session = folder / "session.sh"
    session.write_text(script(page, ports))
    path = os.pathsep.join([str(folder / ".venv" / "bin"), os.environ["PATH"]])
    with subprocess.Popen(
        ["/bin/sh", str(session)],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            printed, said = shell.communicate(timeout=PATIENCE)
        except BaseException:
            os.killpg(shell.pid, signal.SIGTERM)
            raise
    assert 0 == shell.returncode, printed + said
    return printed
