"""The command line: `orchestrator`, or `python -m orchestrator`.

Commands for videos speak HTTP, to any server; `migrate`, `keys` and `doctor` work beside it, on the
same settings. click and rich live here and nowhere else. A command's module is imported when the
command is called, so that `--help` and completion stay fast.
"""

from __future__ import annotations

from orchestrator.cli.group import main

__all__ = ["main"]
