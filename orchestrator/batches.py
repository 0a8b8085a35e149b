"""Many submissions in one request: each is answered for itself, none fails its neighbours.

They are written chunk by chunk, each chunk in one transaction, so that a crash or a lost answer
leaves whole chunks; the same batch sent again under its key gets what there is and adds the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.context import Context
from orchestrator.db import idempotency
from orchestrator.db.engine import Connection
from orchestrator.db.idempotency import Claim
from orchestrator.errors import DependencyDown, Gone, IdempotencyKeyReused, OrchestratorError
from orchestrator.intake import tell
from orchestrator.ledger import Outcome, write
from orchestrator.records import Caller
from orchestrator.submissions import Submitted
from orchestrator.wishes import IdempotencyKey, VideoRequest, Wish, prepare

MAX_VIDEOS = 1000
CHUNK = 250

Request = VideoRequest | OrchestratorError
"""What is asked for in one place of the batch, or why that cannot be read."""
Answer = Submitted | OrchestratorError


def create(
    ctx: Context,
    caller: Caller,
    requests: Sequence[Request],
    *,
    key: IdempotencyKey | None = None,
    fingerprint: str = "",
) -> list[Answer]:
    """Accept these; the answers are in the same order, and what they say is committed.

    Args:
        key: of the whole batch; places that were accepted are replayed, refused ones tried anew.
        fingerprint: of the whole batch as it was sent.

    Raises:
        IdempotencyKeyReused: the key was used with another batch.
        DependencyDown: the database does not answer, and nothing was accepted.
    """
    answers: list[Answer] = []
    down: DependencyDown | None = None
    for start in range(0, len(requests), CHUNK):
        chunk = requests[start : start + CHUNK]
        if down is None:
            try:
                answers += _write(ctx, caller, chunk, start, key, fingerprint)
                continue
            except DependencyDown as error:
                down = error
        answers += [down] * len(chunk)
    if down is not None and not _any_accepted(answers):
        raise down
    if key is not None and not _any_accepted(answers):
        # Nothing came of it: the key may be used for the repaired batch.
        with ctx.database.statement() as connection:
            claim = Claim(caller.user_id, key.route, key.value, fingerprint)
            idempotency.free(connection, [claim])
    return answers


def _write(
    ctx: Context,
    caller: Caller,
    requests: Sequence[Request],
    start: int,
    key: IdempotencyKey | None,
    fingerprint: str,
) -> list[Answer]:
    """One chunk, which begins at place `start` of its batch."""
    wishes = [
        _wish(ctx, caller, request, None if key is None else _place_key(key, start + place))
        for place, request in enumerate(requests)
    ]
    good = [wish for wish in wishes if isinstance(wish, Wish)]
    with ctx.database.transaction() as connection:
        if key is not None:
            _claim(connection, Claim(caller.user_id, key.route, key.value, fingerprint))
        written = write(ctx.catalog, connection, good)
    outcomes = iter(tell(ctx, written, good))
    return [_answer(next(outcomes)) if isinstance(wish, Wish) else wish for wish in wishes]


def _wish(
    ctx: Context, caller: Caller, request: Request, key: IdempotencyKey | None
) -> Wish | OrchestratorError:
    if isinstance(request, OrchestratorError):
        return request
    try:
        return prepare(ctx, caller, request, key=key)
    except OrchestratorError as error:
        return error


def _answer(outcome: Outcome) -> Answer:
    if isinstance(outcome, OrchestratorError):
        return outcome
    if outcome.video is None:
        return Gone("The video that this Idempotency-Key has made was removed.")
    return Submitted(outcome.video, outcome.replayed, text=outcome.text)


def _place_key(key: IdempotencyKey, place: int) -> IdempotencyKey:
    """The key of one place. No request can claim it: its route is none of ours."""
    return IdempotencyKey(f"{place} {key.value}", f"{key.route} videos")


def _claim(connection: Connection, claim: Claim) -> None:
    before = idempotency.claim(connection, [claim]).get(claim.name)
    if before is not None and before.fingerprint != claim.fingerprint:
        raise IdempotencyKeyReused


def _any_accepted(answers: Sequence[Answer]) -> bool:
    return any(isinstance(answer, Submitted) for answer in answers)
