"""By what a repeated request of the openai SDK is known to be the same."""

from __future__ import annotations

import math

from flask import g, request

from api import idempotency
from orchestrator.wishes import LONGEST_WINDOW, IdempotencyKey, SdkTry

RETRY_HEADER = "X-Stainless-Retry-Count"
PATIENCE_HEADER = "X-Stainless-Read-Timeout"
_PATIENCE = 600.0
"""The SDK's own, where it does not say."""


def key() -> IdempotencyKey | SdkTry:
    """The Idempotency-Key, or else which try of its call this is.

    Raises:
        InvalidRequest: the key cannot be one.
    """
    given = idempotency.key()
    if given is not None:
        return given
    return SdkTry(number=_number(), patience=_patience(), arrived=g.started)


def _number() -> int:
    text = request.headers.get(RETRY_HEADER, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else 0


def _patience() -> float:
    try:
        seconds = float(request.headers.get(PATIENCE_HEADER, _PATIENCE))
    except ValueError:
        return _PATIENCE
    return min(seconds, LONGEST_WINDOW) if math.isfinite(seconds) and seconds >= 0 else _PATIENCE
