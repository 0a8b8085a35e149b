"""The HTTP client beneath the SDK: bounded replies, no leaked keys, the meaning of broken calls."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Callable, Iterator
from functools import cache
from time import monotonic

import httpx2

from orchestrator.catalog import Provider
from orchestrator.errors import (
    ProviderAmbiguous,
    ProviderError,
    ProviderMisconfigured,
    ProviderTransient,
    ProviderUnreachable,
)
from orchestrator.providers.reply import DETAIL_LENGTH

MAX_REPLY = 16 * 2**20
_MAX_ERROR_REPLY = 2**20

# Nothing reached the provider: there was no connection to send a request on.
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
# ... or no request that could be sent at all.
_NOT_SENDABLE = (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError)

# A connection that idles longer may be closed by the server just as we send on it, and a create
# that dies so has an unknown outcome. Servers close after 2 s (gunicorn) and more.
_IDLE_SECONDS = 1.0
_CONNECTIONS = 200
_CHUNK = 256 * 1024
_HARMLESS = frozenset({"host", "accept", "accept-encoding", "connection", "user-agent"})


def api_client(provider: Provider, tls: ssl.SSLContext) -> httpx2.Client:
    """For questions and orders: follows no redirect, reads at most `MAX_REPLY` bytes."""
    return _client(provider, tls, request_hooks=[_in_one], response_hooks=[_bound(MAX_REPLY)])


def file_client(provider: Provider, tls: ssl.SSLContext) -> httpx2.Client:
    """For bytes of any length: follows redirects, and takes no header of ours to another host."""

    def keep_secrets_home(request: httpx2.Request) -> None:
        if is_foreign(request.url, provider):
            for name in set(request.headers) - _HARMLESS:
                del request.headers[name]

    def bound_errors(response: httpx2.Response) -> None:
        if not response.is_success:
            _bound(_MAX_ERROR_REPLY)(response)

    return _client(provider, tls, request_hooks=[keep_secrets_home], response_hooks=[bound_errors])


def _in_one(request: httpx2.Request) -> None:
    """Put the body together, which is in memory anyway. A form comes in pieces, and each would be a
    packet of its own: 18 instead of 2 for the smallest create.
    """
    request.read()


def is_foreign(url: httpx2.URL, provider: Provider) -> bool:
    """Whether this is another server than the configured one."""
    return _server(url) != _home(provider.base_url)


@cache
def _home(base_url: str) -> tuple[str, str, int | None]:
    return _server(httpx2.URL(base_url))


def _server(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def timeout(provider: Provider, seconds: float) -> httpx2.Timeout:
    """Reading and writing may pause for `seconds`; connecting has its own limit."""
    connect = provider.connect_timeout
    return httpx2.Timeout(read=seconds, write=seconds, connect=connect, pool=connect)


def broken_create(error: Exception) -> ProviderError:
    """What an exception means that came instead of the answer to a create."""
    cause = root(error)
    if isinstance(cause, _NOT_SENT):
        return ProviderUnreachable(detail=_detail(cause))
    if isinstance(cause, _NOT_SENDABLE):
        return ProviderMisconfigured(
            "No request can be sent to the provider: its address or a header is unusable.",
            detail=_detail(cause),
        )
    return ProviderAmbiguous(
        "The connection to the provider broke before its answer.", detail=_detail(cause)
    )


def broken_read(error: Exception) -> ProviderTransient:
    """What an exception means that came instead of the answer to a question: nothing."""
    return ProviderTransient("The provider did not answer.", detail=_detail(root(error)))


def _timed_out(error: BaseException) -> bool:
    """Whether it took its full time to fail: asking again at once would only take it again."""
    cause = error.__cause__
    return isinstance(cause, Exception) and isinstance(root(cause), httpx2.TimeoutException)


def is_brief(error: BaseException) -> bool:
    """Whether a failed read may be over in a moment: worth a second try at once."""
    return (
        isinstance(error, ProviderTransient)
        and (error.http_status is None or error.http_status >= 500)
        and not _timed_out(error)
    )


def chunks(response: httpx2.Response) -> Iterator[bytes]:
    """The body, piece by piece; raises `ProviderTransient` where it breaks off."""
    try:
        yield from response.iter_bytes(_CHUNK)
    except httpx2.HTTPError as error:
        raise broken_read(error) from error


def content_length(response: httpx2.Response) -> int | None:
    """The announced number of bytes; None if there is none, or if it counts compressed ones."""
    length = response.headers.get("content-length", "")
    encoded = response.headers.get("content-encoding", "identity") != "identity"
    return int(length) if length.isdecimal() and not encoded else None


def root(error: Exception) -> BaseException:
    """The HTTP library's own exception, which the SDK may have wrapped."""
    while isinstance(error.__cause__, Exception) and not isinstance(error, httpx2.HTTPError):
        error = error.__cause__
    return error


def _client(
    provider: Provider,
    tls: ssl.SSLContext,
    *,
    request_hooks: list[Callable[[httpx2.Request], None]],
    response_hooks: list[Callable[[httpx2.Response], None]],
) -> httpx2.Client:
    return httpx2.Client(
        verify=tls,
        timeout=timeout(provider, provider.read_timeout),
        limits=httpx2.Limits(
            max_connections=_CONNECTIONS,
            max_keepalive_connections=_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
        ),
        max_redirects=5,
        # A proxy from the environment is for the way out, not for a server on this machine.
        trust_env=not _is_loopback(provider.base_url),
        event_hooks={"request": request_hooks, "response": response_hooks},
    )


def _is_loopback(url: str) -> bool:
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _detail(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\0", "")[:DETAIL_LENGTH]


def _bound(size: int) -> Callable[[httpx2.Response], None]:
    """A hook that ends replies which are longer, or take longer, than any real one."""

    def bind(response: httpx2.Response) -> None:
        stream = response.stream
        if isinstance(stream, httpx2.SyncByteStream):
            seconds = response.request.extensions.get("timeout", {}).get("read") or 0.0
            response.stream = _BoundedStream(stream, size, seconds, response.request)

    return bind


class _BoundedStream(httpx2.SyncByteStream):
    """A body that may have so many bytes and take so many seconds.

    The library's read timeout starts anew with each byte, so a server that drips would hold us.
    """

    def __init__(
        self, stream: httpx2.SyncByteStream, size: int, seconds: float, request: httpx2.Request
    ):
        self._stream = stream
        self._size = size
        self._seconds = seconds
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        deadline = monotonic() + self._seconds
        for chunk in self._stream:
            received += len(chunk)
            if received > self._size:
                raise httpx2.ReadError("The reply is too long.", request=self._request)
            if monotonic() > deadline:
                raise httpx2.ReadTimeout("The reply takes too long.", request=self._request)
            yield chunk

    def close(self) -> None:
        self._stream.close()
