"""Options that make no sense are refused before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.sandbox.settings import SandboxSettings

SECRET = "whsec_c2FuZGJveC1zZWNyZXQtZm9yLXRlc3Rz"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dialect": "klingon"}, "dialect must be one of sandbox, openai"),
        ({"render_seconds": -1}, "render_seconds must be within"),
        ({"container": "webm"}, "container must be one of mp4, avi"),
        ({"max_concurrent": -1}, "max_concurrent must be 0"),
        ({"models": ()}, "models must name"),
        ({"retention_seconds": -5}, "retention_seconds must be above 0"),
        ({"retention_seconds": 0}, "retention_seconds must be above 0"),
        ({"faults": "get.everything"}, "'get' knows no 'everything'"),
        ({"webhook_url": "ftp://example.test", "webhook_secret": SECRET}, "http://"),
        ({"webhook_url": "http://example.test"}, "webhook_secret must be given"),
        ({"webhook_url": "http://example.test", "webhook_secret": "whsec_!"}, "base64"),
    ],
)
def test_settings_are_refused_when_they_make_no_sense(
    options: dict[str, Any], message: str
) -> None:
    """The message names the option and what it allows."""
    with pytest.raises(ValueError, match=message):
        SandboxSettings(**options)


def test_secrets_are_hidden_when_settings_are_printed() -> None:
    """Neither key nor secret ends up in a log."""
    settings = SandboxSettings(
        api_key="sk-top", webhook_url="http://example.test", webhook_secret=SECRET
    )

    assert "sk-top" not in repr(settings)
    assert SECRET not in repr(settings)
