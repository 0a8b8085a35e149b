"""Many submissions in one request: each is answered for itself, none fails its neighbours.

They are written chunk by chunk, each chunk in one transaction, so that a crash or a lost answer
leaves whole chunks; the same batch sent again under its key gets what there is and adds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestrator.context import Context
from orchestrator.db import idempotency, videos
from orchestrator.db.engine import Connection
from orchestrator.db.idempotency import Claim
from orchestrator.errors import DependencyDown, Gone, IdempotencyKeyReused, OrchestratorError
from orchestrator.intake import tell
from orchestrator.ledger import Outcome, Written, write
from orchestrator.records import Caller
from orchestrator.submissions import Submitted
from orchestrator.wishes import IdempotencyKey, VideoRequest, Wish, prepare

MAX_VIDEOS = 1000
CHUNK = 500
"""Half as many cost a tenth more for each video; twice as many would keep their user's quota from
others for a tenth of a second.
"""

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
    claim = None if key is None else Claim(caller.user_id, key.route, key.value, fingerprint)
    answers: list[Answer] = []
    down: DependencyDown | None = None
    for start in range(0, len(requests), CHUNK):
        chunk = requests[start : start + CHUNK]
        if down is None:
            try:
                answers += _write(ctx, caller, chunk, start, claim)
                continue
            except DependencyDown as error:
                down = error
        answers += [down] * len(chunk)
    if down is not None and not _any_accepted(answers):
        raise down
    if claim is not None and not _any_accepted(answers):
        # Nothing came of it: the key may be used for the repaired batch.
        with ctx.database.statement() as connection:
            idempotency.free_unused(connection, claim)
    return answers


def _write(
    ctx: Context, caller: Caller, requests: Sequence[Request], start: int, claim: Claim | None
) -> list[Answer]:
    """One chunk, which begins at place `start` of its batch."""
    wanted = {place: _wish(ctx, caller, request) for place, request in enumerate(requests, start)}
    with ctx.database.transaction() as connection:
        known = {} if claim is None else _known(connection, claim)
        answers: dict[int, Answer] = {n: w for n, w in wanted.items() if not isinstance(w, Wish)}
        answers |= _replayed(connection, {n: known[n] for n in wanted if n in known})
        fresh = {n: w for n, w in wanted.items() if isinstance(w, Wish) and n not in answers}
        wishes = list(fresh.values())
        outcomes = dict(zip(fresh, write(ctx.catalog, connection, wishes), strict=True))
        if claim is not None:
            idempotency.note(connection, claim, known | _made(outcomes))
    # Few look at each video of a batch before it changes: who does so first puts it into the cache.
    told = tell(ctx, list(outcomes.values()), wishes, cached=False)
    answers |= dict(zip(fresh, map(_answer, told), strict=True))
    return [answers[place] for place in wanted]


def _wish(ctx: Context, caller: Caller, request: Request) -> Wish | OrchestratorError:
    if isinstance(request, OrchestratorError):
        return request
    try:
        return prepare(ctx, caller, request)
    except OrchestratorError as error:
        return error


def _known(connection: Connection, claim: Claim) -> dict[int, str]:
    fingerprint, known = idempotency.lock(connection, claim)
    if fingerprint != claim.fingerprint:
        raise IdempotencyKeyReused
    return known


def _replayed(connection: Connection, known: Mapping[int, str]) -> dict[int, Answer]:
    """The answers of places that have led to videos before."""
    found = videos.get_many(connection, list(known.values())) if known else {}
    return {n: _answer(Written(found.get(known[n]), replayed=True)) for n in known}


def _made(outcomes: Mapping[int, Outcome]) -> dict[int, str]:
    return {
        place: outcome.video.id
        for place, outcome in outcomes.items()
        if isinstance(outcome, Written) and outcome.video is not None
    }


def _answer(outcome: Outcome) -> Answer:
    if isinstance(outcome, OrchestratorError):
        return outcome
    if outcome.video is None:
        return Gone("The video that this Idempotency-Key has made was removed.")
    return Submitted(outcome.video, outcome.replayed, text=outcome.text)


def _any_accepted(answers: Sequence[Answer]) -> bool:
    return any(isinstance(answer, Submitted) for answer in answers)
