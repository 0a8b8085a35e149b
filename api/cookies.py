"""The cookie of a browser session: which key opened it, signed with SECRET_KEY.

It names the key and does not hold it, so a session dies with its key.
"""

from __future__ import annotations

from hashlib import sha256
from urllib.parse import urlsplit

from flask import Response, request
from itsdangerous import BadData, URLSafeTimedSerializer

from orchestrator.errors import Forbidden, Unauthenticated
from orchestrator.settings import Settings

COOKIE = "orchestrator_session"
HEADER = "X-Requested-With"
SECONDS = 12 * 3600
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def put(response: Response, settings: Settings, key_id: str) -> None:
    """Open the session of a key in the browser that gets this response.

    Raises:
        Forbidden: there is no SECRET_KEY (`sessions_off`).
    """
    response.set_cookie(
        COOKIE,
        str(_serializer(settings).dumps(key_id)),
        max_age=SECONDS,
        secure=request.is_secure or settings.cookie_secure,
        httponly=True,
        samesite="Strict",
    )


def remove(response: Response) -> None:
    """End the session in the browser that gets this response."""
    response.delete_cookie(COOKIE, httponly=True, samesite="Strict")


def key_id(settings: Settings) -> str:
    """The id of the key that opened the session of this request. Whether the key still counts, the
    database knows.

    Raises:
        Unauthenticated: the session is over, or was never opened here.
        Forbidden: the request may come from another site's page (`foreign_page`).
    """
    if settings.secret_key is None:
        raise Unauthenticated("There are no sessions here: SECRET_KEY is not set.")
    try:
        found = _serializer(settings).loads(request.cookies[COOKIE], max_age=SECONDS)
    except BadData:
        raise Unauthenticated("This session is over. Sign in again.") from None
    if request.method not in _SAFE_METHODS:
        _refuse_foreign_pages()
    return str(found)


def _refuse_foreign_pages() -> None:
    """A browser sends the cookie by itself, so the page has to show that it is ours: by a header
    that no other site's page can add unasked, and by what the browser says of where it comes from.
    """
    origin = request.headers.get("Origin")
    if origin is not None:
        ours = urlsplit(origin).netloc == request.headers.get("Host", "")
    else:
        ours = request.headers.get("Sec-Fetch-Site") == "same-origin"
    if not ours or not request.headers.get(HEADER):
        raise Forbidden(
            f"Requests with a session come from our own pages, with the header {HEADER}.",
            code="foreign_page",
        )


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    if settings.secret_key is None:
        raise Forbidden("Sessions are off here: SECRET_KEY is not set.", code="sessions_off")
    return URLSafeTimedSerializer(
        settings.secret_key,
        salt="orchestrator session",
        signer_kwargs={"key_derivation": "hmac", "digest_method": sha256},
    )
