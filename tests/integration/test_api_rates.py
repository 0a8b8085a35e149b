"""Rate limits and scopes of keys, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from api import create_app
from orchestrator import accounts
from orchestrator.context import Context
from orchestrator.errors import InvalidRequest
from orchestrator.records import Caller
from tests.api_client import ApiClient, client
from tests.factories import NOWHERE

MakeContext = Callable[..., Context]


@pytest.fixture
def keyed(make_ctx: MakeContext) -> Context:
    """A context that wants API keys and limits nobody."""
    return make_ctx(auth="keys")


def bearer(ctx: Context, user_id: str = "ann", **options: Any) -> dict[str, str]:
    """Headers with a fresh key of this user."""
    return {"Authorization": f"Bearer {accounts.create_key(ctx, user_id, **options).secret}"}


def test_nothing_is_counted_when_no_limit_is_set(keyed: Context) -> None:
    """Off unless somebody wants it."""
    response = client(create_app(keyed)).get("/api/quota", headers=bearer(keyed))

    assert 200 == response.status_code
    assert "RateLimit" not in response.headers
    assert "RateLimit-Policy" not in response.headers


def test_headers_say_what_is_left_when_a_key_has_a_limit(keyed: Context) -> None:
    """As the IETF draft writes them."""
    api, headers = client(create_app(keyed)), bearer(keyed, rate_limit=3)

    answers = [api.get("/api/quota", headers=headers) for _ in range(2)]

    assert ['"minute";q=3;w=60'] * 2 == [a.headers["RateLimit-Policy"] for a in answers]
    first, second = (answer.headers["RateLimit"] for answer in answers)
    assert '"minute";r=2;t=20' == first
    # What was taken is given back meanwhile, in real time.
    assert second in {f'"minute";r=1;t={seconds}' for seconds in range(21, 41)}


@pytest.mark.parametrize("redis", ["there", "away"])
def test_request_is_refused_when_a_key_asks_too_often(make_ctx: MakeContext, redis: str) -> None:
    """Retry-After tells when one more may come; other keys are not concerned."""
    ctx = make_ctx(auth="keys", **({"redis_url": NOWHERE} if redis == "away" else {}))
    api, headers = client(create_app(ctx)), bearer(ctx, rate_limit=2)

    statuses = [api.get("/api/quota", headers=headers).status_code for _ in range(2)]
    refused = api.get("/api/quota", headers=headers)
    other = api.get("/api/quota", headers=bearer(ctx, rate_limit=2))

    assert [200, 200, 200] == [*statuses, other.status_code]
    assert 429 == refused.status_code
    assert "rate_limited" == refused.get_json()["code"]
    assert refused.headers["RateLimit"].startswith('"minute";r=0;t=')
    assert 0 < int(refused.headers["Retry-After"]) <= 30
    assert "x-should-retry" not in refused.headers


def test_default_holds_for_keys_without_a_limit_of_their_own(make_ctx: MakeContext) -> None:
    """RATE_LIMIT_RPM; a key's own limit goes before it, in both directions."""
    ctx = make_ctx(auth="keys", rate_limit_rpm=5)
    api = client(create_app(ctx))

    plain = api.get("/api/quota", headers=bearer(ctx))
    own = api.get("/api/quota", headers=bearer(ctx, rate_limit=9))

    assert ['"minute";q=5;w=60', '"minute";q=9;w=60'] == [
        answer.headers["RateLimit-Policy"] for answer in (plain, own)
    ]


def test_processes_share_the_count_when_redis_is_there(make_ctx: MakeContext) -> None:
    """A key does not get more where there are more servers."""
    one, other = (make_ctx(auth="keys", rate_limit_rpm=2) for _ in range(2))
    headers = bearer(one)
    here, there = client(create_app(one)), client(create_app(other))

    statuses = [api.get("/api/quota", headers=headers).status_code for api in (here, there, here)]

    assert [200, 200, 429] == statuses


def test_health_is_not_counted(make_ctx: MakeContext) -> None:
    """Load balancers ask often."""
    api = client(create_app(make_ctx(auth="keys", rate_limit_rpm=1)))

    assert [200] * 3 == [api.get("/healthz").status_code for _ in range(3)]


def test_scope_that_is_lacking_is_named(keyed: Context) -> None:
    """A read-only key looks and does not spend."""
    api, headers = client(create_app(keyed)), bearer(keyed, scopes=["read"])

    looked = api.get("/api/videos", headers=headers)
    asked = api.post("/api/videos", json={"prompt": "a kite"}, headers=headers)

    assert (200, 403) == (looked.status_code, asked.status_code)
    assert ("scope_missing", "This key lacks the scope write.") == (
        asked.get_json()["code"],
        asked.get_json()["detail"],
    )


def test_admin_is_a_user_when_the_key_lacks_the_scope(keyed: Context) -> None:
    """Neither the admin's routes nor other people's things."""
    headers = bearer(keyed, "root", role="admin", scopes=["read", "write"])
    api = client(create_app(keyed))
    made = api.post("/api/videos", json={"prompt": "a kite"}, headers=bearer(keyed)).get_json()

    assert 403 == api.get("/api/admin/keys", headers=headers).status_code
    assert 403 == api.get("/api/stats?scope=all", headers=headers).status_code
    assert 404 == api.get(f"/api/videos/{made['id']}", headers=headers).status_code


def test_key_is_made_with_scopes_and_a_limit_over_http(api: ApiClient, ctx: Context) -> None:
    """And shown with them; without, with all that its role may."""
    admin = {"X-User-Id": "admin"}
    body = {"user_id": "ann", "scopes": ["read"], "rate_limit": 30}

    made = api.post("/api/admin/keys", json=body, headers=admin).get_json()
    plain = api.post("/api/admin/keys", json={"user_id": "ann"}, headers=admin).get_json()
    refused = api.post(
        "/api/admin/keys", json={"user_id": "ann", "scopes": ["admin"]}, headers=admin
    )

    assert (["read"], 30) == (made["scopes"], made["rate_limit"])
    assert (["read", "write"], None) == (plain["scopes"], plain["rate_limit"])
    assert 400 == refused.status_code
    assert "scopes" == refused.get_json()["error"]["param"]
    caller = accounts.Authenticator(ctx).caller(made["secret"])
    assert Caller("ann", "user", made["id"], scopes=frozenset({"read"}), rate_limit=30) == caller


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": 1_000_001}, "rate_limit"),
    ],
)
def test_key_is_refused_when_its_limits_cannot_be(
    ctx: Context, options: dict[str, Any], param: str
) -> None:
    """The message names the field."""
    with pytest.raises(InvalidRequest) as caught:
        accounts.create_key(ctx, "ann", **options)

    assert param == caught.value.param
