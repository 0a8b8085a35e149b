"""Everything that can go wrong in a run of chaos, in an order that its seed decides."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from orchestrator.catalog import PROFILES
from orchestrator.sandbox.dialects import DIALECTS
from tests.chaos.cluster import Cluster

WORKER_PAUSE = 4.0
"""Longer than a lease; shorter than a lease and the two looks behind it, after which nobody could
know that a call is still to come.
"""
# What the provider does wrong, by operation. Counts, not chances: what is named shall happen.
WRONG: Mapping[str, tuple[str, ...]] = {
    "create": (
        "accept_then_cut@2",
        "500_after_accept@2",
        "html_after_accept@2",
        "no_id@2",
        "hang:4@1",  # longer than we wait for the answer
        "hang_then_cut:1@1",
        "429@6",
        "429_retry_after:1@2",
        "503@2",
        "503_retry_after:1@1",
        "502@2",
        "cut@2",
        "html@1",
    ),
    "get": ("404@3", "500@3", "429@2", "html@2", "cut@2", "hang:3@1", "unknown_status@3"),
    "list": ("lag:1@3", "500@2", "html@2", "cut@2", "429@1", "hang:3@1"),
    "content": ("truncated@2", "wrong@2", "404@2", "html@2", "500@2", "cut@2", "hang:3@1"),
    "delete": ("409@1", "500@1"),
}
REFUSALS = {"create.429", "create.429_retry_after", "create.503_retry_after"}


class Mischief:
    """Deals what happens to `cluster`: everything once, in any order, before anything again."""

    def __init__(self, cluster: Cluster, dice: random.Random, profile: str):
        self._cluster = cluster
        self._dice = dice
        facts = PROFILES[profile]
        possible = {
            "list": facts.list != "none",
            # A cancelled video is deleted there only where that stops it.
            "delete": facts.has_delete and facts.delete_cancels,
        }
        self._wrong = {
            operation: [f"{operation}.{kind}" for kind in kinds]
            for operation, kinds in WRONG.items()
            if possible.get(operation, True)
        }
        self._actions = self._all_actions()
        if DIALECTS[profile].forgets:
            # A restart would lose its jobs: see `test_forgetful_provider`.
            del self._actions["provider killed"]
        self._decks: dict[str, list[str]] = {}

    def strike(self) -> None:
        """One thing happens to us, and for each of its operations the provider has another fault
        from now on.
        """
        self._cluster.provider.faults(
            ",".join(self._deal(name, faults) for name, faults in self._wrong.items())
        )
        self._actions[self._deal("actions", list(self._actions))]()

    def missing(self) -> list[str]:
        """Faults of the provider that have not struck yet, to strike once. Plain refusals come
        first: after anything else there may be no other create until its outcome is known.
        """
        struck = self._cluster.provider.struck()
        faults = [fault for kinds in self._wrong.values() for fault in kinds]
        faults.sort(key=lambda fault: _kind(fault) not in REFUSALS)
        return [f"{fault.partition('@')[0]}@1" for fault in faults if not struck[_kind(fault)]]

    def report(self) -> str:
        """How often each thing has happened, and what has not."""
        faults = {_kind(fault): 0 for kinds in self._wrong.values() for fault in kinds}
        happened = Counter(dict.fromkeys(self._actions, 0) | faults)
        happened.update(self._cluster.happened)
        happened.update(self._cluster.provider.struck())
        told = ", ".join(f"{name} {count}" for name, count in sorted(happened.items()) if count)
        never = ", ".join(name for name, count in sorted(happened.items()) if not count)
        return f"{told}\nnever happened: {never or 'nothing of what can be'}"

    def _deal(self, name: str, all_cards: list[str]) -> str:
        deck = self._decks.setdefault(name, [])
        if not deck:
            deck += self._dice.sample(all_cards, len(all_cards))
        return deck.pop()

    def _all_actions(self) -> dict[str, Callable[[], None]]:
        cluster, any_of = self._cluster, self._any_of
        return {
            "worker killed": lambda: cluster.kill(any_of("worker")),
            "worker terminated": lambda: cluster.restart(any_of("worker")),
            "worker paused": lambda: cluster.pause(any_of("worker"), WORKER_PAUSE),
            "scheduler killed": lambda: cluster.kill(any_of("scheduler")),
            "scheduler terminated": lambda: cluster.restart(any_of("scheduler")),
            "web killed": lambda: cluster.kill("web"),
            "web terminated": lambda: cluster.restart("web"),
            "Valkey killed": cluster.kill_valkey,
            "Valkey wiped": cluster.wipe_valkey,
            "Valkey paused": partial(cluster.pause_valkey, 2.0),
            "PostgreSQL restarted": cluster.restart_postgres,
            "PostgreSQL connections dropped": cluster.drop_connections,
            "provider killed": cluster.restart_provider,
        }

    def _any_of(self, kind: str) -> str:
        return self._dice.choice([name for name in self._cluster.programs if name.startswith(kind)])


def _kind(fault: str) -> str:
    """`create.hang` of `create.hang:4@1`."""
    return fault.partition("@")[0].partition(":")[0]
