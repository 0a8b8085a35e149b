"""What requests can name: made afresh for each that changes something, so that none of them is
spent by the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from orchestrator import accounts, delivery_log, endings, endpoints, pauses
from orchestrator.errors import ProviderAmbiguous
from orchestrator.records import Caller, Video
from orchestrator.steps import submit
from tests.factories import fail
from tests.rig import Rig

OWNER = Caller("ann")
HOOK = "https://93.184.216.34/hook"
_MARK = "thing-"
STATES = ("queued", "running", "completed", "failed", "cancelled", "deleted", "held")
NAMES: Mapping[str, tuple[str, ...]] = {
    "video": STATES,
    "completed": ("completed",),
    "perhaps completed": ("completed", "running", "deleted"),
    "held": ("held",),
    "user": ("user",),
    "key": ("key",),
    "secret": ("secret",),
    "endpoint": ("endpoint",),
    "delivery": ("delivery",),
    "provider": ("provider",),
    "model": ("model",),
    "address": ("address",),
}
"""By kind, the things of that kind: words that stand in a request until it is sent."""


def word(name: str) -> str:
    """What stands for a thing. Real ids differ from run to run, words do not."""
    return _MARK + name


def words(kind: str) -> list[str]:
    """What stands for the things of a kind."""
    return [word(name) for name in NAMES[kind]]


class Things:
    """Makes what the words stand for. Everything is ann's but the keys: who revokes or erases must
    not end what other requests are sent with.
    """

    def __init__(self, rig: Rig):
        self._rig = rig
        self._wanted = 0
        self._made: dict[str, str] = {}
        self._makers: Mapping[str, Callable[[], str]] = {
            "queued": lambda: self._want().id,
            "running": lambda: self._running().id,
            "completed": lambda: self._completed().id,
            "failed": lambda: fail(rig.ctx, self._want().id).id,
            "cancelled": lambda: endings.cancel(rig.ctx, OWNER, self._want().id).id,
            "deleted": lambda: endings.delete(rig.ctx, OWNER, self._running().id).id,
            "held": self._held,
            "user": lambda: "bob",
            "key": lambda: accounts.create_key(rig.ctx, "bob").key.id,
            "secret": lambda: accounts.create_key(rig.ctx, "bob").secret,
            "endpoint": self._endpoint,
            "delivery": lambda: str(delivery_log.ping(rig.ctx, OWNER, self._endpoint()).id),
            "provider": lambda: rig.provider.name,
            "model": lambda: "sora-2",
            "address": lambda: HOOK,
        }

    def put(self, value: Any, *, fresh: bool) -> Any:
        """The same value with things in the place of their words; unless `fresh`, those that were
        made before.
        """
        if isinstance(value, dict):
            return {name: self.put(part, fresh=fresh) for name, part in value.items()}
        if isinstance(value, list):
            return [self.put(part, fresh=fresh) for part in value]
        if not isinstance(value, str) or not value.startswith(_MARK):
            return value
        name = value.removeprefix(_MARK)
        if name not in self._makers:
            return value
        if fresh or name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def _want(self) -> Video:
        self._wanted += 1
        return self._rig.want(f"kite {self._wanted}", seconds="2", size="320x240")

    def _running(self) -> Video:
        video = self._want()
        # A request before may have paused it.
        pauses.resume(self._rig.ctx, self._rig.provider.name)
        self._rig.admit(video)
        submit.submit(self._rig.ctx, video.id)
        return self._rig.video(video)

    def _completed(self) -> Video:
        video = self._running()
        self._rig.upstream.becomes(self._rig.upstream_id(video), "completed")
        self._rig.look(video)
        self._rig.store(video)
        return self._rig.video(video)

    def _held(self) -> str:
        self._rig.upstream.script("create", ProviderAmbiguous("Timeout."))
        return self._running().id

    def _endpoint(self) -> str:
        ctx = self._rig.ctx
        for one in endpoints.of_user(ctx, OWNER):
            endpoints.delete(ctx, OWNER, one.endpoint.id)
        return endpoints.create(ctx, OWNER, HOOK).id
