"""One form for all lines, in a process of its own: the configuration is process-wide."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from dataclasses import replace
from orchestrator import logs
from orchestrator.settings import Settings

logs.configure(replace(Settings(), log_format={form!r}, log_level={level!r}), "web")
structlog.contextvars.bind_contextvars(request_id="r1")
secret = "hunter2"
structlog.get_logger("a").info("ours", status=202)
logging.getLogger("b").warning("theirs %s", "too")
logging.getLogger("openai").info("GET https://provider")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("a").exception("accident")
"""


def lines(form: str, level: str = "INFO", program: str = PROGRAM) -> list[str]:
    """What a process with this configuration writes: all of it on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", program.format(form=form, level=level)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "" == done.stdout
    return done.stderr.splitlines()


def test_lines_are_json_when_the_format_is_json() -> None:
    """Ours and those of libraries have the same members."""
    ours, theirs, accident = (json.loads(line) for line in lines("json"))

    assert ("ours", 202, "web", "r1", "info") == tuple(
        ours[name] for name in ("event", "status", "process", "request_id", "level")
    )
    assert ("theirs too", "b", "web", "warning") == tuple(
        theirs[name] for name in ("event", "logger", "process", "level")
    )
    assert "ZeroDivisionError" in accident["exception"]


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_line_stays_one_when_a_value_has_line_breaks(form: str) -> None:
    """Whoever chooses a name writes no lines of the log, and tells no terminal what to do; letters
    of all scripts stay.
    """
    program = PROGRAM + (
        "text = 'é\\r\\nforged \\x1b[31m\\u2028\\u202e'\n"
        "structlog.get_logger('a').info('said', video_id=text)\n"
        "logging.getLogger('b').warning('%s', text)\n"
        "try:\n    raise ValueError(text)\n"
        "except ValueError:\n    structlog.get_logger('a').exception('accident')\n"
    )

    written = lines(form, program=program)

    assert [] == [line for line in written if line.startswith("forged")]
    assert "\x1b" not in "".join(written)
    assert 3 == sum("forged" in line for line in written)
    assert 3 == sum("é" in line for line in written)


@pytest.mark.parametrize("form", ["json", "pretty"])
def test_tracebacks_show_no_values_when_written(form: str) -> None:
    """A variable may hold a secret."""
    text = "\n".join(lines(form))

    assert "ZeroDivisionError" in text
    assert "'hunter2'" not in text


def test_lines_are_left_out_when_the_level_is_higher() -> None:
    """LOG_LEVEL counts for ours and for theirs."""
    assert ["accident"] == [json.loads(line)["event"] for line in lines("json", "ERROR")]


def test_worker_says_that_it_is_ready_when_the_level_is_higher() -> None:
    """`orchestrator up` waits for that line, and would give up without it."""
    program = PROGRAM + "logging.getLogger('celery.apps.worker').info('%s ready.', 'worker@here')\n"

    written = [json.loads(line)["event"] for line in lines("json", "ERROR", program)]

    assert ["accident", "worker@here ready."] == written


def test_lines_are_written_at_once_when_they_are_kept_together() -> None:
    """All of them, in their order; those of other threads do not wait, and none is lost when the
    block ends with an error.
    """
    program = PROGRAM.rpartition("structlog.contextvars")[0] + (
        "import sys, threading\n"
        "log, writes = structlog.get_logger('a'), []\n"
        "sys.stderr.write, write = lambda text: writes.append(text) or write(text), "
        "sys.stderr.write\n"
        "try:\n"
        "    with logs.together():\n"
        "        log.info('one')\n"
        "        thread = threading.Thread(target=log.info, args=['between'])\n"
        "        thread.start(), thread.join()\n"
        "        log.info('two')\n"
        "        raise KeyError\n"
        "except KeyError:\n"
        "    log.info('three', writes=len(writes))\n"
    )

    written = [json.loads(line) for line in lines("json", program=program)]

    assert ["between", "one", "two", "three"] == [line["event"] for line in written]
    assert 2 == written[-1]["writes"]
