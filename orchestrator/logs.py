"""How every process writes its log: one line an event, on standard error.

The same for structlog, which we use, and for `logging`, which libraries use.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from threading import local
from typing import Any, TextIO, cast

import structlog
from pydantic_core import to_json
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, ExcInfo, Processor

from orchestrator.settings import Settings

# They tell of every request they make and every message they take, which we do ourselves, with the
# ids that matter.
_TALKATIVE = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3"),
    *("celery.worker.strategy", "celery.app.trace"),
)


class _Lines:
    """Standard error, of whatever it is at the time."""

    def __init__(self) -> None:
        self._held = local()

    def write(self, text: str) -> None:
        held: list[str] | None = getattr(self._held, "lines", None)
        if held is None:
            sys.stderr.write(text)
        else:
            held.append(text)

    def flush(self) -> None:
        if getattr(self._held, "lines", None) is None:
            sys.stderr.flush()

    @contextmanager
    def together(self) -> Iterator[None]:
        lines: list[str] = []
        self._held.lines = lines
        try:
            yield
        finally:
            self._held.lines = None
            self.write("".join(lines))
            self.flush()


_LINES = _Lines()
together = _LINES.together
"""Within this block the lines of this thread are kept, to be written at once. Each write lets go of
the interpreter, and where other threads are busy it takes long to get it back.
"""


def configure(settings: Settings, process: str) -> None:
    """Call once, at the start of a process. `process` (web, worker, …) stands in every line."""

    def named(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        named,
    ]
    renderer = _json() if settings.log_format == "json" else _pretty()
    level = logging.getLevelNamesMapping()[settings.log_level]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _LINES)),
        cache_logger_on_first_use=True,
    )
    _route_logging(shared, renderer, level)


def _route_logging(shared: list[Processor], renderer: list[Processor], level: int) -> None:
    """Give the lines of libraries the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # It says once that its worker is ready, which whoever started it waits for.
    logging.getLogger("celery.apps.worker").setLevel(min(level, logging.INFO))
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _json() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _pretty() -> list[Processor]:
    return [
        _on_one_line,
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
    ]


def _on_one_line(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Nobody's text makes a line of its own, or tells the terminal what to do."""
    return {
        name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()
    }


def _traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """A plain one, indented: no line of it begins as one of the log. The library's own choice shows
    the values of variables, secrets among them, and takes seconds to draw.
    """
    lines = StringIO()
    structlog.dev.plain_traceback(lines, exc_info)
    out.write("\n".join(f"  {_escaped(line)}" for line in lines.getvalue().split("\n")))


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _dumps(event: EventDict, **_: Any) -> str:
    return to_json(event, fallback=repr).decode()
