"""What a create asks for in all its parts: whether anybody makes such videos, and at what price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from orchestrator.catalog import Catalog, Provider
from orchestrator.catalog.providers import check_prompt

DEFAULT_MODEL = "sora-2"
_KEPT = 1024
_ANY = "any"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked for in all its parts, and of whom.

    cost: the price to reserve (US dollars). A fallback may serve it in the end, and may cost more.
    candidates: the names of the providers between which it may move while it waits; None if it can
        only stay where it is.
    """

    provider: Provider
    model: str
    seconds: str
    size: str
    cost: Decimal
    candidates: Sequence[str] | None


def shape(
    catalog: Catalog,
    *,
    model: str | None,
    seconds: str | None,
    size: str | None,
    prompt: str,
    has_image: bool,
) -> Shape:
    """A create with the defaults of its model (for None), checked.

    Raises:
        InvalidRequest, Unsupported: it breaks a rule; the message names the field.
    """
    model = model or _default_model(catalog)
    profile = catalog.route(model).profile
    seconds = seconds or profile.seconds.default
    size = size or profile.sizes.default(model)
    check_prompt(prompt)
    return _shape(catalog, model, seconds, size, has_image)


@lru_cache(_KEPT)
def _shape(catalog: Catalog, model: str, seconds: str, size: str, has_image: bool) -> Shape:
    """Requests differ in their prompts, and seldom in anything else: to check and price each took a
    fifth of what a submission costs in Python.
    """
    provider = catalog.route(model)
    catalog.check(
        provider, model=model, seconds=seconds, size=size, prompt=_ANY, has_image=has_image
    )
    able = catalog.takers(model, seconds=seconds, size=size, prompt=_ANY, has_image=has_image)
    return Shape(
        provider,
        model,
        seconds,
        size,
        cost=max(catalog.price(each, model, size, seconds) for each in catalog.candidates(model)),
        candidates=tuple(each.name for each in able) if len(able) > 1 else None,
    )


def _default_model(catalog: Catalog) -> str:
    return DEFAULT_MODEL if DEFAULT_MODEL in catalog.models else next(iter(catalog.models))
