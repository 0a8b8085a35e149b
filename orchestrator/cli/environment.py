"""The environment of this process, to hand on to settings and to child processes."""

from __future__ import annotations

import os


def environment() -> dict[str, str]:
    """A copy: nobody changes the process's own."""
    return dict(os.environ)


def default_url() -> str:
    """Where the server of this machine listens, if nobody says otherwise."""
    return f"http://127.0.0.1:{environment().get('PORT', '').strip() or 8000}"
