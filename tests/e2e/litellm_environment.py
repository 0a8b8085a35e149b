"""LiteLLM from its wheel, in an environment of its own, and what runs there.

It is installed once, below pytest's cache folder: it wants other versions of our libraries. Where
that cannot be done the tests are skipped, and say why.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest

from orchestrator.local.ports import free_port

PINS = Path(__file__).with_name("litellm-proxy.txt")
SESSION = Path(__file__).with_name("litellm_session.py")
MASTER_KEY = "key-of-a-test"
INSTALL_SECONDS = 180
START_SECONDS = 150
# The pins are complete, and nothing that is built here could be trusted to be what was pinned.
PIP_OPTIONS = ("--no-deps", "--no-compile", "--only-binary", ":all:")

CONFIG = """
model_list:
  - model_name: sora-2
    litellm_params:
      model: openai/sora-2
      api_base: {api_base}
      api_key: {api_key}
      num_retries: 0
router_settings:
  num_retries: 0
  disable_cooldowns: true
litellm_settings:
  num_retries: 0
  telemetry: false
general_settings:
  master_key: {master_key}
"""


def environment(config: pytest.Config) -> Path:
    """The folder with the programs of an environment that has LiteLLM in it. Skips without one."""
    digest = hashlib.sha256(PINS.read_bytes()).hexdigest()
    folder = config.cache.mkdir(f"litellm-{digest[:12]}")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # A checkout that has moved has an environment that does not work.
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != str(folder):
            _install(folder / "venv")
            stamp.write_text(str(folder))
        return folder / "venv" / "bin"


@contextmanager
def proxy(
    programs: Path, folder: Path, api_base: str, api_key: str = "key-of-the-sandbox"
) -> Iterator[str]:
    """A running proxy in front of that address; its own."""
    config, port = folder / "config.yaml", free_port()
    config.write_text(CONFIG.format(api_base=api_base, api_key=api_key, master_key=MASTER_KEY))
    arguments = ["--config", config, "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [programs / "litellm", *arguments],
            env=_environ(programs, folder),
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for(process, port, folder / "log")
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Refused(Exception):
    """LiteLLM has raised; `kind` is the class of its error."""

    def __init__(self, kind: str, status: int | None, message: str):
        super().__init__(f"{kind} {status}: {message}")
        self.kind, self.status, self.message = kind, status, message


class Library:
    """The library LiteLLM, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]):
        self._process = process

    def call(self, function: str, **arguments: Any) -> Any:
        """What `litellm.<function>` returns, awaited if need be: bytes, or as JSON has it.

        Bytes and paths are given as such; a path is opened there.

        Raises:
            Refused: it raises.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        call = {"name": function, "arguments": {key: _sent(arguments[key]) for key in arguments}}
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise Refused(**answer["error"])
        if "bytes" in answer:
            return base64.b64decode(answer["bytes"])
        return answer["value"]


@contextmanager
def library(programs: Path, folder: Path) -> Iterator[Library]:
    """The library, loaded, until the block ends."""
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [programs / "python", SESSION],
            env=_environ(programs, folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            yield Library(process)
        finally:
            process.kill()


def run(programs: Path, folder: Path, code: str) -> None:
    """Run a program that uses the library, in that folder."""
    subprocess.run(
        [programs / "python", "-c", code],
        env=_environ(programs, folder),
        cwd=folder,
        check=True,
        timeout=START_SECONDS,
    )


def _sent(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return {"path": str(value)} if isinstance(value, Path) else {"value": value}


def _environ(programs: Path, folder: Path) -> dict[str, str]:
    return {
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        # Whatever it would like to fetch from elsewhere, it gets nowhere.
        "https_proxy": "http://127.0.0.1:9",
        "no_proxy": "127.0.0.1",
    }


def _install(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    python = target / "bin" / "python"
    try:
        subprocess.run([sys.executable, "-m", "venv", target], check=True, capture_output=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", *PIP_OPTIONS, "--requirement", PINS],
            check=True,
            capture_output=True,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"LiteLLM could not be installed within {INSTALL_SECONDS} s")
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines()
        pytest.skip(f"LiteLLM cannot be installed: {said[-1] if said else error}")


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Until the proxy answers. Fails with what it has said."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/health/liveliness")
            if connection.getresponse().status == 200:
                return
        except (OSError, HTTPException):
            time.sleep(0.3)
        finally:
            connection.close()
    raise AssertionError(f"the proxy did not start: {log.read_text()[-2000:]}")
