"""The session in the guide to the openai SDK works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.contract.facade_stage import facade

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-openai-sdk.md"
BLOCKS = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000/v1"


def test_session_of_the_guide_ends_in_a_file(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every block, one after the other, only with another address and shorter pauses."""
    text = GUIDE.read_text(encoding="utf-8")
    first, *others = BLOCKS.findall(text)
    assert text.count("```") == 2 * len((first, *others))
    assert ADDRESS in first
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}

    with facade(database_url, redis_url, tmp_path) as stage:
        session = first.replace(ADDRESS, stage.base_url).replace(
            "poll_interval_ms=1000", "poll_interval_ms=50"
        )
        for block in (session, *others):
            exec(compile(block, str(GUIDE), "exec"), names)  # noqa: S102 - our own guide
        names["client"].close()

    listed = re.findall(r"^(video_\w+) completed \d+$", capsys.readouterr().out, re.MULTILINE)
    assert 2 == len(listed)
    assert b"ftyp" == (tmp_path / "kite.mp4").read_bytes()[4:8]
    assert ("8", listed[-1]) == (names["longer"].seconds, names["longer"].remixed_from_video_id)
