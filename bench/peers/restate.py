"""Restate: a server of its own, which calls a service over HTTP.

A client's call is answered when it was accepted durably, run, and its end recorded.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path

from bench.child import Child, answers
from bench.load.generator import Request
from bench.measurement import Skipped
from bench.metrics import Metrics
from bench.peers.environment import PROGRAMS, node_package, python
from bench.stage import Stage
from orchestrator.local.ports import free_port

_PACKAGE = "@restatedev/restate-server@1.7"


def run(stage: Stage, number: int, concurrent: int) -> Metrics:
    """Call a service that does nothing, from so many clients at once.

    Raises:
        Skipped: it cannot be installed here.
    """
    interpreter = python("restate")
    server = _server(node_package("restate", _PACKAGE))
    ingress, admin, node, service = (free_port() for _ in range(4))
    env = {
        "PATH": os.defpath,
        "DO_NOT_TRACK": "1",
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
        "RESTATE_BIND_ADDRESS": f"127.0.0.1:{node}",
        "RESTATE_BASE_DIR": str(stage.folder / f"restate-{ingress}"),
    }
    logs = stage.folder / "logs"
    with (
        Child([interpreter, PROGRAMS / "run_restate.py", str(service)], env, logs / "service.log"),
        Child([server], env, logs / "restate.log") as child,
    ):
        child.wait_until(lambda: answers(f"http://127.0.0.1:{admin}/health"))
        child.wait_until(lambda: _registered(admin, service))
        headers = {"Content-Type": "application/json"}
        requests = [Request("POST", "/bench/noop", headers, b'{"prompt": "A paper boat"}')]
        seen = stage.generator.run(ingress, requests, connections=concurrent, limit=number)
    return seen.metrics()


def _server(modules: Path) -> Path:
    for path in modules.glob("@restatedev/restate-server-*/bin/restate-server"):
        return path
    raise Skipped("Restate has no server for this machine")


def _registered(admin: int, service: int) -> bool:
    """Tell the server where the service is; False while one of them is not there yet."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{admin}/deployments",
        data=json.dumps({"uri": f"http://127.0.0.1:{service}"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - on this machine
            return bool(answer.status in {200, 201})
    except (OSError, urllib.error.URLError):
        return False
