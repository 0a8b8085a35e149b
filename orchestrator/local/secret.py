"""Secrets that are made once and then kept in a file that only their owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in `path`, made on first use: 43 URL-safe characters, file mode 0600."""
    if not path.exists() or not path.read_text().strip():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32))
        # In one step, so that a kill in the middle leaves no empty secret behind.
        draft.replace(path)
    return path.read_text().strip()
