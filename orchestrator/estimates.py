"""What a video would cost, and whether it would be accepted now, without asking for it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator import quotas
from orchestrator.context import Context
from orchestrator.records import Caller, Quota
from orchestrator.shapes import Shape
from orchestrator.wishes import VideoRequest, shaped


@dataclass(frozen=True, slots=True)
class Estimate:
    """A request in all its parts with its price, and the quota that it would have to fit."""

    shape: Shape
    quota: Quota

    @property
    def allowed(self) -> bool:
        """Whether the quota allows it now. Nothing is reserved: a moment later it may not."""
        return quotas.allows(self.quota, self.shape.cost)


def estimate(ctx: Context, caller: Caller, request: VideoRequest) -> Estimate:
    """The price that would be reserved for this request.

    Raises:
        InvalidRequest, Unsupported: it would be refused; the message names the field.
    """
    return Estimate(shaped(ctx, request), quotas.get(ctx, caller.user_id))
