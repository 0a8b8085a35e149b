"""PROVIDERS_FILE: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from orchestrator.catalog import SecondsRule, SizeRule, parse_providers_file
from orchestrator.errors import ConfigurationError

FULL = """
[providers.main]
profile = "openai"
base_url = "https://main.example/v1/"
api_key_env = "MAIN_KEY"
webhook_secret = "whsec_x"
max_in_flight = 20
rpm = 60
headers = { "X-Team" = "films" }
create_timeout = 90
[providers.main.prices]
"sora-2" = 0.10
"sora-2-pro" = { default = "0.30", "1024x1792" = 0.5 }

[providers.gpu]
profile = "sglang"
base_url = "http://10.0.0.5:30000/v1"
models = { "wan-2.2" = "Wan-AI/Wan2.2" }
seconds = { min = 2, max = 8 }
sizes = ["832x480", "480x832"]
create_encoding = "multipart"
on_unknown = "fail"
list = "none"
echoes = ["model", "prompt"]
retention_seconds = 7200
statuses = { Stopped = "failed" }

[models."sora-2"]
providers = ["main", "gpu"]
[models."wan-2.2"]
providers = ["gpu"]
"""


def test_providers_are_read_with_all_their_facts() -> None:
    """Every key of the format arrives where it belongs."""
    catalog = parse_providers_file(FULL, {"MAIN_KEY": "sk-1"})

    main, gpu = catalog.candidates("sora-2")
    assert ("main", "https://main.example/v1", "sk-1") == (main.name, main.base_url, main.api_key)
    assert (20, 60, 90.0) == (main.max_in_flight, main.rpm, main.create_timeout)
    assert ({"X-Team": "films"}, "whsec_x") == (main.headers, main.webhook_secret)
    assert Decimal("0.5") == main.rate("sora-2-pro", "1024x1792")
    assert Decimal("0.30") == main.rate("sora-2-pro", "720x1280")
    assert "Wan-AI/Wan2.2" == gpu.upstream_model("wan-2.2")
    assert "sora-2" == gpu.upstream_model("sora-2")


def test_facts_of_a_profile_can_be_changed() -> None:
    """A server that differs from its preset is data, not code."""
    profile = parse_providers_file(FULL, {"MAIN_KEY": "sk-1"}).route("wan-2.2").profile

    assert SecondsRule(low=2, high=8) == profile.seconds
    assert SizeRule(allowed=("832x480", "480x832")) == profile.sizes
    assert ("multipart", "fail", "none") == (
        profile.create_encoding,
        profile.on_unknown,
        profile.list,
    )
    assert frozenset({"model", "prompt"}) == profile.echoes
    assert timedelta(hours=2) == profile.retention
    assert "failed" == profile.read_status("stopped")
    assert "completed" == profile.read_status("completed")


def test_models_belong_to_the_first_provider_when_no_routes_are_given() -> None:
    """Fallbacks cost money: there are none unless somebody asks for them."""
    catalog = parse_providers_file(
        """
        [providers.a]
        base_url = "http://a/v1"
        [providers.b]
        base_url = "http://b/v1"
        models = ["sora-2", "wan"]
        """,
        {},
    )

    served = {name: model.providers for name, model in catalog.models.items()}
    assert {"sora-2": ("a",), "sora-2-pro": ("a",), "wan": ("b",)} == served


def test_zero_means_no_cap() -> None:
    """A profile's cap can be taken away."""
    catalog = parse_providers_file(
        """
        [providers.a]
        profile = "azure"
        base_url = "http://a/v1"
        max_in_flight = 0
        """,
        {},
    )

    assert catalog.route("sora-2").max_in_flight is None


def test_account_can_be_named() -> None:
    """Two addresses of one account are one."""
    catalog = parse_providers_file('[providers.a]\nbase_url = "http://a/v1"\naccount = "films"', {})

    assert "films" == catalog.route("sora-2").account


A = '[providers.a]\nbase_url = "http://a/v1"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not toml", "not TOML"),
        ("", "no [providers.<name>]"),
        ("providers = 1", "tables such as"),
        ("[providers]\na = 1", "tables such as"),
        ("[provider.a]\n" + A, "provider in the file is unknown; known are models, providers"),
        (A + "max_inflight = 3", "max_inflight in providers.a is unknown; known are account"),
        (A + 'profile = "sora"', "one of openai, azure"),
        (A + "profile = 3", "providers.a.profile must be a text"),
        (A + "max_in_flight = -1", "whole number"),
        (A + "max_in_flight = true", "whole number"),
        (A + "rpm = 1.5", "whole number"),
        (A + "read_timeout = 0", "a number from 0.1 up"),
        (A + 'read_timeout = "3"', "a number"),
        (A + 'api_key_env = "NOT_THERE"', "NOT_THERE is not"),
        (A + 'api_key = "x"\napi_key_env = "KEY"', "not both"),
        (A + 'api_key = "a b\\n"\nheaders = {"x y" = "z"}', "not a usable header"),
        (A + 'headers = {"x" = 1}', "a table of texts"),
        (A + 'list = "some"', "one of none, unpaged, paged"),
        (A + 'on_unknown = "ask"', "one of hold, retry, fail, resend"),
        (A + 'echoes = ["colour"]', "a list of model, prompt, seconds, size"),
        (A + 'delete_cancels = "yes"', "true or false"),
        (A + 'seconds = ["four"]', "a list of whole seconds"),
        (A + "seconds = []", "a list of whole seconds"),
        (A + "seconds = {min = 9, max = 2}", "bounds between"),
        (A + "seconds = {from = 9}", "from in providers.a.seconds is unknown"),
        (A + 'sizes = ["big"]', "a list of WIDTHxHEIGHT"),
        (A + "sizes = {min = 0}", "bounds between"),
        (A + 'statuses = {x = "fine"}', "one of queued, in_progress, completed, failed"),
        (A + "models = 3", "a table of texts"),
        (A + "models = [true]", "a list of texts"),
        (A + 'models = ["a b"]', "cannot name a model"),
        (A + "prices = 3", "a table of prices"),
        (A + 'prices = {m = "cheap"}', "dollars a second"),
        (A + "prices = {m = true}", "dollars a second"),
        (A + "prices = {m = -1}", "dollars a second"),
        (A + "prices = {m = nan}", "dollars a second"),
        ("[providers.A]\nbase_url = 'http://a/v1'", "cannot name a provider"),
        ("[providers.a]\nprofile = 'sglang'", "base_url must be a text"),
        ("[providers.a]\nbase_url = 'a/v1'", "not a base URL"),
        (A + '[models.m]\nproviders = ["b"]', "different names of a"),
        (A + '[models.m]\nproviders = ["a", "a"]', "different names of a"),
        (A + "[models.m]\nproviders = []", "different names of a"),
        (A + '[models.m]\nproviders = ["a"]\nx = 1', "x in models.m is unknown"),
    ],
)
def test_mistakes_are_named_with_their_place(text: str, told: str) -> None:
    """An operator finds the line without reading our code."""
    with pytest.raises(ConfigurationError) as caught:
        parse_providers_file(text, {"KEY": "v"})

    assert told in caught.value.message
