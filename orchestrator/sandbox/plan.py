"""Decides what becomes of an order: its look, its length, its time and its fate. Pure.

Words in a prompt choose the fate, so that a person can try each one by hand: `[refuse]` is refused
at the door, `[moderation]` is blocked after acceptance, `[fail]` fails.
"""

from __future__ import annotations

from orchestrator.sandbox import scene
from orchestrator.sandbox.errors import invalid
from orchestrator.sandbox.intake import Order
from orchestrator.sandbox.job import Failure, Job, Kind

REFUSE_MARKER = "[refuse]"
MODERATION_MARKER = "[moderation]"
FAIL_MARKER = "[fail]"
MODERATED = "Your request was blocked by our moderation system."
MODERATION = Failure("moderation_blocked", MODERATED, 400)
BREAKDOWN = Failure("video_generation_failed", "The video could not be generated.", 500)
LONGEST_EXTENDED_SECONDS = 120


def refuse_marked(order: Order) -> None:
    """Raises RefusedError if the prompt asks to be refused."""
    if REFUSE_MARKER in order.prompt:
        raise invalid("prompt", MODERATED, "moderation_blocked")


def planned(
    order: Order,
    kind: Kind,
    origin: Job | None,
    *,
    job_id: str,
    now: float,
    takes: float,
    fails: bool,
    stuck: bool,
    instant: bool,
) -> Job:
    """The job as it will go.

    `origin` is the video that it builds on; it decides size and model. `takes` is the apparent time
    in seconds. Raises RefusedError for an unreadable picture or too long an extension.
    """
    size, model = (origin.size, origin.model) if origin else (order.size, order.model)
    seconds = _length(order, kind, origin)
    return Job(
        id=job_id,
        kind=kind,
        prompt=order.prompt,
        model=model,
        seconds=seconds,
        size=size,
        quality=order.quality,
        look=_look(order, origin, f"{model} · {size} · {seconds} s", seconds),
        created_at=now,
        ready_at=now + takes,
        failure=_fate(order.prompt, fails=fails),
        stuck=stuck,
        rendered_at=now if instant else None,
        fingerprint=order.fingerprint,
    )


def _length(order: Order, kind: Kind, origin: Job | None) -> int:
    if origin is None:
        return order.seconds
    seconds = origin.seconds + (order.seconds if kind == "extension" else 0)
    if seconds > LONGEST_EXTENDED_SECONDS:
        raise invalid("seconds", f"At most {LONGEST_EXTENDED_SECONDS} seconds in all.")
    return seconds


def _fate(prompt: str, *, fails: bool) -> Failure | None:
    if MODERATION_MARKER in prompt:
        return MODERATION
    return BREAKDOWN if fails or FAIL_MARKER in prompt else None


def _look(order: Order, origin: Job | None, caption: str, seconds: int) -> scene.Look:
    if origin is not None:
        return scene.variant_of(origin.look, order.prompt, caption, seconds)
    look = scene.look_of(order.prompt, caption, order.pixels, seconds)
    if order.picture is None:
        return look
    try:
        return scene.coloured_by(look, order.picture)
    except (OSError, ValueError):
        message = "'input_reference' is not a readable JPEG, PNG or WebP image."
        raise invalid("input_reference", message) from None
