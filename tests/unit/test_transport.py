"""The HTTP client beneath the SDK, as far as it needs no server."""

from __future__ import annotations

import ssl

import httpx2

from orchestrator.catalog import PROFILES, Provider
from orchestrator.providers.transport import api_client

HOME = Provider(name="home", profile=PROFILES["openai"], base_url="http://127.0.0.1:1/v1")


def test_form_is_sent_in_one_piece() -> None:
    """The pieces of a form would each be a packet of its own."""
    with api_client(HOME, ssl.create_default_context()) as client:
        request = client.build_request(
            "POST", "/videos", data={"prompt": "a kite"}, files={"image": ("a.png", b"png")}
        )

        for hook in client.event_hooks["request"]:
            hook(request)

    assert isinstance(request.stream, httpx2.SyncByteStream)
    (piece,) = request.stream
    assert b"a kite" in piece
    assert piece.endswith(b"--\r\n")
