"""Runs in LiteLLM's own environment: calls the functions of it that lines of JSON name."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import sys
from contextlib import ExitStack
from typing import Any

import litellm


async def answer(name: str, arguments: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a function returns or raises. One that is not a coroutine has a thread to itself, as it
    would block the loop, which keeps connections between the calls.
    """
    function = getattr(litellm, name)
    try:
        with ExitStack() as files:
            given = {key: read(arguments[key], files) for key in arguments}
            found = (
                await function(**given)
                if inspect.iscoroutinefunction(inspect.unwrap(function))
                else await asyncio.to_thread(function, **given)
            )
    except Exception as error:
        status = getattr(error, "status_code", None)
        return {"error": {"kind": type(error).__name__, "status": status, "message": str(error)}}
    if isinstance(found, bytes):
        return {"bytes": base64.b64encode(found).decode()}
    return {"value": found.model_dump() if hasattr(found, "model_dump") else found}


def read(argument: dict[str, Any], files: ExitStack) -> Any:
    """An argument: a value, bytes, or a file that is closed after the call."""
    if "bytes" in argument:
        return base64.b64decode(argument["bytes"])
    if "path" in argument:
        return files.enter_context(open(argument["path"], "rb"))
    return argument["value"]


def main() -> None:
    """Answer line by line, until there are no more."""
    # Whatever LiteLLM prints is no answer.
    answers, sys.stdout = sys.stdout, sys.stderr
    with asyncio.Runner() as runner:
        for line in sys.stdin:
            print(json.dumps(runner.run(answer(**json.loads(line)))), file=answers, flush=True)


if __name__ == "__main__":
    main()
