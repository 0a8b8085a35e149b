"""What a WSGI server loads: `application` is a factory, so that importing this opens nothing."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from multiprocessing.util import Finalize
from threading import Thread
from time import sleep

from flask import Flask

from api import create_app, metrics
from orchestrator import context, logs, settings

GRACE_SECONDS = 3
"""How long requests that have begun may take after the signal to stop: a platform's patience ends
between 5 s (honcho) and 30 s, and on a busy machine the end itself takes a second."""


def application() -> Flask:
    """The application of one server process, from the environment."""
    found = settings.load()
    logs.configure(found, "web")
    Thread(target=_follow_parent, name="leash", daemon=True).start()
    ctx = context.build(found, application="orchestrator web")
    app = create_app(ctx)
    reporter = metrics.reporter_of(app)
    reporter.start()
    # Python's own atexit is not for processes that multiprocessing has forked.
    for last in (reporter.close, ctx.traces.close):
        Finalize(None, last, exitpriority=0)
    # What is loaded by now stays: to look through it for garbage again and again stops every
    # request of the process for a tenth of a second.
    gc.collect()
    gc.freeze()
    return app


def _follow_parent() -> None:
    """End with the process that supervises this one, also when nobody could tell us: SIGKILL."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(GRACE_SECONDS)
    os._exit(1)
