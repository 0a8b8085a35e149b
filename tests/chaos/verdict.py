"""What is seen of a cluster afterwards: how everything ended, and what of it must never be."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import text

from orchestrator import invariants
from orchestrator.context import Context
from orchestrator.db.invariants import still_open
from orchestrator.errors import OrchestratorError
from orchestrator.invariants import Violation
from orchestrator.sandbox.render import stamped_id
from tests.chaos.provider import Provider, video_of


class Verdict:
    """Holds what clients were promised (`accepted`) against our rows and the provider's books."""

    def __init__(self, ctx: Context, provider: Provider, accepted: Mapping[str, str]):
        self._ctx = ctx
        self._provider = provider
        self._accepted = accepted
        self.seen: list[Violation] = []

    def look(self) -> None:
        """Note in `seen` what an operator's check would complain of, in the midst of it all. While
        PostgreSQL is away there is nothing to see.
        """
        with contextlib.suppress(OrchestratorError):
            self.seen += invariants.check(self._ctx, read=True)

    def violations(self) -> list[Violation]:
        """Broken promises, with everything settled and every stored byte read."""
        return invariants.check(self._ctx, settled=True, read=True)

    def settled(self) -> bool:
        """Whether nothing is under way any longer."""
        with self._ctx.database.statement() as connection:
            return not any(still_open(connection).values())

    def endings(self, asked: Iterable[str] | None = None) -> Counter[str]:
        """Statuses of these videos (of all that were accepted), with the reason of a failure;
        `vanished` for those that are not there.
        """
        statuses = dict.fromkeys(self._accepted if asked is None else asked, "vanished")
        for video_id, status, code in self.rows("select id, status, error_code from videos"):
            if video_id in statuses or asked is None:
                statuses[video_id] = f"{status}:{code}" if code else status
        return Counter(statuses.values())

    def paid_twice(self) -> list[tuple[Any, ...]]:
        """Videos for which more than one attempt was accepted."""
        return self.rows(
            "select video_id, count(*) from attempts where state = 'accepted' group by 1 "
            "having count(*) > 1"
        )

    def unaccounted(self) -> list[str]:
        """Jobs of the provider that belong to no attempt of ours: each was paid for nothing.

        Whose key a job carries does not matter: equal requests of unknown outcome are
        interchangeable.
        """
        ours = {row[0] for row in self.rows("select canonical_id from attempts")}
        return [job["id"] for job in self._provider.jobs() if job["id"] not in ours]

    def sent_twice(self) -> list[str]:
        """Attempts that the provider took more than once."""
        keys = Counter(job["idempotency_key"] for job in self._provider.jobs())
        return [key for key, times in keys.items() if times > 1]

    def mixed_up(self) -> list[str]:
        """Completed videos whose stored bytes were made for another request."""
        jobs = {job["id"]: job for job in self._provider.jobs()}
        wrong = []
        for video_id, prompt, size, key, ids in self.rows(_STORED):
            with self._ctx.storage.open(key) as content:
                stamp = stamped_id(b"".join(content.chunks))
            made = jobs.get(stamp or "")
            if made is None or stamp not in ids or (made["prompt"], made["size"]) != (prompt, size):
                wrong.append(video_id)
        return wrong

    def delivered(self) -> set[str]:
        """The webhook-ids of the messages that count as delivered."""
        return {
            row[0]
            for row in self.rows("select message_id from deliveries where state = 'delivered'")
        }

    def story(self, about: Iterable[str] = ()) -> str:
        """Everything about these videos, else about those that did not complete: for the message of
        a failed assertion.
        """
        ids = ", ".join(f"'{video_id}'" for video_id in about)
        which = f"v.id in ({ids})" if ids else "v.status <> 'completed'"
        lines = self.rows(f"{_STORY} where {which} order by v.id, a.n limit 20")
        events = self.rows(f"{_TOLD} where video_id in ({ids or 'null'}) order by id")
        jobs = [job for job in self._provider.jobs() if video_of(job) in ids]
        return "\n".join(map(str, [*lines, *events, *jobs]))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What PostgreSQL has."""
        with self._ctx.database.statement() as connection:
            result = connection.execute(text(query))
            return [tuple(row) for row in result] if result.returns_rows else []


_STORY = """
select v.id, v.status, v.step, v.error_code, v.due_at - now(), v.lease_until - now(), v.hold_reason,
  a.n, a.state, a.detached, a.sent_at, a.unknown_at, a.accepted_at, a.upstream_status, a.error,
  a.due_at - now(), a.looks
from videos v left join attempts a on a.video_id = v.id"""
_TOLD = "select video_id, created_at, event_type, event_data from video_events"
_STORED = """
select v.id, v.prompt, v.size, v.content_key, array_agg(a.canonical_id)
from videos v join attempts a on a.video_id = v.id and a.state = 'accepted'
where v.status = 'completed' group by v.id"""
