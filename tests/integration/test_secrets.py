"""What is secret stays so: in no line of the log and in no answer, whatever goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_no_secret_is_told_when_everything_goes_wrong(
    database_url: str, redis_url: str, tmp_path: Path, log_format: str
) -> None:
    """Keys, passwords in URLs, secrets that sign: the log says what happened without them."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.secretive"),
            *(database_url, redis_url, str(tmp_path), log_format),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )

    found = json.loads(done.stdout)
    assert [200, 200, 200, 401, 400, 500, 503, 503] == found["statuses"]
    for expected in ("dependency_down", "our own mistake", "Traceback"):
        assert expected in done.stderr
    assert "our own mistake" not in found["shown"]
    told = [
        secret for secret in found["secrets"] if secret in done.stderr or secret in found["shown"]
    ]
    assert [] == told
