"""Follow: look at all videos of an account that may be done, again and again, through its list.

A look at a video that still runs tells nothing new, so nothing is written for it: the lease stays,
and the next look comes at once. A few row changes a video are left, however often it is looked at.
"""

from __future__ import annotations

import time

from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import polling
from orchestrator.policies import follow_delay
from orchestrator.steps.poll import Look
from orchestrator.steps.sighting import Pair

ROUND_SECONDS = 60.0
"""Then another message goes on, perhaps in another process."""
HELD_SECONDS = 15.0
"""A video is claimed anew after that: it may have been cancelled meanwhile."""
SOON_SECONDS = 3.0
"""What is due later than that is given back."""
_AT_ONCE = 1000


def follow(ctx: Context, name: str, account: str) -> None:
    """Look at what is due at an account until nothing is left, this process stops, or a minute has
    passed. Returns at once if somebody in this process is at it.
    """
    provider = ctx.catalog.provider(name, account)
    if provider is None:
        return
    with ctx.crew.alone(f"follow {name} {account}") as alone:
        if alone:
            with ctx.leases.hold() as token:
                _Round(ctx, provider, token).go()


class _Round:
    def __init__(self, ctx: Context, provider: Provider, token: str):
        self.ctx = ctx
        self.provider = provider
        self.token = token
        self.held: dict[str, tuple[Pair, float]] = {}

    def go(self) -> None:
        """Claim, look, wait; what is held at the end is due at once for whoever comes next."""
        ends = time.monotonic() + ROUND_SECONDS
        try:
            while not self.ctx.crew.stopped and time.monotonic() < ends:
                began = time.monotonic()
                self._give_back(older_than=began - HELD_SECONDS)
                self._claim(began)
                if not self.held:
                    return
                look = Look(self.ctx, self.provider, self.token)
                kept = look.at([pair for pair, _ in self.held.values()], within=SOON_SECONDS)
                self.held = {video.id: self.held[video.id] for video, _ in kept}
                if kept:
                    pause = follow_delay(look.minimum, look.listed, len(kept))
                    self.ctx.crew.pause(min(pause, SOON_SECONDS) - (time.monotonic() - began))
        finally:
            self._give_back(older_than=time.monotonic())

    def _claim(self, now: float) -> None:
        """Take all that is due."""
        while True:
            with self.ctx.database.transaction() as connection:
                pairs = polling.claim_due(
                    connection,
                    self.provider.name,
                    self.provider.account,
                    token=self.token,
                    lease=self.ctx.leases.seconds,
                    limit=_AT_ONCE,
                )
            self.held |= {pair[0].id: (pair, now) for pair in pairs}
            if len(pairs) < _AT_ONCE:
                return

    def _give_back(self, *, older_than: float) -> None:
        ids = [video_id for video_id, (_, since) in self.held.items() if since <= older_than]
        for video_id in ids:
            del self.held[video_id]
        with self.ctx.database.statement() as connection:
            polling.snooze(connection, ids, token=self.token, due_in=0)
