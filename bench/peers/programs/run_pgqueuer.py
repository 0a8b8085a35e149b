"""pgqueuer: clients here, a worker in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time

import asyncpg  # type: ignore[import-not-found]
from pgqueuer import PgQueuer  # type: ignore[import-not-found]
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver  # type: ignore[import-not-found]
from pgqueuer.queries import Queries  # type: ignore[import-not-found]

_BATCH = 100


def work(url: str) -> None:
    """Run jobs until killed."""

    async def run() -> None:
        pool = await asyncpg.create_pool(url, min_size=2, max_size=10)
        queuer = PgQueuer.from_asyncpg_pool(pool)

        @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
        async def noop(_: object) -> None:
            """Nothing."""

        await queuer.run(batch_size=_BATCH)

    asyncio.run(run())


async def main(url: str, number: int, concurrent: int) -> float:
    """Hand the jobs in, and wait until none is left."""
    connection = await asyncpg.connect(url)
    await Queries(AsyncpgDriver(connection)).install()
    worker = multiprocessing.get_context("spawn").Process(target=work, args=(url,), daemon=True)
    worker.start()
    pool = await asyncpg.create_pool(url, min_size=concurrent, max_size=concurrent)
    queries = Queries(AsyncpgPoolDriver(pool))
    await queries.enqueue("noop", b"warm")
    await finished(connection)

    began = time.perf_counter()
    places = iter(range(number))

    async def client() -> None:
        for place in places:
            await queries.enqueue("noop", b"%d" % place)

    await asyncio.gather(*(client() for _ in range(concurrent)))
    await finished(connection)
    took = time.perf_counter() - began
    worker.kill()
    return took


async def finished(connection: asyncpg.Connection) -> None:
    """Return when no job is left: what is done leaves the table."""
    while await connection.fetchval("select exists (select from pgqueuer)"):
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))}\n")
