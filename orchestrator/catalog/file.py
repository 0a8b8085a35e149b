"""Reading PROVIDERS_FILE: several providers, and which of them serve which model.

    [providers.main]
    profile = "openai"                       # a preset; see `presets`
    base_url = "https://api.openai.com/v1"
    api_key_env = "MAIN_KEY"                 # the variable that holds the key (or: api_key = "...")
    max_in_flight = 20
    rpm = 60                                 # creates a minute

    [providers.main.prices]                  # dollars a second
    "sora-2" = 0.10
    "sora-2-pro" = { default = 0.30, "1024x1792" = 0.50 }

    [providers.gpu]
    profile = "sglang"
    base_url = "http://10.0.0.5:30000/v1"
    models = { "wan-2.2" = "Wan-AI/Wan2.2-T2V-A14B-Diffusers" }   # our name = theirs; or a list
    seconds = { min = 2, max = 8 }           # a fact in which this server differs from its profile
    sizes = ["832x480", "480x832"]

    [models."sora-2"]
    providers = ["main", "gpu"]              # the first one serves, the others are fallbacks

Without a `models` table, each provider serves what its own `models` lists (sora-2 and sora-2-pro
if it lists none). A model of several providers then belongs to the first, without fallbacks: nobody
should pay a dearer provider by accident.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

from orchestrator.catalog import profile as facts
from orchestrator.catalog.build import (
    DEFAULT_MODELS,
    OPENAI_URL,
    checked_headers,
    checked_key,
    checked_model,
    checked_name,
    checked_url,
    profile_named,
)
from orchestrator.catalog.profile import Profile
from orchestrator.catalog.providers import Catalog, Model, Provider, account_of
from orchestrator.catalog.toml_table import Table
from orchestrator.errors import ConfigurationError


def parse_providers_file(text: str, env: Mapping[str, str]) -> Catalog:
    """The catalog that a providers file describes (the format is above). `env` holds the keys that
    it names.

    Raises:
        ConfigurationError: the file is not TOML, has a key that we do not know, or a value that
            cannot be. The message names the place and what is allowed.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(
            f"PROVIDERS_FILE is not TOML: {error}.", param="PROVIDERS_FILE"
        ) from None
    root = Table(content, "")
    provider_tables = root.tables("providers")
    model_tables = root.tables("models")
    root.finish()
    if not provider_tables:
        raise ConfigurationError(
            "PROVIDERS_FILE has no [providers.<name>] table.", param="PROVIDERS_FILE"
        )
    providers: dict[str, Provider] = {}
    served: dict[str, tuple[str, ...]] = {}
    for name, table in provider_tables.items():
        checked_name(name, table.place)
        models = _served_models(table)
        providers[name] = _provider(name, table, models, env)
        for model in models or DEFAULT_MODELS:
            served.setdefault(model, (name,))
    routes = _routes(model_tables, providers) if model_tables else served
    return Catalog(
        providers=providers, models={name: Model(name, route) for name, route in routes.items()}
    )


def _provider(
    name: str, table: Table, models: Mapping[str, str], env: Mapping[str, str]
) -> Provider:
    preset = profile_named(table.text("profile", "openai"), f"{table.place}.profile")
    profile = _changed(preset, table)
    default_url = OPENAI_URL if preset.name == "openai" else None
    base_url = checked_url(table.text("base_url", default_url), f"{table.place}.base_url")
    provider = Provider(
        name=name,
        profile=profile,
        base_url=base_url,
        api_key=checked_key(_secret(table, "api_key", env), f"{table.place}.api_key"),
        account=table.text("account", account_of(profile, base_url)),
        max_in_flight=table.integer("max_in_flight", preset.max_in_flight),
        rpm=table.integer("rpm", None),
        headers=checked_headers(table.texts("headers"), f"{table.place}.headers"),
        webhook_secret=_secret(table, "webhook_secret", env),
        prices=table.prices("prices"),
        models=models,
        connect_timeout=table.number("connect_timeout", 5.0, low=0.1),
        create_timeout=table.number("create_timeout", 120.0, low=0.1),
        read_timeout=table.number("read_timeout", 30.0, low=0.1),
    )
    table.finish()
    return provider


def _changed(preset: Profile, table: Table) -> Profile:
    """The preset with the facts in which this server differs."""
    return replace(
        preset,
        create_encoding=table.choice(
            "create_encoding", preset.create_encoding, get_args(facts.Encoding)
        ),
        list=table.choice("list", preset.list, get_args(facts.Listing)),
        list_query={**preset.list_query, **table.texts("list_query")},
        echoes=table.subset("echoes", preset.echoes, facts.ECHOABLE),
        remix=table.choice("remix", preset.remix, get_args(facts.Remix)),
        edits=table.flag("edits", preset.edits),
        extensions=table.flag("extensions", preset.extensions),
        delete_cancels=table.flag("delete_cancels", preset.delete_cancels),
        input_reference=table.flag("input_reference", preset.input_reference),
        on_unknown=table.choice("on_unknown", preset.on_unknown, get_args(facts.OnUnknown)),
        seconds=table.seconds("seconds", preset.seconds),
        sizes=table.sizes("sizes", preset.sizes),
        poll_min_seconds=table.number("poll_min_seconds", preset.poll_min_seconds, low=0.05),
        missing_grace_seconds=table.number(
            "missing_grace_seconds", preset.missing_grace_seconds, low=0.1
        ),
        retention=timedelta(
            seconds=table.number("retention_seconds", preset.retention.total_seconds(), low=1)
        ),
        statuses={
            **preset.statuses,
            **{
                word.lower(): table.one_of(status, get_args(facts.UpstreamStatus), "statuses")
                for word, status in table.texts("statuses").items()
            },
        },
    )


def _secret(table: Table, key: str, env: Mapping[str, str]) -> str | None:
    """A secret from the file itself, or from the variable that `<key>_env` names."""
    plain, variable = table.optional_text(key), table.optional_text(f"{key}_env")
    if plain and variable:
        raise table.refused(key, f"given either as {key} or as {key}_env, not both")
    if variable and not env.get(variable):
        raise table.refused(f"{key}_env", f"a variable that is set; {variable} is not")
    return env[variable] if variable else plain


def _served_models(table: Table) -> Mapping[str, str]:
    """Our names of the models that this provider lists, each with the provider's own."""
    models = table.mapping_or_list("models")
    for name in models:
        checked_model(name, f"{table.place}.models")
    return models


def _routes(
    tables: Mapping[str, Table], providers: Mapping[str, Any]
) -> Mapping[str, tuple[str, ...]]:
    routes = {}
    for model, table in tables.items():
        names = table.text_list("providers")
        table.finish()
        if not names or len(set(names)) < len(names) or not set(names) <= providers.keys():
            raise table.refused("providers", f"a list of different names of {', '.join(providers)}")
        routes[checked_model(model, table.place)] = tuple(names)
    return routes
