"""Creates in all their parts: checked and priced once for each kind of request."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from orchestrator.catalog import PROFILES, Catalog, Model, Provider
from orchestrator.errors import InvalidRequest, Unsupported
from orchestrator.shapes import Shape, shape


def catalog(price: str = "0.10", **changes: object) -> Catalog:
    """Two providers of one model; the second one is dearer, and differs in `changes`."""
    prices = {"one": Decimal(price), "two": Decimal(price) * 2}
    openai = PROFILES["openai"]
    profiles = {"one": openai, "two": replace(openai, **changes)}  # type: ignore[arg-type]
    return Catalog(
        {
            name: Provider(name, profiles[name], f"http://{name}/v1", prices={("wan", None): each})
            for name, each in prices.items()
        },
        {"wan": Model("wan", ("one", "two"))},
    )


def shaped(of: Catalog, **changes: object) -> Shape:
    """What becomes of a plain request."""
    asked = {"model": None, "seconds": None, "size": None, "prompt": "a kite", "has_image": False}
    return shape(of, **{**asked, **changes})  # type: ignore[arg-type]


def test_defaults_are_those_of_the_model_when_nothing_is_said() -> None:
    """And the price is that of the dearest provider, since it may end there."""
    made = shaped(catalog())

    assert ("wan", "4", "720x1280") == (made.model, made.seconds, made.size)
    assert ("one", Decimal("0.8000")) == (made.provider.name, made.cost)
    assert ("one", "two") == made.candidates


def test_price_is_that_of_the_catalog_when_two_are_alike() -> None:
    """What is kept of one is not told of another."""
    first = catalog("0.10")

    costs = [shaped(of).cost for of in (first, catalog("0.20"), first)]

    assert [Decimal("0.8000"), Decimal("1.6000"), Decimal("0.8000")] == costs


def test_every_prompt_is_looked_at_when_the_rest_is_known() -> None:
    """A good one before it says nothing about the next one."""
    of = catalog()
    shaped(of)

    with pytest.raises(InvalidRequest) as refused:
        shaped(of, prompt=" ")

    assert "prompt" == refused.value.param


@pytest.mark.parametrize(
    ("changes", "param"),
    [({"model": "other"}, "model"), ({"seconds": "5"}, "seconds"), ({"size": "1x1"}, "size")],
)
def test_refusal_names_the_field_each_time(changes: dict[str, object], param: str) -> None:
    """The second time like the first."""
    of = catalog()

    for _ in range(2):
        with pytest.raises(InvalidRequest) as refused:
            shaped(of, **changes)
        assert param == refused.value.param


def test_only_those_take_an_image_who_can() -> None:
    """The same request without one may go to both."""
    of = catalog(input_reference=False)

    assert [("one", "two"), None] == [shaped(of, has_image=n).candidates for n in (False, True)]

    mirrored = Catalog(of.providers, {"wan": Model("wan", ("two", "one"))})
    with pytest.raises(Unsupported):
        shaped(mirrored, has_image=True)
