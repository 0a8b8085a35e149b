"""Restate's service: `run_restate.py PORT` serves it over HTTP/2 until killed."""

from __future__ import annotations

import asyncio
import sys

import restate  # type: ignore[import-not-found]
from hypercorn.asyncio import serve  # type: ignore[import-not-found]
from hypercorn.config import Config  # type: ignore[import-not-found]

service = restate.Service("bench")


@service.handler()  # type: ignore[untyped-decorator]
async def noop(_: restate.Context, wish: dict[str, str]) -> str:
    """Nothing."""
    return wish["prompt"]


if __name__ == "__main__":
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.h2_max_concurrent_streams = 2147483647
    asyncio.run(serve(restate.app([service]), config))
