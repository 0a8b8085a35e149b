"""How clients of Redis or Valkey are made. Nothing that we keep there is the truth, so nobody waits
for it for long, and what may have arrived is not sent again.
"""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def open_client(url: str, *, patience: float) -> redis.Redis:
    """A client that gives up after `patience` seconds; it connects with its first use.

    The library's own three tries with backoff would cost a request four seconds while Redis is
    away.
    """
    return redis.Redis.from_url(
        url,
        socket_timeout=patience,
        socket_connect_timeout=patience,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        socket_keepalive=True,
    )
