"""Which addresses webhooks may go to."""

from ipaddress import ip_address

import pytest

from orchestrator.errors import InvalidRequest
from orchestrator.receivers import LONGEST_URL, check_url, is_permitted, is_public

INSIDE = (
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.8.9.10",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:10::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
)
OUTSIDE = ("1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1")


@pytest.mark.parametrize("address", INSIDE)
def test_address_is_not_public_when_only_some_can_reach_it(address: str) -> None:
    """Private, special, or another one in disguise."""
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_address_is_public_when_everybody_can_reach_it(address: str) -> None:
    """Those next to the special ones, too."""
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", INSIDE)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_address_inside_is_permitted_only_for_loopback(address: str, scheme: str) -> None:
    """And that only where it is allowed: a local network stays closed in any case."""
    parsed = ip_address(address)

    assert not is_permitted(parsed, scheme=scheme, allow_local=False)
    assert parsed.is_loopback == is_permitted(parsed, scheme=scheme, allow_local=True)


@pytest.mark.parametrize("allow_local", [False, True])
def test_address_outside_is_permitted_only_by_https(allow_local: bool) -> None:
    """In the clear a message could be read and changed on its way."""
    parsed = ip_address("8.8.8.8")

    assert is_permitted(parsed, scheme="https", allow_local=allow_local)
    assert not is_permitted(parsed, scheme="http", allow_local=allow_local)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hook?x=1&y=a%20b",
        "https://a_b.example.com:8443/",
        "https://8.8.8.8/hook",
        "https://[2606:4700::1111]:443/hook",
        "HTTPS://Example.COM/Hook",
    ],
)
def test_url_is_taken_when_it_is_public(url: str) -> None:
    """As it was given."""
    assert url == check_url(url, param="url", allow_local=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://example.com/",
        "https://",
        "https:///hook",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://exa mple.com/",
        "https://example.com/a\r\nX-Evil: 1",
        "https://example.com/\t",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#part",
        "https://ex\u00e4mple.com/",
        "https://%31%32%37.0.0.1/",
        "https://[fe80::1%25eth0]/",
        "https://[::1",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::ffff:127.0.0.1]/",
        "https://-example.com/",
        "https://" + "x" * LONGEST_URL,
    ],
)
def test_url_is_refused_when_it_can_lead_inside(url: str) -> None:
    """The field is named, and what it may be."""
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, param="webhook_url", allow_local=False)

    assert "webhook_url" == refused.value.param
    assert refused.value.message.startswith("webhook_url must ")


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("http://127.0.0.1:8000/hook", True),
        ("http://localhost:8000/hook", True),
        ("http://[::1]:8000/hook", True),
        ("https://127.0.0.1/hook", True),
        ("https://example.com/hook", True),
        ("http://example.com/hook", False),
        ("http://10.0.0.1/hook", False),
        ("https://10.0.0.1/hook", False),
    ],
)
def test_url_of_this_machine_is_taken_when_that_is_allowed(url: str, taken: bool) -> None:
    """Loopback only, and nothing else in the clear."""
    if taken:
        assert url == check_url(url, param="url", allow_local=True)
    else:
        with pytest.raises(InvalidRequest):
            check_url(url, param="url", allow_local=True)
