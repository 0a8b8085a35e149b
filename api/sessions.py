"""`/session`: a browser signs in with a pasted key, and out."""

from __future__ import annotations

from typing import Any, Literal

from flask import Blueprint, Response
from pydantic import Field

from api import cookies
from api.answers import Answer
from api.bodies import json_body
from api.contract import Access, contract
from api.current import caller, context
from api.replies import reply
from api.schemas import Body
from orchestrator.accounts import Authenticator
from orchestrator.records import Caller

blueprint = Blueprint("sessions", __name__, url_prefix="/session")


class OpenSession(Body):
    """What `POST /session` takes."""

    key: str = Field(description="An API key.", min_length=1, max_length=200)


class Session(Answer):
    """Who asks."""

    user_id: str
    role: Literal["user", "admin"]


class Ended(Answer):
    """The browser has no session any longer."""

    signed_out: Literal[True]


@blueprint.post("")
@contract(
    "Sign in with an API key",
    tag="sessions",
    access=Access.PUBLIC,
    body=OpenSession,
    answer=Session,
    errors=("unauthenticated", "sessions_off", "dependency_busy", "dependency_down"),
)
def create() -> Response:
    """The answer sets a cookie, for 12 hours or until the key is revoked. With it, requests that
    change something need the header `X-Requested-With`.
    """
    found = Authenticator(context()).caller(json_body(OpenSession).key)
    response = reply(_shown(found))
    cookies.put(response, context().settings, str(found.api_key_id))
    return response


@blueprint.get("")
@contract("Who you are", tag="sessions", answer=Session)
def show() -> Response:
    """By key or by session."""
    return reply(_shown(caller()))


@blueprint.delete("")
@contract("Sign out", tag="sessions", access=Access.PUBLIC, answer=Ended)
def delete() -> Response:
    """Removes the cookie; the key stays valid."""
    response = reply({"signed_out": True})
    cookies.remove(response)
    return response


def _shown(found: Caller) -> dict[str, Any]:
    return {"user_id": found.user_id, "role": found.role}
