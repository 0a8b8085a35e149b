"""Models, providers, prices and what may be asked of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from orchestrator.catalog import (
    PROFILES,
    Catalog,
    Model,
    Provider,
    SecondsRule,
    SizeRule,
    single_provider_catalog,
)
from orchestrator.errors import ConfigurationError, InvalidRequest, Unsupported


def catalog(profile: str = "openai", **changes: object) -> Catalog:
    provider = Provider("default", PROFILES[profile], "http://host/v1", **changes)  # type: ignore[arg-type]
    return Catalog(
        {"default": provider},
        {name: Model(name, ("default",)) for name in ("sora-2", "sora-2-pro", "wan")},
    )


def check(of: Catalog, **changes: object) -> None:
    wish = {"model": "sora-2", "seconds": "4", "size": "720x1280", "prompt": "a cat", **changes}
    of.check(of.providers["default"], **wish)  # type: ignore[arg-type]


# ── one provider from plain values


def test_single_provider_serves_the_default_models_when_nothing_is_said() -> None:
    """Without any setting, OpenAI's own address serves sora-2 and sora-2-pro."""
    made = single_provider_catalog()

    provider = made.route("sora-2")
    assert ["sora-2", "sora-2-pro"] == list(made.models)
    assert "https://api.openai.com/v1" == provider.base_url
    assert ("default", "openai") == (provider.name, provider.profile.name)


@pytest.mark.parametrize(
    ("base_url", "profile"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://films.openai.azure.com/openai/v1", "azure"),
        ("https://openai.azure.com.evil.example/v1", "openai"),
        ("http://127.0.0.1:8091/v1", "openai"),
    ],
)
def test_profile_is_guessed_from_exact_host_names_only(base_url: str, profile: str) -> None:
    """A wrong guess would believe in abilities that are not there."""
    made = single_provider_catalog(base_url=base_url)

    assert profile == made.route("sora-2").profile.name


def test_cap_comes_from_the_profile_unless_it_is_set() -> None:
    """Azure runs two at a time; an operator may know better."""
    guessed = single_provider_catalog(base_url="https://a.openai.azure.com/openai/v1")
    told = single_provider_catalog(
        base_url="https://a.openai.azure.com/openai/v1", max_in_flight=10
    )

    assert 2 == guessed.route("sora-2").max_in_flight
    assert 10 == told.route("sora-2").max_in_flight


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"profile": "sora"}, "PROVIDER_PROFILE"),
        ({"profile": "sandbox"}, "OPENAI_BASE_URL"),
        ({"base_url": "host/v1"}, "OPENAI_BASE_URL"),
        ({"base_url": "ftp://host/v1"}, "OPENAI_BASE_URL"),
        ({"base_url": "http://user:secret@host/v1"}, "OPENAI_BASE_URL"),
        ({"base_url": "http://host:99999/v1"}, "OPENAI_BASE_URL"),
        ({"base_url": "http://host/v1?x=1"}, "OPENAI_BASE_URL"),
        ({"api_key": "two\nlines"}, "OPENAI_API_KEY"),
        ({"models": ["a model"]}, "MODELS"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    settings: dict[str, object], param: str
) -> None:
    """The message names the variable to change, and repeats no secret."""
    with pytest.raises(ConfigurationError) as caught:
        single_provider_catalog(**settings)  # type: ignore[arg-type]

    assert param == caught.value.param
    assert param in caught.value.message
    assert "secret" not in caught.value.message


def test_account_survives_a_rotated_key_but_no_other_address() -> None:
    """Videos stay ours when the key changes; at another address they never were."""
    first = single_provider_catalog(base_url="http://a/v1", api_key="one").route("sora-2")
    rotated = single_provider_catalog(base_url="http://a/v1/", api_key="two").route("sora-2")
    moved = single_provider_catalog(base_url="http://b/v1", api_key="one").route("sora-2")

    assert first.account == rotated.account
    assert first.account != moved.account


def test_account_of_the_sandbox_is_the_same_on_every_port() -> None:
    """A sandbox that is started anew listens elsewhere and is still ours."""
    made = single_provider_catalog(base_url="http://127.0.0.1:4711/v1", profile="sandbox")

    assert "sandbox" == made.route("sora-2").account


def test_secrets_do_not_show() -> None:
    """A printed catalog gives nothing away."""
    made = single_provider_catalog(api_key="sk-secret", webhook_secret="whsec_secret")

    assert "secret" not in repr(made)


# ── routes


def test_catalogs_of_equal_settings_are_one_key_and_of_others_are_not() -> None:
    """What is kept for a catalog is found by an equal one, and by no other."""
    kept = {catalog(): "kept"}

    assert "kept" == kept.get(catalog())
    assert kept.get(catalog(max_in_flight=3)) is None
    assert kept.get(catalog("sglang")) is None


def test_route_names_the_models_when_one_is_unknown() -> None:
    """Whoever asks for a wrong model reads which ones there are."""
    with pytest.raises(InvalidRequest) as caught:
        catalog().route("sora-3")

    assert "model" == caught.value.param
    assert "sora-2, sora-2-pro, wan" in caught.value.message


def test_provider_is_found_by_name_and_account_only() -> None:
    """A video of another account must not be asked for with this one's key."""
    made = catalog(account="ours")

    assert made.providers["default"] == made.provider("default", "ours")
    assert made.provider("default", "theirs") is None
    assert made.provider("other", "ours") is None


def test_candidates_come_in_the_configured_order() -> None:
    """The first serves, the others are fallbacks."""
    made = catalog()
    second = replace(made.providers["default"], name="second")
    both = Catalog(
        {"default": made.providers["default"], "second": second},
        {"m": Model("m", ("second", "default"))},
    )

    assert ["second", "default"] == [provider.name for provider in both.candidates("m")]


# ── prices


@pytest.mark.parametrize(
    ("model", "seconds", "price"),
    [("sora-2", "5", "0.5000"), ("sora-2-pro", "12", "2.4000"), ("wan", "8", "0.0000")],
)
def test_price_is_seconds_times_rate(model: str, seconds: str, price: str) -> None:
    """Dollars to four places; what nobody priced is free."""
    made = catalog()

    assert price == str(made.price(made.providers["default"], model, "720x1280", seconds))


def test_price_of_a_size_wins_over_that_of_its_model() -> None:
    """The more exact price counts, and the provider's own before its profile's."""
    made = catalog(
        prices={("sora-2", None): Decimal("0.30"), ("sora-2", "1024x1792"): Decimal("0.50")}
    )
    provider = made.providers["default"]

    assert Decimal("2.0000") == made.price(provider, "sora-2", "1024x1792", "4")
    assert Decimal("1.2000") == made.price(provider, "sora-2", "720x1280", "4")
    assert Decimal("0.8000") == made.price(provider, "sora-2-pro", "720x1280", "4")


# ── what may be asked


def test_check_passes_what_the_profile_allows() -> None:
    """Nothing is raised for a request that the provider would take."""
    check(catalog())
    check(catalog("sandbox"), seconds="60", size="16x4096")
    check(catalog(), prompt="x" * 32_000)


@pytest.mark.parametrize(
    ("profile", "changes", "param", "allowed"),
    [
        ("openai", {"seconds": "5"}, "seconds", '"4", "8", "12"'),
        ("openai", {"seconds": "04"}, "seconds", '"4"'),
        ("sandbox", {"seconds": "61"}, "seconds", '"1" to "60"'),
        ("sandbox", {"seconds": "0"}, "seconds", '"1" to "60"'),
        ("sandbox", {"seconds": "4.5"}, "seconds", '"1" to "60"'),
        ("sandbox", {"seconds": "٤"}, "seconds", '"1" to "60"'),
        ("openai", {"size": "1024x1792"}, "size", "720x1280, 1280x720"),
        ("sandbox", {"size": "721x1280"}, "size", "both even"),
        ("sandbox", {"size": "4098x16"}, "size", "from 16 to 4096"),
        ("sandbox", {"size": "720X1280"}, "size", "WIDTHxHEIGHT"),
        ("openai", {"prompt": ""}, "prompt", "1 to 32000"),
        ("openai", {"prompt": " \n"}, "prompt", "1 to 32000"),
        ("openai", {"prompt": "x" * 32_001}, "prompt", "1 to 32000"),
        ("openai", {"prompt": "a\0b"}, "prompt", "NUL"),
        ("openai", {"prompt": "a\ud800b"}, "prompt", "surrogate"),
        ("openai", {"model": "sora-3"}, "model", "sora-2"),
    ],
)
def test_check_names_the_field_and_what_is_allowed(
    profile: str, changes: dict[str, object], param: str, allowed: str
) -> None:
    """A refusal can be acted on without a look at the documentation."""
    with pytest.raises(InvalidRequest) as caught:
        check(catalog(profile), **changes)

    assert param == caught.value.param
    assert allowed in caught.value.message


def test_check_allows_larger_sizes_to_the_larger_model() -> None:
    """Sizes may depend on the model."""
    check(catalog(), model="sora-2-pro", size="1024x1792")


def test_check_refuses_a_provider_that_does_not_serve_the_model() -> None:
    """A fallback is validated by its own routes."""
    made = catalog()
    other = replace(made.providers["default"], name="other")

    with pytest.raises(InvalidRequest) as caught:
        made.check(other, model="sora-2", seconds="4", size="720x1280", prompt="a cat")

    assert "model" == caught.value.param


@pytest.mark.parametrize("kind", ["remix", "edit", "extension"])
def test_check_refuses_what_the_provider_cannot_do(kind: str) -> None:
    """It is unsupported, not invalid."""
    with pytest.raises(Unsupported):
        check(catalog("sglang"), kind=kind)


def test_check_lets_a_remix_keep_its_sources_shape() -> None:
    """A remix goes where its source lies, even if routes and rules have changed since."""
    check(catalog(), kind="remix", model="retired", seconds="5", size="1x1")


def test_check_looks_at_what_an_extension_adds() -> None:
    """Its size and model are those of its source, whatever is allowed by now."""
    check(catalog(), kind="extension", model="retired", seconds="8", size="1x1")

    with pytest.raises(InvalidRequest) as caught:
        check(catalog(), kind="extension", seconds="5")

    assert "seconds" == caught.value.param


def test_catalog_offers_what_any_of_its_providers_can_do() -> None:
    """A door that leads nowhere can say so at once."""
    assert [True, False] == [catalog(name).offers("edit") for name in ("openai", "sglang")]
    assert catalog("sglang").offers("create")


def test_check_refuses_images_where_the_provider_takes_none() -> None:
    """The error names the field."""
    made = catalog(profile="openai")
    provider = replace(
        made.providers["default"], profile=replace(PROFILES["openai"], input_reference=False)
    )

    with pytest.raises(Unsupported) as caught:
        Catalog({"default": provider}, made.models).check(
            provider, model="sora-2", seconds="4", size="720x1280", prompt="x", has_image=True
        )

    assert "input_reference" == caught.value.param


def test_describe_tells_limits_prices_and_abilities() -> None:
    """A form can be built from it."""
    made = catalog(prices={("sora-2", "1280x720"): Decimal("0.15")})

    described = made.describe("sora-2")

    assert {"allowed": ["4", "8", "12", "16", "20"]} == described["seconds"]
    assert {"allowed": ["720x1280", "1280x720"]} == described["sizes"]
    assert ("4", "720x1280") == (described["default_seconds"], described["default_size"])
    assert 0.1 == described["price_per_second"]
    assert {"1280x720": 0.15} == described["price_per_second_by_size"]
    assert described["remix"]


def test_describe_tells_ranges_where_there_is_no_list() -> None:
    """Any value within is allowed."""
    described = catalog("sandbox").describe("sora-2")

    assert {"minimum": 1, "maximum": 60} == described["seconds"]
    assert {"minimum": 16, "maximum": 4096, "multiple_of": 2} == described["sizes"]


def test_defaults_are_the_first_allowed_where_the_usual_ones_are_not() -> None:
    """A server that cannot render four seconds gets what it can."""
    assert "5" == SecondsRule(allowed=("5", "10")).default
    assert "6" == SecondsRule(low=6, high=9).default
    assert "832x480" == SizeRule(allowed=("832x480",)).default("wan")


# ── profiles


def test_every_profile_carries_its_own_name() -> None:
    """The table is keyed by what the rows say."""
    assert {name: name for name in PROFILES} == {n: p.name for n, p in PROFILES.items()}


def test_every_profile_has_usable_defaults_for_every_model() -> None:
    """What is filled in for a user is always allowed."""
    for profile in PROFILES.values():
        assert profile.seconds.permits(profile.seconds.default)
        assert profile.sizes.permits(profile.sizes.default("sora-2"), "sora-2")


def test_only_our_own_kind_honours_idempotency_keys() -> None:
    """Anywhere else a second POST is a second bill."""
    assert ["orchestrator"] == [n for n, p in PROFILES.items() if p.honours_idempotency_key]


@pytest.mark.parametrize(
    ("profile", "asked", "visible"),
    [
        ("openai", {"has_image": False}, True),
        ("openai", {"has_image": True}, False),
        ("openai", {"has_image": False, "has_quality": True}, False),
        ("openai", {"has_image": False, "kind": "remix"}, False),
        ("azure", {"has_image": False}, False),
        ("sglang", {"has_image": False}, False),
    ],
)
def test_lane_is_visible_only_where_the_list_shows_everything(
    profile: str, asked: dict[str, object], visible: bool
) -> None:
    """Look-alikes are submitted side by side only where they could be told apart."""
    assert visible is PROFILES[profile].shows_whole(**asked)  # type: ignore[arg-type]


INNER = "video_aa11"
LITELLM_CREATE = (
    "video_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDp4O3ZpZGVvX2lkOnZpZGVvX2FhMTE="
)
LITELLM_SOURCE = (
    "video_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDp4O3ZpZGVvX2lkOnZpZGVvX2JiMjI="
)
LITELLM_LATER = (
    "video_bGl0ZWxsbTpjdXN0b21fbGxtX3Byb3ZpZGVyOm9wZW5haTttb2RlbF9pZDo7"
    "dmlkZW9faWQ6dmlkZW9fYWExMTtkZXBsb3ltZW50X2lkOnk="
)


@pytest.mark.parametrize(
    ("profile", "raw", "canonical"),
    [
        ("openai", "video_1:2", "video_1:2"),
        ("litellm", LITELLM_CREATE, INNER),
        ("litellm", LITELLM_CREATE.rstrip("="), INNER),
        ("litellm", LITELLM_LATER, INNER),
        ("litellm", INNER, INNER),
        ("litellm", "video_!!", "video_!!"),
        ("litellm", "plain", "plain"),
        ("bifrost", "video_aa11:openai", INNER),
        ("bifrost", "openai:video_aa11", INNER),
        ("bifrost", "video_aa11", INNER),
        ("bifrost", ":", ":"),
    ],
)
def test_canonical_id_is_one_for_all_spellings(profile: str, raw: str, canonical: str) -> None:
    """Ids that differ between create, retrieve and list are compared by what is inside."""
    assert canonical == PROFILES[profile].canonical_id(raw)


@pytest.mark.parametrize(
    ("profile", "raw", "source", "asked_by"),
    [
        ("litellm", LITELLM_LATER, LITELLM_SOURCE, LITELLM_CREATE),
        ("litellm", LITELLM_LATER, "video_bb22", LITELLM_LATER),
        ("litellm", INNER, LITELLM_SOURCE, LITELLM_CREATE),
        ("openai", "video_2", "video_1", "video_2"),
    ],
)
def test_derived_id_leads_to_where_the_source_is(
    profile: str, raw: str, source: str, asked_by: str
) -> None:
    """LiteLLM's id of a remix does not say where the video is; its source's id does."""
    assert asked_by == PROFILES[profile].derived_id(raw, source)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("queued", "queued"),
        ("Pending", "queued"),
        ("in-progress", "in_progress"),
        ("processing", "in_progress"),
        ("SUCCEEDED", "completed"),
        ("canceled", "failed"),
        ("deleted", "failed"),
        ("error", None),
        ("warming_up", None),
    ],
)
def test_status_words_of_all_servers_are_read(word: str, status: str | None) -> None:
    """Only words that surely mean an end count as one."""
    assert status == PROFILES["openai"].read_status(word)
