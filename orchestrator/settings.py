"""The only reader of the environment. Everything is checked once, at start, with a message that
names the variable.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

from orchestrator.catalog import Catalog, parse_providers_file, single_provider_catalog
from orchestrator.errors import ConfigurationError

T = TypeVar("T")
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_DATABASE_URL = "postgresql://postgres@127.0.0.1:5432/orchestrator"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
QUIET_DAYS = 7.0
"""A video is pruned when nothing has happened to it for so long: who was away for less has heard of
its end."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided. Seconds are floats; secrets do not show in the repr."""

    database_url: str = field(default=DEFAULT_DATABASE_URL, repr=False)
    db_pool_size: int = 10
    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    broker_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    catalog: Catalog = field(default_factory=lambda: single_provider_catalog())
    storage_url: str = "file:///var/lib/orchestrator/videos"
    storage_env: Mapping[str, str] = field(default_factory=dict, repr=False)
    host: str = "127.0.0.1"
    port: int = 8000
    flower_port: int = 5555
    flower_url_prefix: str = ""
    auth: str = "keys"
    anonymous: bool = False
    webhook_allow_local: bool = False
    secret_key: str | None = field(default=None, repr=False)
    cookie_secure: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    log_format: str = "pretty"
    log_level: str = "INFO"
    lease_seconds: float = 30
    retry_base_seconds: float = 2
    poll_min_seconds: float | None = None
    reconcile_grace_seconds: float = 30
    missing_grace_seconds: float | None = None
    video_deadline_seconds: float = 3600
    start_timeout_seconds: float = 86_400
    max_attempts: int = 5
    deleted_retention_days: float = 7
    content_retention_days: float | None = None
    event_retention_days: float | None = None
    video_retention_days: float | None = None
    audit_retention_days: float | None = None
    rate_limit_rpm: int | None = None
    web_threads: int = 32
    web_processes: int = 1
    request_timeout_seconds: float = 20
    streams_per_user: int = 100
    metrics_token: str | None = field(default=None, repr=False)
    traces_url: str | None = None
    traces_ratio: float = 1

    @property
    def local_webhooks(self) -> bool:
        """Whether webhooks may go to this machine: only where that gives nobody a way in."""
        return self.webhook_allow_local or self.auth == "off"

    @property
    def bytes_kept_days(self) -> float | None:
        """How long the bytes of a completed video stay; None: for ever."""
        return _least(self.content_retention_days, self.video_retention_days)

    @property
    def events_kept_days(self) -> float | None:
        """How far back nothing is missing among the events of a user; None: to the beginning."""
        goodbye = None if self.video_retention_days is None else QUIET_DAYS
        return _least(self.event_retention_days, goodbye)


def _least(*days: float | None) -> float | None:
    return min((d for d in days if d is not None), default=None)


def load(env: Mapping[str, str] | None = None) -> Settings:
    """The settings from the environment (or from `env`).

    Raises:
        ConfigurationError: a variable has a value that it cannot have; the message names it and
        says what it may be.
    """
    read = _Reader(os.environ if env is None else env)
    redis_url = _redis_url(read, "REDIS_URL", DEFAULT_REDIS_URL)
    settings = Settings(
        database_url=_database_url(read.text("DATABASE_URL", DEFAULT_DATABASE_URL)),
        db_pool_size=read.number("DB_POOL_SIZE", 10, int, 1, 20),
        redis_url=redis_url,
        broker_url=_redis_url(read, "BROKER_URL", redis_url),
        catalog=_catalog(read),
        storage_url=read.text("STORAGE_URL", (Path.cwd() / ".orchestrator" / "videos").as_uri()),
        storage_env={k: v for k, v in read.env.items() if k.startswith("AWS_")},
        host=read.text("HOST", "127.0.0.1"),
        port=read.number("PORT", 8000, int, 0, 65_535),
        flower_port=read.number("FLOWER_PORT", 5555, int, 0, 65_535),
        flower_url_prefix=read.text("FLOWER_URL_PREFIX", "").strip("/"),
        auth=read.choice("AUTH", "keys", ("keys", "off")),
        anonymous=read.flag("ANONYMOUS"),
        webhook_allow_local=read.flag("WEBHOOK_ALLOW_LOCAL"),
        secret_key=read.text("SECRET_KEY", "") or None,
        cookie_secure=read.flag("COOKIE_SECURE"),
        trusted_proxies=_networks(read, "TRUSTED_PROXIES"),
        log_format=read.choice("LOG_FORMAT", "pretty", ("pretty", "json")),
        log_level=read.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
        lease_seconds=read.number("LEASE_SECONDS", 30.0, float, 0.5, 3600),
        retry_base_seconds=read.number("RETRY_BASE_SECONDS", 2.0, float, 0.01, 3600),
        poll_min_seconds=read.optional("POLL_MIN_SECONDS", 0.05, 3600),
        reconcile_grace_seconds=read.number("RECONCILE_GRACE_SECONDS", 30.0, float, 0.1, 3600),
        missing_grace_seconds=read.optional("MISSING_GRACE_SECONDS", 0.1, 86_400),
        video_deadline_seconds=read.number("VIDEO_DEADLINE_SECONDS", 3600.0, float, 1, 604_800),
        start_timeout_seconds=read.number("START_TIMEOUT_SECONDS", 86_400.0, float, 1, 2_592_000),
        max_attempts=read.number("MAX_ATTEMPTS", 5, int, 1, 100),
        deleted_retention_days=read.number("DELETED_RETENTION_DAYS", 7.0, float, 0, 3650),
        content_retention_days=read.optional("CONTENT_RETENTION_DAYS", 0, 36_500),
        event_retention_days=read.optional("EVENT_RETENTION_DAYS", 0, 36_500),
        # Not less than a month, so that what is used of a quota can be counted again in the rows.
        video_retention_days=read.optional("VIDEO_RETENTION_DAYS", 31, 36_500),
        audit_retention_days=read.optional("AUDIT_RETENTION_DAYS", 1, 36_500),
        rate_limit_rpm=read.number("RATE_LIMIT_RPM", 0, int, 0, 1_000_000) or None,
        web_threads=read.number("WEB_THREADS", 32, int, 1, 512),
        web_processes=read.number("WEB_PROCESSES", 1, int, 1, 64),
        request_timeout_seconds=read.number("REQUEST_TIMEOUT_SECONDS", 20.0, float, 0.5, 3600),
        streams_per_user=read.number("STREAMS_PER_USER", 100, int, 1, 100_000),
        metrics_token=read.text("METRICS_TOKEN", "") or None,
        traces_url=read.text("OTEL_EXPORTER_OTLP_ENDPOINT", "") or None,
        traces_ratio=read.number("OTEL_TRACES_SAMPLER_ARG", 1.0, float, 0, 1),
    )
    if settings.auth == "off" and not is_loopback(settings.host):
        raise ConfigurationError(
            f"AUTH=off is only for this machine, and HOST={settings.host} is reachable from "
            f"others: "
            "set HOST=127.0.0.1, or AUTH=keys.",
            param="AUTH",
        )
    return settings


def is_loopback(host: str) -> bool:
    """Whether a server that listens there can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class _Reader:
    """Reads one variable at a time; an empty one counts as not set."""

    def __init__(self, env: Mapping[str, str]):
        self.env = env

    def text(self, name: str, default: str) -> str:
        return self.env.get(name, "").strip() or default

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default)
        for candidate in allowed:
            if value.lower() == candidate.lower():
                return candidate
        raise _refused(name, value, f"one of {', '.join(allowed)}")

    def flag(self, name: str) -> bool:
        value = self.text(name, "off").lower()
        if value not in {"on", "off", "1", "0", "true", "false", "yes", "no"}:
            raise _refused(name, value, "on or off")
        return value in {"on", "1", "true", "yes"}

    def number(self, name: str, default: T, kind: Callable[[str], T], low: float, high: float) -> T:
        text = self.text(name, "")
        if not text:
            return default
        expected = f"a number from {low:.12g} to {high:.12g}"
        try:
            value = kind(text)
        except ValueError:
            raise _refused(name, text, expected) from None
        if not low <= float(value) <= high:  # type: ignore[arg-type]
            raise _refused(name, text, expected)
        return value

    def optional(self, name: str, low: float, high: float) -> float | None:
        return self.number(name, None, float, low, high) if self.text(name, "") else None


def _refused(name: str, value: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name}={value!r} cannot be: it takes {expected}.", param=name)


def _database_url(url: str) -> str:
    """The URL as libpq writes it; `postgres://` is an older spelling of `postgresql://`."""
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    if not url.startswith("postgresql://"):
        raise ConfigurationError(
            "DATABASE_URL must start with postgresql:// (or postgres://).", param="DATABASE_URL"
        )
    return url


def _redis_url(read: _Reader, name: str, default: str) -> str:
    """The URL, if the library that will read it can: redis-py and Celery spell sockets
    differently.
    """
    url = read.text(name, default)
    socket = "redis+socket" if name == "BROKER_URL" else "unix"
    schemes = ("redis", "rediss", socket)
    if urlsplit(url).scheme not in schemes:
        allowed = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ConfigurationError(f"{name} must start with {allowed}.", param=name)
    return url


def _networks(read: _Reader, name: str) -> tuple[Network, ...]:
    texts = [text.strip() for text in read.text(name, "").split(",") if text.strip()]
    try:
        return tuple([ipaddress.ip_network(text) for text in texts])
    except ValueError:
        expected = "addresses or networks such as 10.0.0.0/8, joined by commas"
        raise _refused(name, ",".join(texts), expected) from None


def _catalog(read: _Reader) -> Catalog:
    path = read.text("PROVIDERS_FILE", "")
    if path:
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"PROVIDERS_FILE={path} cannot be read: {error.strerror}.", param="PROVIDERS_FILE"
            ) from None
        return parse_providers_file(text, read.env)
    models = tuple(name.strip() for name in read.text("MODELS", "").split(",") if name.strip())
    return single_provider_catalog(
        base_url=read.text("OPENAI_BASE_URL", "") or None,
        api_key=read.text("OPENAI_API_KEY", "") or None,
        profile=read.text("PROVIDER_PROFILE", "") or None,
        models=models,
        max_in_flight=read.number("PROVIDER_MAX_IN_FLIGHT", 0, int, 0, 1_000_000) or None,
        rpm=read.number("PROVIDER_RPM", 0, int, 0, 1_000_000) or None,
        webhook_secret=read.text("OPENAI_WEBHOOK_SECRET", "") or None,
    )
