"""Every route by every role: what docs/reference/permissions.md says is what happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask

from api import create_app, permissions
from api.permissions import Permission, address
from api.streams import feeds_of
from orchestrator import accounts, delivery_log, endpoints, submissions
from orchestrator.accounts import Authenticator
from orchestrator.catalog import single_provider_catalog
from orchestrator.context import Context
from orchestrator.records import Caller
from tests.api_client import client
from tests.core import make_request
from tests.factories import complete

# Bodies that get through the checks of a route, so that what comes behind them is seen.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "videos.create": {"prompt": "a kite"},
    "videos.remix": {"prompt": "a kite"},
    "holds.resolve": {"decision": "fail"},
    "quotas.change": {"weight": 1},
    "openai_videos.remix": {"prompt": "a kite"},
    "webhooks.change": {"description": "mine"},
    "webhooks.replay": {"since": "2026-01-01T00:00:00Z"},
}


@pytest.fixture
def ctx(make_ctx: Callable[..., Context]) -> Context:
    """A context that wants API keys, and whose provider may send webhooks."""
    catalog = single_provider_catalog(
        base_url="http://127.0.0.1:1/v1", profile="sandbox", webhook_secret="whsec_" + "c2Vj" * 8
    )
    return make_ctx(auth="keys", catalog=catalog)


@pytest.fixture
def app(ctx: Context) -> Iterator[Flask]:
    """The application over it."""
    app = create_app(ctx)
    yield app
    feeds_of(app).close()


class Stage:
    """Things of ann's that addresses can name: a fresh one for each request."""

    def __init__(self, ctx: Context):
        self._ctx = ctx
        self._makers: Mapping[str, Callable[[], str]] = {
            "video_id": self._video,
            "key_id": lambda: accounts.create_key(ctx, "ann").key.id,
            "user_id": lambda: "ann",
            "name": lambda: "default",
            "filename": lambda: "pages.css",
            "model": lambda: "sora-2",
            "provider": lambda: "default",
            "character_id": lambda: "none",
            "endpoint_id": self._endpoint,
            "delivery_id": lambda: str(delivery_log.ping(ctx, Caller("ann"), self._endpoint()).id),
        }

    def address(self, path: str) -> str:
        """The path with things in it."""
        values = {}
        for name in _names(path):
            assert name in self._makers, f"{path}: tell this test how to make a {name}"
            values[name] = self._makers[name]()
        return address(path, values)

    def _endpoint(self) -> str:
        return endpoints.create(self._ctx, Caller("ann"), "https://93.184.216.34/hook").id

    def _video(self) -> str:
        submitted = submissions.create(self._ctx, Caller("ann"), make_request())
        return complete(self._ctx, submitted.video.id).id


def _names(path: str) -> Iterator[str]:
    for part in path.split("{")[1:]:
        yield part.partition("}")[0]


def bearer(secret: str) -> dict[str, str]:
    """The header with a key."""
    return {"Authorization": f"Bearer {secret}"}


def headers_of(ctx: Context, role: str) -> dict[str, str]:
    """What somebody in this role sends."""
    if role == "no key":
        return {}
    if role == "dead key":
        return bearer("vo_unknown")
    made = {
        "owner": lambda: accounts.create_key(ctx, "ann"),
        "owner, read-only": lambda: accounts.create_key(ctx, "ann", scopes=["read"]),
        "another user": lambda: accounts.create_key(ctx, "bob"),
        "admin": lambda: accounts.create_key(ctx, "root", role="admin"),
    }[role]()
    return bearer(made.secret)


def seen(app: Flask, stage: Stage, one: Permission, headers: Mapping[str, str]) -> str:
    """What a route answers: `yes`, or the status of the refusal."""
    arguments: dict[str, Any] = {}
    if one.method in {"POST", "PUT", "PATCH"}:
        arguments["json"] = BODIES.get(one.endpoint, {})
    response = client(app).open(
        stage.address(one.path), method=one.method, headers=headers, **arguments
    )
    response.close()
    status = response.status_code
    return permissions.YES if status < 500 and status not in {401, 403, 404} else str(status)


@pytest.mark.parametrize("role", permissions.ROLES)
def test_routes_answer_as_the_table_says_when_this_role_asks(
    app: Flask, ctx: Context, role: str
) -> None:
    """Nobody gets more, and nobody less, than is documented."""
    stage, headers = Stage(ctx), headers_of(ctx, role)
    found = permissions.table(app)

    answers = {(o.method, o.path): seen(app, stage, o, headers) for o in found}

    assert len(found) > 30
    assert {(o.method, o.path): o.cells[role] for o in found} == answers


@pytest.mark.parametrize("death", ["revoked", "expired"])
def test_routes_are_closed_when_a_key_has_died(app: Flask, ctx: Context, death: str) -> None:
    """A dead key opens no more than none, an admin's no more than a user's."""
    now = datetime.now(UTC)
    made = accounts.create_key(
        ctx, "root", role="admin", expires_at=now - timedelta(1) if death == "expired" else None
    )
    if death == "revoked":
        accounts.revoke_key(ctx, made.key.id)
    stage, found = Stage(ctx), permissions.table(app)

    answers = {(o.method, o.path): seen(app, stage, o, bearer(made.secret)) for o in found}

    assert {(o.method, o.path): o.cells["dead key"] for o in found} == answers


def test_key_dies_everywhere_when_it_is_revoked_over_http(app: Flask, ctx: Context) -> None:
    """Another process that has just seen it believes it for no longer than a second."""
    made = accounts.create_key(ctx, "ann")
    clock = iter([0.0, 0.7, 1.1])
    elsewhere = Authenticator(ctx, monotonic=lambda: next(clock))
    elsewhere.caller(made.secret)
    headers = headers_of(ctx, "admin")

    revoked = client(app).delete(f"/api/admin/keys/{made.key.id}", headers=headers)

    assert 200 == revoked.status_code
    assert "ann" == elsewhere.caller(made.secret).user_id
    with pytest.raises(accounts.Unauthenticated):
        elsewhere.caller(made.secret)


def test_foreign_things_cannot_be_told_from_none_when_another_user_asks(
    app: Flask, ctx: Context
) -> None:
    """Neither by status nor by words."""
    stage, headers = Stage(ctx), headers_of(ctx, "another user")
    there = stage.address("/api/videos/{video_id}")
    nowhere = there[:-4] + "0000"

    foreign, missing = (
        client(app).get(path, headers=headers).get_json() for path in (there, nowhere)
    )

    for body in (foreign, missing):
        del body["instance"], body["request_id"]
    assert missing == foreign
