"""The load generator without a compiler: the same arguments, file and output as load.c.

Some times slower than that one, so on fast routes it measures itself.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

MARK = b"{serial--------}"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def read_requests(path: str) -> list[bytes]:
    """The requests in a file."""
    content, place, requests = Path(path).read_bytes(), 0, []
    while place < len(content):
        end = content.index(b"\n", place)
        length = int(content[place:end])
        requests.append(content[end + 1 : end + 1 + length])
        place = end + 1 + length
    return requests


class Load:
    """What all connections share."""

    def __init__(self, requests: list[bytes], limit: int):
        self.requests = requests
        self.limit = limit
        self.serial = count(time.time_ns() << 8)
        self.done = asyncio.Event()
        self.issued = 0
        self.reset()

    def reset(self) -> None:
        """Forget what was seen so far."""
        self.began = time.perf_counter()
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.bytes = 0
        self.broken = 0

    def take(self) -> bytes | None:
        """The next request; None: there were enough."""
        if self.limit and self.issued >= self.limit:
            return None
        number, self.issued = self.issued, self.issued + 1
        digits = b"%016x" % (next(self.serial) & (1 << 64) - 1)
        return self.requests[number % len(self.requests)].replace(MARK, digits, 1)

    def count(self) -> None:
        """See whether that was the last one."""
        if self.limit and len(self.latencies) + self.broken >= self.limit:
            self.done.set()

    def report(self) -> str:
        """What was seen, as JSON."""
        seconds = time.perf_counter() - self.began
        ordered = sorted(self.latencies) or [0.0]
        points = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "max_ms": 1.0}
        shown = {name: ordered[int((len(ordered) - 1) * p)] * 1e3 for name, p in points.items()}
        statuses = {str(status): n for status, n in sorted(self.statuses.items())}
        counted = {"answers": len(self.latencies), "bytes": self.bytes, "broken": self.broken}
        return json.dumps({**counted, "seconds": seconds, **shown, "statuses": statuses})


async def keep_busy(load: Load, port: int) -> None:
    """One connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (request := load.take()) is not None:
        began = time.perf_counter()
        try:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1]) if length else 0)
        except (OSError, asyncio.IncompleteReadError):
            load.broken += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        else:
            load.bytes += len(head) + len(body)
            load.statuses[int(head[9:12])] += 1
            load.latencies.append(time.perf_counter() - began)
        load.count()
    writer.close()


async def main(
    port: str, connections: str, warmup: str, seconds: str, limit: str, file: str
) -> str:
    """Run; the arguments are those of load.c."""
    load = Load(read_requests(file), int(limit))
    tasks = [asyncio.create_task(keep_busy(load, int(port))) for _ in range(int(connections))]
    if float(warmup) > 0:
        await asyncio.sleep(float(warmup))
        load.reset()
    waiting = asyncio.create_task(load.done.wait())
    await asyncio.wait([waiting, *tasks], timeout=float(seconds), return_when="FIRST_EXCEPTION")
    while len(load.latencies) + load.broken < len(tasks) and not all(t.done() for t in tasks):
        await asyncio.sleep(0.01)
    report = load.report()
    for task in (waiting, *tasks):
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return report


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(main(*sys.argv[1:7])) + "\n")
