"""Refusals of the sandbox: raised anywhere, worded for the wire by `replies.error`."""

from __future__ import annotations

from collections.abc import Mapping


class RefusedError(Exception):
    """A request that is answered with an HTTP error; `headers` go with the answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status, self.message = status, message
        self.type, self.param, self.code = type, param, code
        self.headers = headers or {}


def invalid(param: str, message: str, code: str = "invalid_value") -> RefusedError:
    """A field that breaks a rule."""
    return RefusedError(400, message, param=param, code=code)
