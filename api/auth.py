"""Who asks, and whether the route is open to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hmac import compare_digest
from typing import cast
from urllib.parse import urlsplit

from flask import Flask, current_app, g, request

from api import cookies, rates
from api.contract import Access, Contract, of
from api.current import request_id
from orchestrator.accounts import Authenticator, check_user_id
from orchestrator.context import Context
from orchestrator.errors import Forbidden, InvalidRequest, Unauthenticated
from orchestrator.records import Caller
from orchestrator.settings import is_loopback

USER_HEADER = "X-User-Id"
DEFAULT_USER = "test_user"
ADMIN_USER = "admin"
ANONYMOUS_USER = "anonymous"
COLLECTOR = "metrics"
EXTENSION = "doorkeeper"


def install(app: Flask, ctx: Context, *, monotonic: Callable[[], float]) -> None:
    """Guard every route of this application by its contract. By the clock `monotonic` (seconds)
    keys are remembered.
    """
    app.extensions[EXTENSION] = doorkeeper = Doorkeeper(
        ctx, Authenticator(ctx, monotonic=monotonic)
    )
    app.before_request(doorkeeper.admit)


def doorkeeper_of(app: Flask) -> Doorkeeper:
    """Who guards this application."""
    return cast("Doorkeeper", app.extensions[EXTENSION])


class Doorkeeper:
    """Finds the caller of a request as the settings want it."""

    def __init__(self, ctx: Context, authenticator: Authenticator):
        self._ctx = ctx
        self._authenticator = authenticator
        self._keyless = ctx.settings.auth == "off"
        self._anonymous = ctx.settings.anonymous
        self._metrics_token = ctx.settings.metrics_token

    def admit(self) -> None:
        """Let the request through, with `g.caller` set, or raise.

        Raises:
            Unauthenticated: a key is needed, or the one that was given does not count.
            Forbidden: the caller is known and may not do this.
            RateLimited: the caller asks too often.
        """
        if self._keyless:
            refuse_strangers()
        if request.endpoint is None or request.method == "OPTIONS":
            return
        contract = of(current_app.view_functions.get(request.endpoint))
        if contract is not None and contract.access == Access.PUBLIC:
            return
        found = self._machine(contract) or (_named() if self._keyless else self._keyed())
        g.caller = caller = replace(found, request_id=request_id())
        if contract is None or (contract.access == Access.ADMIN and not caller.admin):
            raise Forbidden("Only an admin may do this.")
        rates.count(self._ctx, caller)
        scope = contract.scope(request.method)
        if not caller.has(scope):
            raise Forbidden(f"This key lacks the scope {scope}.", code="scope_missing")

    def known(self, authorization: str, scope: str) -> Caller | None:
        """Who asks with this header, if that can be told at once and the caller may do what needs
        this scope, as often as it likes. None: `admit` has to look closer.
        """
        scheme, _, token = authorization.partition(" ")
        if self._keyless or scheme != "Bearer":
            return None
        caller = self._authenticator.known(token)
        if caller is None or not caller.has(scope) or rates.limited(self._ctx, caller):
            return None
        return caller

    def _machine(self, contract: Contract | None) -> Caller | None:
        """Who only collects numbers: with a token that opens nothing else, or from this machine
        where that is enough for everything.
        """
        if contract is None or not contract.machine:
            return None
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        token = self._metrics_token
        known = token is not None and compare_digest(given.encode(), token.encode())
        return Caller(COLLECTOR, "admin") if known or self._keyless else None

    def _keyed(self) -> Caller:
        authorization = request.headers.get("Authorization")
        if authorization is None:
            if cookies.COOKIE in request.cookies:
                return self._authenticator.caller_of(cookies.key_id(self._ctx.settings))
            if self._anonymous:
                return Caller(ANONYMOUS_USER)
            raise Unauthenticated
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated
        return self._authenticator.caller(token.strip())


def refuse_strangers() -> None:
    """With AUTH=off whoever reaches us is trusted, so nobody from elsewhere may reach us.

    Not over the network, and not through the browser of somebody who sits here: a page from
    elsewhere names its own origin, and one that has pointed its own host name at us names that.

    Raises:
        Forbidden: the request comes from elsewhere.
    """
    host = request.headers.get("Host", "")
    if not is_loopback(request.remote_addr or "") or not is_loopback(_name_of(host)):
        raise Forbidden("AUTH=off serves this machine only, as localhost.", code="not_local")
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"{request.scheme}://{host}":
        raise Forbidden("AUTH=off serves its own pages only.", code="not_local")


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _named() -> Caller:
    given = request.headers.get(USER_HEADER)
    if given is None:
        return Caller(DEFAULT_USER)
    try:
        user_id = check_user_id(given.encode("latin-1").decode())
    except (UnicodeError, InvalidRequest):
        raise InvalidRequest(
            f"{USER_HEADER} must be 1 to 255 printable characters.", param=USER_HEADER
        ) from None
    return Caller(user_id, "admin" if user_id == ADMIN_USER else "user")
