"""Whose address a request has when proxies have passed it on."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from flask import Flask, request

from api.peers import client_address

OURS = (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("::1/128"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", None, "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("::1", "2001:db8::7", "2001:db8::7"),
        ("127.0.0.1", "203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("127.0.0.1", "10.6.6.6, 203.0.113.7,10.1.2.3", "203.0.113.7"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "nonsense", "127.0.0.1"),
        ("127.0.0.1", "<script>, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_client_is_whom_the_outermost_of_our_proxies_has_seen(
    peer: str, forwarded: str | None, expected: str
) -> None:
    """A stranger may claim what it likes: only what our own proxies have added counts."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}

    with Flask("test").test_request_context(headers=headers, environ_base={"REMOTE_ADDR": peer}):
        found = client_address(request, OURS)

    assert expected == found


def test_nobody_is_believed_when_no_proxy_is_trusted() -> None:
    """So it is unless somebody has set it."""
    with Flask("test").test_request_context(
        headers={"X-Forwarded-For": "203.0.113.7"}, environ_base={"REMOTE_ADDR": "127.0.0.1"}
    ):
        found = client_address(request, ())

    assert "127.0.0.1" == found
