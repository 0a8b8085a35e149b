"""The scheduler process: sweeps every second, prunes every minute, and every ten minutes searches
the storage for what nobody needs. Run one or several; none is needed for safety.
"""

from __future__ import annotations

import signal
import threading
import time

import structlog

from orchestrator import dispatch, housekeeping, logs
from orchestrator.context import Context, build
from orchestrator.errors import OrchestratorError
from orchestrator.metrics import Reporter
from orchestrator.settings import load

SWEEP_SECONDS = 1.0
PRUNE_SECONDS = 60.0
TIDY_SECONDS = 600.0
"""The storage may have a million files: it is looked through seldom, some thousand at a time."""

log = structlog.get_logger(__name__)


def run(ctx: Context, stop: threading.Event) -> None:
    """Sweep until `stop` is set."""
    tidy_at = prune_at = time.monotonic()
    behind = False
    places: dict[str, str] = {}
    while not stop.is_set():
        began = time.monotonic()
        try:
            swept = dispatch.sweep(ctx)
            if swept.admitted or swept.rescued or swept.expired:
                log.info(
                    "swept", admitted=swept.admitted, rescued=swept.rescued, expired=swept.expired
                )
            wanted, behind = behind, False
            if began >= tidy_at:
                tidy_at = began + TIDY_SECONDS
                prune_at = began + PRUNE_SECONDS
                behind = housekeeping.behind(housekeeping.tidy(ctx, places), places)
            elif wanted or began >= prune_at:
                prune_at = began + PRUNE_SECONDS
                behind = housekeeping.behind(housekeeping.prune(ctx, places), places)
        except OrchestratorError as error:
            log.warning("sweep_failed", reason=error.code)
        except Exception:
            # A scheduler that dies of one bad row would stop everybody's videos; the next round may
            # do better.
            log.exception("sweep_failed")
        stop.wait(max(0.05, SWEEP_SECONDS - (time.monotonic() - began)))


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    settings = load()
    logs.configure(settings, process="scheduler")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    ctx = build(settings, application="orchestrator scheduler")
    reporter = Reporter(ctx, "scheduler")
    reporter.start()
    log.info("scheduler_started")
    try:
        run(ctx, stop)
    finally:
        reporter.close()
        ctx.close()


if __name__ == "__main__":
    main()
