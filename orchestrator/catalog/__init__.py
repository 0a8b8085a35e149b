"""What can be asked for, of whom, and what the servers are like: models, providers, profiles."""

from orchestrator.catalog.build import single_provider_catalog
from orchestrator.catalog.file import parse_providers_file
from orchestrator.catalog.presets import PROFILES
from orchestrator.catalog.profile import (
    DEFAULT_SECONDS,
    DEFAULT_SIZE,
    Profile,
    SecondsRule,
    SizeRule,
    UpstreamStatus,
)
from orchestrator.catalog.providers import Catalog, Model, Provider

__all__ = [
    "DEFAULT_SECONDS",
    "DEFAULT_SIZE",
    "PROFILES",
    "Catalog",
    "Model",
    "Profile",
    "Provider",
    "SecondsRule",
    "SizeRule",
    "UpstreamStatus",
    "parse_providers_file",
    "single_provider_catalog",
]
