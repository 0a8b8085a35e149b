"""What the use cases work with, put together in one place. Nothing is opened before its
first use.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from orchestrator.broker import Broker
from orchestrator.cache import Cache
from orchestrator.catalog import Catalog, Provider
from orchestrator.crew import Crew
from orchestrator.db.engine import Database
from orchestrator.errors import Conflict
from orchestrator.gathering import Gathering
from orchestrator.leases import Leases
from orchestrator.limits import Limits
from orchestrator.meters import Meters
from orchestrator.providers import VideoProvider, open_provider
from orchestrator.providers.metered import MeteredProvider
from orchestrator.sender import Sender
from orchestrator.settings import Settings
from orchestrator.storage import Storage, open_storage
from orchestrator.tallies import Tallies
from orchestrator.traces import Traces, open_traces
from orchestrator.wakes import Wakes


class ProviderPool:
    """One client per provider and process, opened with the first call. `meters` count its calls."""

    def __init__(
        self,
        open_client: Callable[[Provider], VideoProvider] = open_provider,
        meters: Meters | None = None,
    ):
        self._open = open_client
        self._meters = meters or Meters()
        self._clients: dict[str, VideoProvider] = {}
        self._lock = Lock()

    def get(self, provider: Provider) -> VideoProvider:
        """The client of this provider."""
        with self._lock:
            if provider.name not in self._clients:
                opened = self._open(provider)
                self._clients[provider.name] = MeteredProvider(provider.name, opened, self._meters)
            return self._clients[provider.name]

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()


@dataclass(frozen=True, slots=True)
class Context:
    """Every dependency of the use cases; tests replace the ones they want."""

    settings: Settings
    database: Database
    cache: Cache
    limits: Limits
    broker: Broker
    storage: Storage
    leases: Leases
    pool: ProviderPool
    wakes: Wakes
    tallies: Tallies
    meters: Meters = field(default_factory=Meters)
    traces: Traces = field(default_factory=Traces)
    sender: Sender = field(default_factory=Sender)
    gathering: Gathering = field(default_factory=lambda: Gathering(rest=1.0))
    crew: Crew = field(default_factory=Crew)
    dice: Callable[[], float] = field(default=random.random)

    @property
    def catalog(self) -> Catalog:
        """Models and providers."""
        return self.settings.catalog

    def provider(self, name: str, account: str) -> Provider:
        """A configured provider.

        Raises:
            Conflict: that account is configured no longer (`provider_gone`).
        """
        provider = self.catalog.provider(name, account)
        if provider is None:
            raise Conflict(
                "The provider that has this video is not configured here any longer.",
                code="provider_gone",
            )
        return provider

    def close(self) -> None:
        """Let go of everything, in the order in which it depends on each other."""
        self.crew.stop()
        self.leases.close()
        self.pool.close()
        self.broker.close()
        self.wakes.close()
        self.tallies.close()
        self.traces.close()
        self.cache.close()
        self.limits.close()
        self.database.close()


def build(settings: Settings, *, application: str = "orchestrator") -> Context:
    """The context of one process. `application` is the name that PostgreSQL shows for its
    connections.
    """
    database = Database(
        settings.database_url, pool_size=settings.db_pool_size, application=application
    )
    meters = Meters()
    return Context(
        settings=settings,
        database=database,
        cache=Cache(settings.redis_url),
        limits=Limits(settings.redis_url),
        broker=Broker(settings.broker_url, meters=meters),
        storage=open_storage(settings.storage_url, settings.storage_env),
        leases=Leases(database, settings.lease_seconds),
        pool=ProviderPool(meters=meters),
        wakes=Wakes(settings.redis_url),
        tallies=Tallies(settings.redis_url),
        meters=meters,
        traces=open_traces(settings.traces_url, settings.traces_ratio, application),
    )
