"""What the quotas of users allow of what they wish for, reserved where that is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from orchestrator import views
from orchestrator.db import quotas
from orchestrator.db.engine import Connection
from orchestrator.db.quotas import Reserved, Wanted
from orchestrator.errors import QuotaExceeded
from orchestrator.quotas import allows
from orchestrator.records import Quota
from orchestrator.wishes import Wish, Wishes


def reserve(
    connection: Connection, wishes: Wishes
) -> tuple[dict[int, Reserved], dict[int, QuotaExceeded]]:
    """Reserve for all; a user whose wishes do not fit together gets as many of them as fit, in
    order. Returns the grants and the refusals.
    """
    by_user: dict[str, list[int]] = defaultdict(list)
    for place, wish in wishes.items():
        by_user[wish.user_id].append(place)
    granted = quotas.reserve(connection, [_wanted(u, p, wishes) for u, p in by_user.items()])
    refused: dict[int, QuotaExceeded] = {}
    short = [user_id for user_id in by_user if user_id not in granted]
    if short:
        fitting: dict[str, list[int]] = {}
        for user_id, quota in quotas.lock(connection, short).items():
            fitting[user_id], too_much = _fit(quota, by_user[user_id], wishes)
            refused |= too_much
        granted |= quotas.reserve(
            connection, [_wanted(u, places, wishes) for u, places in fitting.items() if places]
        )
    grants = {
        place: granted[wish.user_id] for place, wish in wishes.items() if place not in refused
    }
    return grants, refused


def _wanted(user_id: str, places: Sequence[int], wishes: Wishes) -> Wanted:
    cost = sum((wishes[place].cost for place in places), Decimal(0))
    return Wanted(user_id, len(places), cost)


def _fit(
    quota: Quota, places: Sequence[int], wishes: Wishes
) -> tuple[list[int], dict[int, QuotaExceeded]]:
    """Of the wishes of one user those that the quota allows, and why it does not allow the
    others.
    """
    fitting: list[int] = []
    refused: dict[int, QuotaExceeded] = {}
    for place in places:
        cost = quota.cost_used + wishes[place].cost
        if allows(quota, wishes[place].cost):
            quota = replace(quota, videos_created=quota.videos_created + 1, cost_used=cost)
            fitting.append(place)
        else:
            refused[place] = _refusal(quota, wishes[place])
    return fitting, refused


def _refusal(quota: Quota, wish: Wish) -> QuotaExceeded:
    shown = views.quota(quota)
    numbers = {
        name: shown[name]
        for name in ("used", "limit", "remaining", "reset_at", "cost_used", "cost_limit")
    }
    if quota.remaining >= 1 and quota.cost_limit is not None:
        message = (
            f"The cost limit of {quota.cost_limit:.2f} USD a month does not allow this: "
            f"{quota.cost_used:.2f} used, this one costs {wish.cost:.2f}."
        )
    else:
        used, limit = quota.videos_created, quota.videos_limit
        message = f"Quota exceeded: {used} of {limit} videos used this month."
    return QuotaExceeded(message, quota=numbers)
