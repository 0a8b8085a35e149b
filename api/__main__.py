"""`python -m api`: the web process."""

from __future__ import annotations

import sys

from api.server import serve
from orchestrator import logs, settings
from orchestrator.errors import ConfigurationError


def main() -> int:
    """Serve until stopped. Returns the exit code: 0, or 2 for settings that cannot be."""
    try:
        found = settings.load()
        logs.configure(found, "web")
        serve(found)
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - the last words of a process, to a person
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
