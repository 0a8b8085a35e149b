"""The question of `orchestrator doctor`: does this storage do its work right now?"""

from __future__ import annotations

import secrets

from orchestrator.errors import StorageError
from orchestrator.storage.contract import Storage

# Small beside a video, large enough that a disk with only crumbs left says so.
_PROBE_BYTES = 1024 * 1024


def probe(storage: Storage) -> None:
    """Write, read and delete an object of our own. Raises StorageError with the reason."""
    key = f"check/{secrets.token_hex(8)}"
    sent = secrets.token_bytes(_PROBE_BYTES)
    storage.put(key, [sent], content_type="application/octet-stream")
    try:
        with storage.open(key) as content:
            received = b"".join(content.chunks)
    finally:
        storage.delete(key)
    if received != sent:
        raise StorageError("The storage gave back other bytes than it was given.")
