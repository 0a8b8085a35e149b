"""Browser sessions: a cookie that names a key, and no way for other sites to use it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from api.cookies import COOKIE
from orchestrator import accounts
from orchestrator.accounts import NewKey
from orchestrator.context import Context

MakeContext = Callable[..., Context]
OURS = {"Origin": "http://localhost", "X-Requested-With": "dashboard"}


@pytest.fixture
def ctx(make_ctx: MakeContext) -> Context:
    """A context that wants API keys and can sign."""
    return make_ctx(auth="keys", secret_key="s")


@pytest.fixture
def browser(ctx: Context) -> FlaskClient:
    """A client that keeps cookies."""
    return create_app(ctx).test_client()


@pytest.fixture
def key(ctx: Context) -> NewKey:
    """Ann's key."""
    return accounts.create_key(ctx, "ann")


def sign_in(browser: FlaskClient, key: NewKey) -> TestResponse:
    """Paste the key."""
    return browser.post("/session", json={"key": key.secret})


def ask(browser: FlaskClient, headers: dict[str, str]) -> int:
    """The status of a request that would spend money."""
    return browser.post("/api/videos", json={"prompt": "a kite"}, headers=headers).status_code


def test_session_opens_when_the_key_counts(browser: FlaskClient, key: NewKey) -> None:
    """The cookie is out of reach of scripts and other sites, and does not hold the key."""
    response = sign_in(browser, key)

    cookie = response.headers["Set-Cookie"]
    assert {"user_id": "ann", "role": "user"} == response.get_json()
    assert {"HttpOnly", "SameSite=Strict", "Max-Age=43200", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert key.secret not in cookie
    assert "ann" == browser.get("/session").get_json()["user_id"]
    assert 202 == ask(browser, OURS)


@pytest.mark.parametrize(
    ("settings", "address"),
    [({}, "https://localhost/session"), ({"cookie_secure": True}, "http://localhost/session")],
)
def test_cookie_keeps_to_https_when_there_is_some(
    make_ctx: MakeContext, settings: dict[str, bool], address: str
) -> None:
    """As the request shows, or as the operator says who has a proxy in front."""
    ctx = make_ctx(auth="keys", secret_key="s", **settings)
    key = accounts.create_key(ctx, "ann")

    response = create_app(ctx).test_client().post(address, json={"key": key.secret})

    assert "Secure" in response.headers["Set-Cookie"].split("; ")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"X-Requested-With": "x"},
        {"Origin": "http://evil.example", "X-Requested-With": "x"},
        {"Origin": "null", "X-Requested-With": "x"},
        {"Origin": "http://localhost.evil.example", "X-Requested-With": "x"},
        {"Sec-Fetch-Site": "cross-site", "X-Requested-With": "x"},
        {"Sec-Fetch-Site": "same-site", "X-Requested-With": "x"},
        {
            "Origin": "http://evil.example",
            "Sec-Fetch-Site": "same-origin",
            "X-Requested-With": "x",
        },
    ],
)
def test_foreign_page_is_refused_when_it_uses_the_cookie(
    browser: FlaskClient, key: NewKey, headers: dict[str, str]
) -> None:
    """Only our own pages may change something with it."""
    sign_in(browser, key)

    assert 403 == ask(browser, headers)
    assert 200 == browser.get("/api/quota", headers=headers).status_code


def test_own_page_is_served_when_the_browser_names_only_the_site(
    browser: FlaskClient, key: NewKey
) -> None:
    """Sec-Fetch-Site says enough."""
    sign_in(browser, key)

    assert 202 == ask(browser, {"Sec-Fetch-Site": "same-origin", "X-Requested-With": "x"})


def test_session_dies_when_its_key_is_revoked(ctx: Context, key: NewKey) -> None:
    """Nobody remembers a key for longer than a second; here nothing was asked before."""
    app = create_app(ctx)
    browser = app.test_client()
    sign_in(browser, key)

    accounts.revoke_key(ctx, key.key.id)

    assert 401 == browser.get("/api/quota").status_code


def test_session_is_over_after_twelve_hours(browser: FlaskClient, key: NewKey) -> None:
    """Whatever the browser thinks: the signature has a date."""
    sign_in(browser, key)
    cookie = browser.get_cookie(COOKIE)
    assert cookie is not None

    with time_machine.travel(timedelta(hours=12, minutes=1)):
        browser.set_cookie(COOKIE, cookie.value)
        response = browser.get("/api/quota")

    assert 401 == response.status_code


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "ImtleSI.aaaa.bbbb"])
def test_cookie_is_refused_when_it_is_not_ours(browser: FlaskClient, value: str) -> None:
    """A forged one is no session."""
    browser.set_cookie(COOKIE, value)

    assert 401 == browser.get("/api/quota").status_code


def test_cookie_is_refused_when_another_secret_signed_it(
    make_ctx: MakeContext, browser: FlaskClient, key: NewKey
) -> None:
    """Who knows ids of keys can sign nothing."""
    other = create_app(make_ctx(auth="keys", secret_key="other")).test_client()
    sign_in(other, key)
    cookie = other.get_cookie(COOKIE)
    assert cookie is not None

    browser.set_cookie(COOKIE, cookie.value)

    assert 401 == browser.get("/api/quota").status_code


def test_cookie_is_gone_when_one_signs_out(browser: FlaskClient, key: NewKey) -> None:
    """The key itself stays valid."""
    sign_in(browser, key)

    assert 200 == browser.delete("/session").status_code
    assert browser.get_cookie(COOKIE) is None
    assert 401 == browser.get("/api/quota").status_code
    headers = {"Authorization": f"Bearer {key.secret}"}
    assert 200 == browser.get("/api/quota", headers=headers).status_code


def test_key_in_the_header_goes_before_the_cookie(
    ctx: Context, browser: FlaskClient, key: NewKey
) -> None:
    """And needs no other header: no browser sends it by itself."""
    sign_in(browser, key)
    other = accounts.create_key(ctx, "bob")
    headers = {"Authorization": f"Bearer {other.secret}"}

    assert "bob" == browser.get("/session", headers=headers).get_json()["user_id"]
    assert 202 == ask(browser, headers)


def test_session_is_refused_when_the_key_does_not_count(browser: FlaskClient) -> None:
    """No cookie then."""
    response = browser.post("/session", json={"key": "vo_wrong"})

    assert 401 == response.status_code
    assert "Set-Cookie" not in response.headers


def test_session_is_refused_when_there_is_no_secret(make_ctx: MakeContext) -> None:
    """The message names the setting."""
    ctx = make_ctx(auth="keys")
    key = accounts.create_key(ctx, "ann")

    response = sign_in(create_app(ctx).test_client(), key)

    assert 403 == response.status_code
    assert "sessions_off" == response.get_json()["code"]
    assert "SECRET_KEY" in response.get_json()["detail"]
