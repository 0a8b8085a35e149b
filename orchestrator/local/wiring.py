"""What a machine lacks, and the environment that ties the started processes together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import ConfigurationError
from orchestrator.local.secret import kept_secret
from orchestrator.settings import is_loopback

DEFAULT_PORT = 8000
DEFAULT_FLOWER_PORT = 5555
DEFAULT_SANDBOX_PORT = 8100


@dataclass(frozen=True, slots=True)
class Lacks:
    """Which services the environment does not name, so that we have to start our own."""

    postgres: bool
    valkey: bool
    provider: bool

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Lacks:
        """As in `settings`, an empty variable counts as not set."""
        return cls(
            postgres=not named(env, "DATABASE_URL"),
            valkey=not named(env, "REDIS_URL"),
            provider=not (named(env, "OPENAI_BASE_URL") or named(env, "PROVIDERS_FILE")),
        )


def named(env: Mapping[str, str], name: str) -> str:
    """The variable's value, or an empty string."""
    return env.get(name, "").strip()


def port_of(env: Mapping[str, str], name: str, default: int) -> int:
    """The port in a variable. Raises ConfigurationError for what is no port."""
    text = named(env, name) or str(default)
    if not text.isdecimal() or int(text) > 65_535:
        raise ConfigurationError(
            f"{name}={text!r} cannot be: it takes a number from 0 to 65535.", param=name
        )
    return int(text)


def common_environment(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """`env`, completed for a stack on this machine whose data lie in `folder`.

    Without keys whoever can connect may spend money, so only a loopback address goes without.
    """
    host = named(env, "HOST") or "127.0.0.1"
    wired = dict(env) | {"HOST": host, "PYTHONUNBUFFERED": "1"}
    defaults = {
        "AUTH": "off" if is_loopback(host) else "keys",
        "STORAGE_URL": (folder / "videos").as_uri(),
    }
    wired |= {name: value for name, value in defaults.items() if not named(env, name)}
    if not named(env, "SECRET_KEY"):
        wired["SECRET_KEY"] = kept_secret(folder / "secret-key")
    return wired


def provider_environment(env: Mapping[str, str], port: int, folder: Path) -> dict[str, str]:
    """How to reach the sandbox on `port`, and the secret that signs its webhooks. A real key in
    the environment must not travel there.
    """
    return {
        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
        "OPENAI_API_KEY": "sandbox",
        "PROVIDER_PROFILE": "sandbox",
        "OPENAI_WEBHOOK_SECRET": named(env, "OPENAI_WEBHOOK_SECRET")
        or kept_secret(folder / "webhook-secret"),
    }


def wants_password(env: Mapping[str, str]) -> bool:
    """Whether Flower needs a password of ours: web wants keys, what Flower shows is for operators,
    and nobody has chosen how they come in.
    """
    chosen = any(named(env, name) for name in ("FLOWER_BASIC_AUTH", "FLOWER_AUTH_PROVIDER"))
    return named(env, "AUTH") != "off" and not chosen


def local_url(host: str, port: int) -> str:
    """Where a browser on this machine finds a server that listens on `host`."""
    name = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - only compared
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
