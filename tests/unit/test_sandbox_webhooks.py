"""Signatures that any Standard-Webhooks receiver accepts."""

from __future__ import annotations

import json
import time

from standardwebhooks import Webhook

from orchestrator.sandbox.webhooks import Notice, signed_headers, signing_key

SECRET = "whsec_c2FuZGJveC1zZWNyZXQtZm9yLXRlc3Rz"


def test_payload_holds_the_id_and_no_more() -> None:
    """Whoever is told has to look for the rest."""
    notice = Notice("evt_1", "video.completed", "video_1", 1000)

    expected = {
        "id": "evt_1",
        "object": "event",
        "created_at": 1000,
        "type": "video.completed",
        "data": {"id": "video_1"},
    }

    assert expected == json.loads(notice.body())


def test_signature_is_accepted_by_the_reference_implementation() -> None:
    """What we sign, the standard's own library verifies."""
    notice = Notice("evt_1", "video.failed", "video_1", 1000)

    headers = signed_headers(notice, notice.body(), signing_key(SECRET), time.time())

    verified = Webhook(SECRET).verify(notice.body(), headers)

    assert verified["data"] == {"id": "video_1"}


def test_key_is_the_text_itself_when_it_has_no_prefix() -> None:
    """Only whsec_ means base64."""
    assert signing_key("plain") == b"plain"
    assert signing_key(SECRET) == b"sandbox-secret-for-tests"
