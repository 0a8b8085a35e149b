"""A file on its way from the server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from http.client import HTTPResponse

from orchestrator.cli.connection import Connection, NoAnswer
from orchestrator.cli.errors import Failed, Unreachable

CHUNK = 256 * 1024


class Stream:
    """The answer to a download.

    start: where in the whole file its first byte lies (above 0 for the rest of a partial one).
    total: the size of the whole file; None where the server does not say.
    """

    def __init__(self, connection: Connection, response: HTTPResponse):
        self._connection = connection
        self._response = response
        self.content_type = response.headers.get_content_type()
        partial = (
            response.headers.get("Content-Range", "") if response.status == 206 else "bytes 0-"
        )
        self.start = _range_start(partial)
        self.total = None if response.length is None else self.start + response.length

    def chunks(self) -> Iterator[bytes]:
        """The bytes. Raises Unreachable when they end early."""
        try:
            while data := self._connection.read(self._response, CHUNK):
                yield data
        except NoAnswer as error:
            raise Unreachable(f"The download broke off: {error}.") from error


def _range_start(header: str) -> int:
    """Of `bytes 5-9/10`: 5."""
    found = re.match(r"bytes (\d+)-", header)
    if found is None:
        raise Failed("The server sent a part of the file without saying which.")
    return int(found.group(1))
