"""What users may read of a provider's words."""

from __future__ import annotations

import pytest

from orchestrator.providers.redaction import MESSAGE_LENGTH, public_text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Your request was blocked.", "Your request was blocked."),
        ("Blocked (request id: 4f5a-77) by us.", "Blocked by us."),
        ("Failed. Please include the request ID req_9f8e7d6c5b4a in your message.", "Failed."),
        ("Failed, request_id=abc123", "Failed"),
        ("Trace-ID 12ab: oops", ""),
        ("Task task_0123456789 failed.", "Task failed."),
        ("Job 3f2504e0-4f89-11d3-9a0c-0305e82c3301 failed.", "Job failed."),
        ("Hash 0123456789abcdef0123 is bad.", "Hash is bad."),
        ("Key sk-proj-abcdef is wrong.", "Key is wrong."),
        ("Cannot reach http://10.0.0.5:30000/x now.", "Cannot reach now."),
        ("Worker 10.0.0.5:8000 died.", "Worker died."),
        ("No file /mnt/models/wan/x.bin here.", "No file here."),
        ("Line one\n\tline\x00 two.", "Line one line two."),
        ("A video-generation error and 24/7 support, 50% off.",) * 2,
        ("Ünïcode stays ☂.", "Ünïcode stays ☂."),
        ("", ""),
    ],
)
def test_internals_are_removed_and_sentences_kept(said: str, shown: str) -> None:
    """Ids, addresses, keys and paths go; the reason stays."""
    assert shown == public_text(said)


def test_long_texts_are_cut() -> None:
    """A stack trace is no message."""
    shown = public_text("word " * 1000)

    assert len(shown) <= MESSAGE_LENGTH
    assert shown.endswith("…")
