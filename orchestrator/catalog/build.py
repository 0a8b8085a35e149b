"""The catalog of one provider, from plain values; and the rules that every provider must keep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from orchestrator.catalog.presets import PROFILES
from orchestrator.catalog.profile import Profile
from orchestrator.catalog.providers import Catalog, Model, Provider, account_of
from orchestrator.errors import ConfigurationError

OPENAI_URL = "https://api.openai.com/v1"
DEFAULT_MODELS = ("sora-2", "sora-2-pro")

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_MODEL_NAME = re.compile(r"[!-~]{1,128}\Z")
_HEADER_TEXT = re.compile(r"[!-~]([ -~]*[!-~])?\Z")
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,128}\Z")


def single_provider_catalog(
    base_url: str | None = None,
    api_key: str | None = None,
    profile: str | None = None,
    models: Sequence[str] = (),
    max_in_flight: int | None = None,
    rpm: int | None = None,
    webhook_secret: str | None = None,
) -> Catalog:
    """One provider, named "default", that serves every model.

    base_url: None is OpenAI's own. profile: None is guessed from well-known host names, else
        `openai`.
    models: none is sora-2 and sora-2-pro. max_in_flight: None is the profile's cap.

    Raises:
        ConfigurationError: a value cannot be; the message names its variable in the environment.
    """
    chosen = profile_named(profile or _guess(base_url), "PROVIDER_PROFILE")
    if base_url is None and chosen.name != "openai":
        raise ConfigurationError(
            f"OPENAI_BASE_URL is needed with PROVIDER_PROFILE={chosen.name}.",
            param="OPENAI_BASE_URL",
        )
    url = checked_url(base_url or OPENAI_URL, "OPENAI_BASE_URL")
    provider = Provider(
        name="default",
        profile=chosen,
        base_url=url,
        api_key=checked_key(api_key, "OPENAI_API_KEY"),
        account=account_of(chosen, url),
        max_in_flight=max_in_flight or chosen.max_in_flight,
        rpm=rpm,
        webhook_secret=webhook_secret,
    )
    names = [checked_model(name, "MODELS") for name in models or DEFAULT_MODELS]
    return Catalog(
        providers={provider.name: provider},
        models={name: Model(name, (provider.name,)) for name in names},
    )


def profile_named(name: str, where: str) -> Profile:
    """The preset of that name; `where` says in the error what the operator must change."""
    if name not in PROFILES:
        raise ConfigurationError(
            f"{where}={name!r} is unknown: it takes one of {', '.join(PROFILES)}.", param=where
        )
    return PROFILES[name]


def checked_url(url: str, where: str) -> str:
    """The base URL without its last slash, if requests can be sent there."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{where}={url!r} is not a base URL such as https://host/v1.", param=where
        )
    if parts.username is not None or parts.password is not None:
        # Addresses are logged; keys must not be.
        raise ConfigurationError(f"{where} must not carry a user or a password.", param=where)
    return url.rstrip("/")


def checked_key(key: str | None, where: str) -> str | None:
    """The key, if a header can carry it; nothing for servers that ask for none."""
    if not key:
        return None
    if not _HEADER_TEXT.match(key):
        raise ConfigurationError(f"{where} has characters that no key has.", param=where)
    return key


def checked_headers(headers: Mapping[str, str], where: str) -> Mapping[str, str]:
    """The headers, if HTTP can carry them."""
    for name, value in headers.items():
        if not _HEADER_NAME.match(name) or not _HEADER_TEXT.match(value):
            raise ConfigurationError(f"{where}: {name!r} is not a usable header.", param=where)
    return headers


def checked_name(name: str, where: str) -> str:
    """A provider's name: it is in addresses of webhooks and in the database."""
    if not _NAME.match(name):
        raise ConfigurationError(
            f"{where}: {name!r} cannot name a provider; use a-z, 0-9, - and _, at most 63.",
            param=where,
        )
    return name


def checked_model(name: str, where: str) -> str:
    """A model's name: visible ASCII without spaces."""
    if not _MODEL_NAME.match(name):
        raise ConfigurationError(f"{where}: {name!r} cannot name a model.", param=where)
    return name


def _guess(base_url: str | None) -> str:
    """Only exact, well-known hosts: a wrong guess would believe in abilities that are not there."""
    try:
        host = (urlsplit(base_url).hostname or "") if base_url else ""
    except ValueError:
        host = ""
    return "azure" if host.endswith(".openai.azure.com") else "openai"
