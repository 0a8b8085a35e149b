"""DBOS: clients and the queue's worker are threads of one process, as its documentation has it."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from dbos import DBOS  # type: ignore[import-not-found]

_POLLING_SECONDS = 0.05


@DBOS.workflow()  # type: ignore[untyped-decorator]
def noop(place: int) -> int:
    """Nothing."""
    return place


def main(url: str, number: int, concurrent: int) -> float:
    """Hand the jobs in, and wait for each one's result."""
    DBOS(
        config={
            "name": "bench",
            "system_database_url": url,
            "sys_db_pool_size": concurrent + 4,
            "console_log_level": "ERROR",
        }
    )
    DBOS.launch()
    queue = DBOS.register_queue("bench", polling_interval_sec=_POLLING_SECONDS)
    queue.enqueue(noop, -1).get_result()

    began = time.perf_counter()
    with ThreadPoolExecutor(concurrent) as clients:
        handles = list(clients.map(lambda place: queue.enqueue(noop, place), range(number)))
        list(clients.map(lambda handle: handle.get_result(), handles))
    took = time.perf_counter() - began
    DBOS.destroy()
    return took


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))}\n")
