"""Procrastinate: clients here, a worker in a process of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time

import psycopg  # type: ignore[import-not-found]
from procrastinate import App, PsycopgConnector  # type: ignore[import-not-found]


def application(url: str, connections: int) -> tuple[App, object]:
    """The application and its one task."""
    app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=connections))

    @app.task(name="noop")  # type: ignore[untyped-decorator]
    async def noop(place: int) -> None:
        """Nothing."""

    return app, noop


def work(url: str, concurrent: int) -> None:
    """Run jobs until killed."""

    async def run() -> None:
        app, _ = application(url, concurrent + 2)
        async with app.open_async():
            await app.run_worker_async(concurrency=concurrent, delete_jobs="never")

    asyncio.run(run())


async def main(url: str, number: int, concurrent: int) -> float:
    """Hand the jobs in, and wait until all have succeeded."""
    app, noop = application(url, concurrent)
    connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        context = multiprocessing.get_context("spawn")
        worker = context.Process(target=work, args=(url, concurrent), daemon=True)
        worker.start()
        await noop.defer_async(place=-1)  # type: ignore[attr-defined]
        await finished(connection, 1)

        began = time.perf_counter()
        places = iter(range(number))

        async def client() -> None:
            for place in places:
                await noop.defer_async(place=place)  # type: ignore[attr-defined]

        await asyncio.gather(*(client() for _ in range(concurrent)))
        await finished(connection, number + 1)
        took = time.perf_counter() - began
        worker.kill()
    await connection.close()
    return took


async def finished(connection: psycopg.AsyncConnection, number: int) -> None:
    """Return when so many jobs have succeeded."""
    query = "select count(*) from procrastinate_jobs where status = 'succeeded'"
    while (await (await connection.execute(query)).fetchone())[0] < number:
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    sys.stdout.write(f"{asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))}\n")
