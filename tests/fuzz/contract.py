"""The OpenAPI document as a source of requests, valid and not, and what may be said against a valid
one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, Response
from schemathesis.specs.openapi.checks import positive_data_acceptance

from api import create_app
from api.openapi import document
from tests.factories import NOWHERE, make_context, make_settings
from tests.fuzz.things import NAMES, words

SEED = int(os.environ.get("FUZZ_SEED", "1"))
BEYOND_SCHEMAS = {
    "Idempotency-Key",  # two quotes are a key of no character
    "Last-Event-ID",
    "after",
    "cursor",  # ... and all ids of places in lists: what was given out before
    "input_reference",  # an image, by its bytes
    "metadata",  # in a form, a text that is JSON
    "input_reference.file_id",
    "input_reference.image_url",
    "model",  # what providers allow depends on the catalog
    "provider_video_id",  # needed for one of the decisions
    "quality",
    "run_at",  # at most a year ahead
    "scopes",  # those of the role
    "seconds",
    "since",  # before `until`
    "size",
    "url",  # a public host
    "user_id",  # printable
    "video.id",
    "webhook_url",
}
"""Parameters with a rule that a schema cannot say: a request that keeps to it may be refused."""
BEYOND_REQUESTS = {
    "bad_signature",
    "idempotency_key_reused",
    "range_not_satisfiable",
    "unsupported",
}
"""Codes of refusals that are not for a parameter."""
_OFTEN = 0.7
_PATHS = {
    "video_id": "video",
    "user_id": "user",
    "key_id": "key",
    "endpoint_id": "endpoint",
    "delivery_id": "delivery",
    "name": "provider",
    "provider": "provider",
    "model": "model",
}
_BODIES = {
    "key": "secret",
    "model": "model",
    "seconds": "seconds",
    "size": "size",
    "url": "address",
    "video.id": "completed",
    "webhook_url": "address",
}
_VALUES: dict[str, list[Any]] = {"seconds": ["4", 2], "size": ["320x240"]}
# An id could be `batch`, so with another method these addresses mean a video.
_SHADOWED = [
    "/api/videos/batch",
    "/v1/videos/characters",
    "/v1/videos/edits",
    "/v1/videos/extensions",
]


class Door:
    """A WSGI application that stands for the one of the test at hand: requests are drawn before
    any test has an application.
    """

    def __init__(self) -> None:
        self.app: Callable[..., Iterable[bytes]] | None = None

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Let that one answer."""
        assert self.app is not None
        return self.app(environ, start_response)


def _config() -> schemathesis.Config:
    bindings = {f"path.{name}": kind for name, kind in _PATHS.items()}
    bindings |= {f"body.{name}": kind for name, kind in _BODIES.items()}
    values = {kind: words(kind) for kind in NAMES} | _VALUES
    return schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "generation": {
                "max-examples": int(os.environ.get("FUZZ_EXAMPLES", "20")),
                "with-security-parameters": False,  # they come with each request
            },
            "suppress-health-check": ["all"],
            "max-stream-events": 1,
            "cache": {"enabled": False},
            "warnings": False,
            "analysis": {"constants": {"enabled": False}},
            "dictionaries": {kind: {"values": found} for kind, found in values.items()},
            "parameters": {name: _often(kind) for name, kind in bindings.items()},
            "operations": [
                {
                    "include-path": _SHADOWED,
                    "checks": {"allow_header_conformance": {"enabled": False}},
                },
                {
                    "include-path-regex": "/(content|download|remix|thumbnail)$",
                    "parameters": {"path.video_id": _often("perhaps completed")},
                },
                {
                    "include-path": "/api/admin/held/{video_id}",
                    "parameters": {"path.video_id": _often("held")},
                },
            ],
        }
    )


def _often(kind: str) -> dict[str, Any]:
    return {"dictionary": kind, "probability": _OFTEN}


def _load() -> schemathesis.BaseSchema:
    settings = make_settings("postgresql://127.0.0.1:1/none", NOWHERE, Path("/nowhere"))
    ctx = make_context(settings)
    try:
        schema = schemathesis.openapi.from_dict(document(create_app(ctx)), config=_config())
    finally:
        ctx.close()
    schema.app = DOOR
    return schema


DOOR = Door()
SCHEMA = _load()
"""The document; its requests go through the door."""


def check(case: Case, response: Response, headers: dict[str, str]) -> None:
    """Raise unless the document announces this answer, and it suits the request."""
    beyond = [positive_data_acceptance] if _beyond_schemas(response) else []
    case.validate_response(
        response,
        excluded_checks=beyond,
        headers=headers,
        transport_kwargs={"headers": headers},
    )


def sendable(case: Case) -> bool:
    """Whether a query can hold this: texts, and lists of texts. Of anything else Werkzeug sends
    another text than the checks believe.
    """
    values = case.query.values()
    parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
    return not any(part is None or isinstance(part, (dict, list)) for part in parts)


def _beyond_schemas(response: Response) -> bool:
    if response.status_code not in {400, 416, 422}:
        return False
    error = json.loads(response.content)["error"]
    return error["code"] in BEYOND_REQUESTS or error["param"] in BEYOND_SCHEMAS
