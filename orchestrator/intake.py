"""Where wishes become videos: written together with those that others have at the same time, told
to everybody once that is committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import structlog

from orchestrator import changes, ledger
from orchestrator.context import Context
from orchestrator.db.submissions import PATIENCE_SECONDS
from orchestrator.errors import DependencyBusy, DependencyDown
from orchestrator.ledger import Outcome, Unplain, Written
from orchestrator.wishes import Wish

LOT_PATIENCE = 0.25
"""Seconds that a lot waits for a lock: neighbours must not wait long for what only one needs."""

log = structlog.get_logger(__name__)


def accept(ctx: Context, wish: Wish) -> Outcome:
    """What becomes of this wish; when this returns, it is committed.

    Raises:
        DependencyDown: the database does not answer; only CommitUnknown may have changed anything.
    """
    outcome = ctx.gathering.ask(wish, partial(together, ctx))
    return accept_all(ctx, [wish])[0] if outcome is None else outcome


def together(ctx: Context, wishes: Sequence[Wish]) -> Sequence[Outcome | None]:
    """The outcomes of wishes of many callers. None: each has to try alone, since one of them has
    failed them all, or has to wait for somebody else.
    """
    try:
        return _plain(ctx, wishes) or accept_all(ctx, wishes, patience=LOT_PATIENCE)
    except DependencyDown as error:
        if not isinstance(error, DependencyBusy):
            raise
        reason: Exception = error
    except Exception as error:
        reason = error
    log.info("lot_failed", wishes=len(wishes), error=type(reason).__name__)
    return [None] * len(wishes)


def _plain(ctx: Context, wishes: Sequence[Wish]) -> list[Outcome] | None:
    """The outcomes, if there is nothing to be decided; None: nothing was changed."""
    try:
        with ctx.database.transaction() as connection:
            outcomes = ledger.write_plain(ctx.catalog, connection, wishes, patience=LOT_PATIENCE)
    except Unplain:
        return None
    return tell(ctx, outcomes, wishes)


def accept_all(
    ctx: Context, wishes: Sequence[Wish], *, patience: float = PATIENCE_SECONDS
) -> list[Outcome]:
    """What becomes of these wishes, in one transaction. `patience`: seconds to wait for a lock."""
    with ctx.database.transaction() as connection:
        outcomes = ledger.write(ctx.catalog, connection, wishes, patience=patience)
    return tell(ctx, outcomes, wishes)


def tell(
    ctx: Context, outcomes: Sequence[Outcome], wishes: Sequence[Wish], *, cached: bool = True
) -> list[Outcome]:
    """Cache, wake and ring for what is new in these outcomes of wishes, which are committed.
    Returns them, the new ones with their texts. `cached`: see `changes.published`.
    """
    fresh = {
        place: outcome.video
        for place, outcome in enumerate(outcomes)
        if isinstance(outcome, Written) and not outcome.replayed and outcome.video is not None
    }
    told = list(outcomes)
    try:
        texts = changes.published(ctx, fresh.values(), cached=cached)
        for (place, video), text in zip(fresh.items(), texts, strict=True):
            told[place] = Written(video, text=text)
        origins = {str(wish.row["id"]): wish.request_id for wish in wishes if wish.request_id}
        changes.ring_submits(ctx, fresh.values(), origins)
    except Exception:
        # An error here would look as if nothing had been accepted, and be asked for again.
        log.exception("telling_failed", videos=len(fresh))
    return told
