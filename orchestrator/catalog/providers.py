"""What is configured: providers, their addresses and keys, and who serves which model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from orchestrator.catalog.profile import Prices, Profile
from orchestrator.errors import InvalidRequest, Unsupported
from orchestrator.lifecycle import Kind

MAX_PROMPT = 32_000
_CENTICENT = Decimal("0.0001")
# JSON can spell both; neither PostgreSQL nor UTF-8 can keep them.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Provider:
    """One installation of a server: where it is, how we are known there, what it costs. Timeouts in
    seconds.

    account: whose videos these are at that address. A rotated key keeps it, another address does
        not.
    models: our name of a model -> the name that this provider knows it by, where they differ.
    max_in_flight, rpm: None = no cap.
    """

    name: str
    profile: Profile
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    account: str = ""
    max_in_flight: int | None = None
    rpm: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    prices: Prices = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    connect_timeout: float = 5.0
    create_timeout: float = 120.0
    read_timeout: float = 30.0

    def upstream_model(self, model: str) -> str:
        """The name to send for our model."""
        return self.models.get(model, model)

    def rate(self, model: str, size: str | None) -> Decimal:
        """US dollars a second. What nobody priced (a model on our own machines) costs nothing."""
        for prices in (self.prices, self.profile.prices):
            for key in ((model, size), (model, None)):
                if key in prices:
                    return prices[key]
        return Decimal(0)


@dataclass(frozen=True, slots=True)
class Model:
    """A model by our name: the provider that serves it, then its fallbacks in order."""

    name: str
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that can be asked for, and of whom."""

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]

    def __hash__(self) -> int:
        """Of the names: mappings have no hash, and equal catalogs have equal names."""
        return hash((frozenset(self.providers), frozenset(self.models)))

    def route(self, model: str) -> Provider:
        """The provider that serves this model first.

        Raises:
            InvalidRequest: nobody serves it (`param` model, `code` unknown_model).
        """
        return self.candidates(model)[0]

    def candidates(self, model: str) -> tuple[Provider, ...]:
        """The providers of this model, in the order in which they are tried.

        Raises:
            InvalidRequest: as for `route`.
        """
        if model not in self.models:
            raise InvalidRequest(
                f"model must be one of {', '.join(self.models)}.",
                param="model",
                code="unknown_model",
            )
        return tuple([self.providers[name] for name in self.models[model].providers])

    def offers(self, kind: str) -> bool:
        """Whether any provider makes videos of this kind."""
        return any(_does(provider.profile, kind) for provider in self.providers.values())

    def provider(self, name: str, account: str) -> Provider | None:
        """The provider where a video lies; None if that account is configured no longer."""
        found = self.providers.get(name)
        return found if found is not None and found.account == account else None

    def price(self, provider: Provider, model: str, size: str | None, seconds: str) -> Decimal:
        """US dollars for one video, to 4 places. `seconds` is a number as text."""
        return (provider.rate(model, size) * Decimal(seconds)).quantize(_CENTICENT)

    def check(
        self,
        provider: Provider,
        *,
        model: str,
        seconds: str,
        size: str,
        prompt: str,
        has_image: bool = False,
        kind: str = Kind.CREATE,
    ) -> None:
        """Whether this provider would take the request, as far as can be told from here. The
        `seconds` of an extension are those that it adds.

        Raises:
            InvalidRequest: a value breaks a rule; `param` names the field, the message what is
                allowed.
            Unsupported: this provider cannot do such a thing at all.
        """
        profile = provider.profile
        if not _does(profile, kind):
            raise Unsupported(f"The provider of {model} offers no {kind} of a video.")
        check_prompt(prompt)
        # What builds on another video takes these from it, whatever is routed or allowed by now.
        if kind == Kind.CREATE:
            self._check_shape(provider, model, seconds, size)
        if kind == Kind.EXTENSION:
            _check_seconds(profile, seconds)
        if has_image and not profile.input_reference:
            raise Unsupported(
                f"The provider of {model} takes no reference image.", param="input_reference"
            )

    def takers(
        self, model: str, *, seconds: str, size: str, prompt: str, has_image: bool
    ) -> tuple[Provider, ...]:
        """The providers of this model that would take such a create, in their order.

        Raises:
            InvalidRequest: as for `route`.
        """
        return tuple(
            provider
            for provider in self.candidates(model)
            if self._takes(
                provider, model=model, seconds=seconds, size=size, prompt=prompt, image=has_image
            )
        )

    def _takes(
        self, provider: Provider, *, model: str, seconds: str, size: str, prompt: str, image: bool
    ) -> bool:
        try:
            self.check(
                provider, model=model, seconds=seconds, size=size, prompt=prompt, has_image=image
            )
        except (InvalidRequest, Unsupported):
            return False
        return True

    def _check_shape(self, provider: Provider, model: str, seconds: str, size: str) -> None:
        if provider not in self.candidates(model):
            raise InvalidRequest(
                f"model {model} is not served by provider {provider.name}.", param="model"
            )
        rules = provider.profile
        _check_seconds(rules, seconds)
        if not rules.sizes.permits(size, model):
            raise InvalidRequest(f"size must be {rules.sizes.describe(model)}.", param="size")

    def describe(self, model: str) -> dict[str, Any]:
        """What `GET /api/models` says about a model: limits, prices in dollars a second, abilities.

        Raises:
            InvalidRequest: as for `route`.
        """
        provider = self.route(model)
        profile = provider.profile
        seconds, sizes = profile.seconds, profile.sizes
        return {
            "id": model,
            "provider": provider.name,
            "profile": profile.name,
            "seconds": (
                {"allowed": list(seconds.allowed)}
                if seconds.allowed
                else {"minimum": seconds.low, "maximum": seconds.high}
            ),
            "default_seconds": seconds.default,
            "sizes": (
                {"allowed": list(sizes.sizes(model))}
                if sizes.sizes(model)
                else {"minimum": sizes.low, "maximum": sizes.high, "multiple_of": 2}
            ),
            "default_size": sizes.default(model),
            "price_per_second": float(provider.rate(model, None)),
            "price_per_second_by_size": {
                size: float(provider.rate(model, size)) for size in _priced_sizes(provider, model)
            },
            "remix": _does(profile, Kind.REMIX),
            "edit": _does(profile, Kind.EDIT),
            "extension": _does(profile, Kind.EXTENSION),
            "input_reference": profile.input_reference,
            "quality": profile.quality,
        }


def account_of(profile: Profile, base_url: str) -> str:
    """A name for "us at that address" that survives a rotated key, and a sandbox on a new port."""
    if profile.name == "sandbox":
        return "sandbox"
    return sha256(base_url.rstrip("/").encode()).hexdigest()[:12]


def _check_seconds(profile: Profile, seconds: str) -> None:
    if not profile.seconds.permits(seconds):
        raise InvalidRequest(f"seconds must be {profile.seconds}.", param="seconds")


def check_prompt(prompt: str) -> None:
    """Whether this can be a prompt, for whatever provider. Raises InvalidRequest if not."""
    if not prompt.strip() or len(prompt) > MAX_PROMPT:
        raise InvalidRequest(f"prompt must have 1 to {MAX_PROMPT} characters.", param="prompt")
    if _UNSTORABLE.search(prompt):
        raise InvalidRequest(
            "prompt must not contain NUL or unpaired surrogate characters.", param="prompt"
        )


def _does(profile: Profile, kind: str) -> bool:
    return {
        Kind.CREATE: True,
        Kind.REMIX: profile.remix != "none",
        Kind.EDIT: profile.edits,
        Kind.EXTENSION: profile.extensions,
    }[Kind(kind)]


def _priced_sizes(provider: Provider, model: str) -> list[str]:
    priced = {*provider.profile.prices, *provider.prices}
    return sorted(size for name, size in priced if name == model and size is not None)
