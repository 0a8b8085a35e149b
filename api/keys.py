"""API keys, for admins."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response

from api import answers, schemas
from api.bodies import json_body, query
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from orchestrator import accounts
from orchestrator.errors import NotFound
from orchestrator.records import ApiKey
from orchestrator.views import rfc3339

blueprint = Blueprint("keys", __name__, url_prefix="/api/admin/keys")

_KEY_ID = re.compile(r"[\w-]{1,64}\Z", re.ASCII)
_TIMES = ("created_at", "expires_at", "revoked_at", "last_used_at")


@blueprint.get("")
@contract(
    "List API keys", tag="admin", access=Access.ADMIN, query=schemas.ListKeys, answer=answers.Keys
)
def page() -> Response:
    """Newest first; only the beginning of a key is known."""
    found = accounts.list_keys(context(), query(schemas.ListKeys).user_id)
    return reply({"data": [_shown(key) for key in found]})


@blueprint.post("")
@contract(
    "Make an API key",
    tag="admin",
    access=Access.ADMIN,
    body=schemas.CreateKey,
    answer=answers.NewKey,
    status=201,
    makes="key_id",
)
def create() -> Response:
    """`secret` is shown this once."""
    body = json_body(schemas.CreateKey)
    made = accounts.create_key(
        context(),
        body.user_id,
        role=body.role,
        name=body.name,
        expires_at=body.expires_at,
        scopes=body.scopes,
        rate_limit=body.rate_limit,
        by=caller(),
    )
    return reply({**_shown(made.key), "secret": made.secret}, 201)


@blueprint.delete("/<key_id>")
@contract("Revoke an API key", tag="admin", access=Access.ADMIN, answer=answers.Key)
def revoke(key_id: str) -> Response:
    """Works everywhere within a second. A second revocation changes nothing."""
    if not _KEY_ID.match(key_id):
        raise NotFound("There is no such key.")
    return reply(_shown(accounts.revoke_key(context(), key_id, by=caller())))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "object": "api_key",
        **asdict(key),
        "scopes": key.scopes or accounts.SCOPES[key.role],
        **{name: rfc3339(getattr(key, name)) for name in _TIMES},
    }
