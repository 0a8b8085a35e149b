"""`python -m api`: the web process."""

from __future__ import annotations

import sys

from api.server import serve
from orchestrator import settings
from orchestrator.errors import ConfigurationError


def main() -> int:
    """Serve until stopped. Returns the exit code: 0, or 2 for settings that make no sense."""
    try:
        found = settings.load()
    except ConfigurationError as error:
        print(error.message, file=sys.stderr)  # noqa: T201 - nobody has set up a log yet
        return 2
    serve(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
