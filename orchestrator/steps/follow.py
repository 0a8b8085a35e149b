"""Follow: look at all videos of an account that may be done, again and again, through its list.

A look at a video that still runs tells nothing new, so nothing is written for it: the lease stays,
and the next look comes at once. A few row changes a video are left, however often it is looked at.
"""

from __future__ import annotations

import time

from orchestrator import looks
from orchestrator.catalog import Provider
from orchestrator.context import Context
from orchestrator.db import polling
from orchestrator.policies import POLL_CEILING, follow_delay
from orchestrator.steps.poll import Look
from orchestrator.steps.sighting import Pair
from orchestrator.steps.trail import Trail

ROUND_SECONDS, LONG_ROUND_SECONDS = 60.0, 600.0
"""Then another message goes on, perhaps in another process. To give 50,000 videos back and to claim
them anew takes half a minute, so where FEW accounts are followed a round is long.
"""
FEW = 8
"""So many may be followed in a process without a thought for its threads, which mostly wait. With
more, nobody waits for a next look that is many seconds away.
"""
SURE_SECONDS = 15.0
"""So often it is asked which of them are still ours: one may have been cancelled meanwhile."""
SOON_SECONDS = 3.0
"""What is due later than that, and after the next round, is given back."""
MINE_SECONDS = 30.0
"""For so long a round keeps the sweep from having the same videos looked at one by one: longer than
it takes until the next one.
"""
_JITTER = 1.25
"""Due times are spread: to be kept until the next round, a video may be due so much after it."""
_AT_ONCE = 1000


def follow(ctx: Context, name: str, account: str) -> None:
    """Look at what is due at an account until nothing is left, this process stops, or some
    minutes have passed. Returns at once if somebody in this process is at it.
    """
    provider = ctx.catalog.provider(name, account)
    if provider is None:
        return
    with ctx.crew.alone(looks.followed(name, account)) as alone:
        if alone:
            with ctx.leases.hold() as token:
                _Round(ctx, provider, token).go()


class _Round:
    def __init__(self, ctx: Context, provider: Provider, token: str):
        self.ctx = ctx
        self.provider = provider
        self.token = token
        self.held: dict[str, Pair] = {}
        self.trail = Trail()
        self.pause = 0.0
        self.name = looks.followed(provider.name, provider.account)

    def go(self) -> None:
        """Claim, look, wait; what is held at the end is due at once for whoever comes next."""
        began = time.monotonic()
        few = self.ctx.crew.busy <= FEW
        ends = began + (LONG_ROUND_SECONDS if few else ROUND_SECONDS)
        sure_until = began + SURE_SECONDS
        try:
            while not self.ctx.crew.stopped and began < ends:
                if began > sure_until:
                    self._let_go_of_lost()
                    sure_until = began + SURE_SECONDS
                self.ctx.limits.hold(self.name, MINE_SECONDS)
                self._claim()
                if not self.held:
                    return
                self._look(began, patient=few)
                began = time.monotonic()
        finally:
            self.ctx.limits.let_go(self.name)
            with self.ctx.database.statement() as connection:
                polling.snooze(connection, list(self.held), token=self.token, due_in=0)

    def _look(self, began: float, *, patient: bool) -> None:
        look = Look(self.ctx, self.provider, self.token, self.trail)
        next_round = min(max(self.pause, look.minimum if patient else 0.0), POLL_CEILING)
        kept = look.at(list(self.held.values()), within=max(SOON_SECONDS, _JITTER * next_round))
        self.held = {pair[0].id: pair for pair in kept}
        if kept:
            pause = follow_delay(look.minimum, look.listed, len(kept), expected=look.expected)
            self.pause = min(pause, POLL_CEILING)
            self.ctx.crew.pause(self.pause - (time.monotonic() - began))

    def _let_go_of_lost(self) -> None:
        with self.ctx.database.statement() as connection:
            ours = polling.held(connection, list(self.held), token=self.token)
        self.held = {video_id: pair for video_id, pair in self.held.items() if video_id in ours}

    def _claim(self) -> None:
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
            self.held |= {pair[0].id: pair for pair in pairs}
            if len(pairs) < _AT_ONCE:
                return
