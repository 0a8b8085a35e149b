"""Who may come in: keys, roles, anonymous users, and AUTH=off on this machine only."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from api import create_app
from api.contract import Access, of
from orchestrator import accounts
from orchestrator.context import Context
from tests.api_client import ApiClient, client

MakeContext = Callable[..., Context]


@pytest.fixture
def keyed(make_ctx: MakeContext) -> Context:
    """A context that wants API keys."""
    return make_ctx(auth="keys")


def bearer(ctx: Context, user_id: str, role: str = "user") -> dict[str, str]:
    """Headers with a fresh key of this user."""
    return {"Authorization": f"Bearer {accounts.create_key(ctx, user_id, role=role).secret}"}


def guarded(app: Flask, *wanted: Access) -> list[tuple[str, str]]:
    """Method and address of every route with one of these accesses."""
    found = []
    for rule in app.url_map.iter_rules():
        contract = of(app.view_functions[rule.endpoint])
        assert contract is not None, f"{rule.rule} has no contract"
        if contract.access in wanted:
            address = rule.rule
            for name in rule.arguments:
                address = address.replace(f"<path:{name}>", "x").replace(f"<{name}>", "x")
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found += [(method, address) for method in methods]
    return found


def test_routes_answer_401_when_no_key_comes(keyed: Context) -> None:
    """Every route but the public ones wants a key."""
    app = create_app(keyed)
    routes = guarded(app, Access.USER, Access.ADMIN)

    answers = {route: client(app).open(route[1], method=route[0]).status_code for route in routes}

    assert len(routes) > 20
    assert dict.fromkeys(routes, 401) == answers


def test_routes_answer_403_when_a_user_comes_to_an_admins(keyed: Context) -> None:
    """Every admin route wants an admin."""
    app = create_app(keyed)
    headers = bearer(keyed, "ann")
    routes = guarded(app, Access.ADMIN)

    answers = {
        route: client(app).open(route[1], method=route[0], headers=headers).status_code
        for route in routes
    }

    assert len(routes) > 8
    assert dict.fromkeys(routes, 403) == answers


def test_routes_are_closed_when_they_have_no_contract(keyed: Context) -> None:
    """Whoever forgets to say who may call a view has said: nobody."""
    app = create_app(keyed)
    app.add_url_rule("/forgotten", "forgotten", lambda: "secret")

    response = app.test_client().get("/forgotten", headers=bearer(keyed, "root", "admin"))

    assert 403 == response.status_code


@pytest.mark.parametrize(
    "address", ["/", "/admin", "/docs", "/openapi.json", "/healthz", "/readyz"]
)
def test_pages_open_when_no_key_comes(keyed: Context, address: str) -> None:
    """Health and documentation are for everybody."""
    response = client(create_app(keyed)).get(address)

    assert 200 == response.status_code


@pytest.mark.parametrize(
    ("prefix", "expected"), [("", ":6000/"), ("ops/flower", "/ops/flower/")], ids=["port", "prefix"]
)
def test_dashboard_knows_where_flower_is(make_ctx: MakeContext, prefix: str, expected: str) -> None:
    """At a port of its own, or below a path of the proxy that is in front of both."""
    api = client(create_app(make_ctx(flower_port=6000, flower_url_prefix=prefix)))

    page = api.get("/admin").get_data(as_text=True)

    assert f'data-flower="{expected}"' in page


def test_key_names_the_user_when_it_counts(keyed: Context) -> None:
    """The header X-User-Id means nothing then."""
    api = client(create_app(keyed))

    response = api.get("/api/quota", headers=bearer(keyed, "ann") | {"X-User-Id": "admin"})

    assert response.json is not None
    assert "ann" == response.json["user_id"]


@pytest.mark.parametrize(
    "authorization",
    ["Bearer wrong", "Bearer ", "Bearer", "Basic YTpi", "wrong", "Bearer é", "Bearer a b", ""],
)
def test_key_is_refused_when_it_is_none(keyed: Context, authorization: str) -> None:
    """401 says how to do better."""
    api = client(create_app(keyed))

    response = api.get("/api/quota", headers={"Authorization": authorization})

    assert 401 == response.status_code
    assert 'Bearer realm="orchestrator"' == response.headers["WWW-Authenticate"]
    assert response.json is not None
    assert ("unauthenticated", "authentication_error") == (
        response.json["code"],
        response.json["error"]["type"],
    )


def test_key_is_refused_when_it_was_revoked(keyed: Context) -> None:
    """A revoked key opens nothing."""
    made = accounts.create_key(keyed, "ann")
    accounts.revoke_key(keyed, made.key.id)

    response = client(create_app(keyed)).get(
        "/api/quota", headers={"Authorization": f"Bearer {made.secret}"}
    )

    assert 401 == response.status_code


def test_caller_is_anonymous_when_that_is_switched_on(make_ctx: MakeContext) -> None:
    """With a quota of ten."""
    api = client(create_app(make_ctx(auth="keys", anonymous=True)))

    response = api.get("/api/quota")
    wrong = api.get("/api/quota", headers={"Authorization": "Bearer wrong"})

    assert response.json is not None
    assert ("anonymous", 10) == (response.json["user_id"], response.json["limit"])
    assert 401 == wrong.status_code


@pytest.mark.parametrize(
    ("header", "user_id"), [(None, "test_user"), ("ann", "ann"), ("Zoë", "Zoë"), ("a/b", "a/b")]
)
def test_caller_is_who_the_header_says_when_auth_is_off(
    api: ApiClient, header: str | None, user_id: str
) -> None:
    """On a developer's machine a name is enough."""
    headers = {} if header is None else {"X-User-Id": header.encode().decode("latin-1")}

    response = api.get("/api/quota", headers=headers)

    assert response.json is not None
    assert user_id == response.json["user_id"]


@pytest.mark.parametrize("header", ["", " ", "a" * 256, "\x7f", "\xff"])
def test_caller_is_refused_when_the_header_cannot_be_a_name(api: ApiClient, header: str) -> None:
    """1 to 255 printable characters."""
    response = api.get("/api/quota", headers={"X-User-Id": header})

    assert 400 == response.status_code
    assert response.json is not None
    assert "X-User-Id" == response.json["error"]["param"]


@pytest.mark.parametrize("address", ["10.0.0.7", "::ffff:10.0.0.7", "fe80::1", ""])
def test_strangers_are_refused_when_auth_is_off(api: ApiClient, address: str) -> None:
    """Whatever HOST says, the request itself is looked at."""
    response = api.get("/api/quota", environ_overrides={"REMOTE_ADDR": address})

    assert 403 == response.status_code
    assert response.json is not None
    assert "not_local" == response.json["code"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.7", "[", ""])
def test_foreign_host_names_are_refused_when_auth_is_off(api: ApiClient, host: str) -> None:
    """A page that points its own name at this machine does not get through."""
    response = api.get("/api/quota", headers={"Host": host})

    assert 403 == response.status_code


@pytest.mark.parametrize("host", ["localhost", "localhost:3000", "127.0.0.1:8000", "[::1]:8000"])
def test_own_host_names_are_served_when_auth_is_off(api: ApiClient, host: str) -> None:
    """All names of this machine are the same."""
    response = api.get("/api/quota", headers={"Host": host, "Origin": f"http://{host}"})

    assert 200 == response.status_code


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9999"])
def test_foreign_pages_are_refused_when_auth_is_off(api: ApiClient, origin: str) -> None:
    """A page elsewhere cannot make the browser of somebody who sits here spend money."""
    response = api.post(
        "/api/videos",
        data={"prompt": "x"},
        content_type="multipart/form-data",
        headers={"Origin": origin},
    )

    assert 403 == response.status_code
