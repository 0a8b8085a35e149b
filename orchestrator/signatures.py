"""Standard Webhooks: how a message proves who sent it.

HMAC-SHA256 over `<id>.<timestamp>.<body>`. Both directions are here because they are one rule; the
tests hold it against two libraries, `standardwebhooks` and the openai SDK. The former is not used
at run time: it takes no secret that is plain text, and the latter is at home among the providers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
ID_HEADER = "webhook-id"
TIME_HEADER = "webhook-timestamp"
SIGNATURE_HEADER = "webhook-signature"
_SECRET_BYTES = 32
_LONGEST_ID = 255
_MOST_SIGNATURES = 32


class BadSignature(Exception):
    """The message was not signed with this secret, or not just now."""


def new_secret() -> str:
    """A fresh secret: whsec_ and 32 random bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes to sign with: what follows whsec_ is base64, any other text counts as it is.

    Raises:
        ValueError: it begins with whsec_ and is no base64.
    """
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a secret that begins with whsec_ must go on in base64") from None


def headers_for(
    message_id: str, body: bytes, valid_secrets: Iterable[str], *, now: float
) -> dict[str, str]:
    """The three headers of a message, one signature for each secret. `now` in unix seconds."""
    moment = str(int(now))
    signatures = [_signature(key_of(secret), message_id, moment, body) for secret in valid_secrets]
    return {
        ID_HEADER: message_id,
        TIME_HEADER: moment,
        SIGNATURE_HEADER: " ".join(f"v1,{signature}" for signature in signatures),
    }


def verify(headers: Mapping[str, str], body: bytes, secret: str, *, now: float) -> str:
    """The id of a message, if it was signed with `secret` within five minutes of `now` (unix
    seconds).

    Raises:
        BadSignature: anything is missing, malformed, too old, from the future, or wrong.
    """
    message_id = headers.get(ID_HEADER, "")
    moment = headers.get(TIME_HEADER, "")
    if not 1 <= len(message_id) <= _LONGEST_ID or not message_id.isprintable():
        raise BadSignature
    if not moment.isascii() or not moment.isdecimal() or len(moment) > 12:
        raise BadSignature
    if abs(now - int(moment)) > TOLERANCE_SECONDS:
        raise BadSignature
    expected = _signature(key_of(secret), message_id, moment, body).encode()
    given = headers.get(SIGNATURE_HEADER, "").split(" ")[:_MOST_SIGNATURES]
    # Every signature is compared, in constant time: how long it takes says nothing.
    matches = [
        hmac.compare_digest(expected, part.removeprefix("v1,").encode("utf-8", "replace"))
        for part in given
        if part.startswith("v1,")
    ]
    if not any(matches):
        raise BadSignature
    return message_id


def _signature(key: bytes, message_id: str, moment: str, body: bytes) -> str:
    message = b".".join([message_id.encode("utf-8", "replace"), moment.encode(), body])
    return base64.b64encode(hmac.digest(key, message, hashlib.sha256)).decode()
