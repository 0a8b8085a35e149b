"""`idempotency_keys`: a key is taken in the transaction that writes what it asks for, so it can be
neither stuck nor lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, text

from orchestrator.db.prepared import often

Name = tuple[str, str, str]
"""(user id, route, key)"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that somebody wants for a request, and the video that it is to make (None: many, see
    `lock`).
    """

    user_id: str
    route: str
    key: str
    fingerprint: str
    video_id: str | None = None

    @property
    def name(self) -> Name:
        """What the key is known by."""
        return self.user_id, self.route, self.key


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a key has led to before."""

    fingerprint: str
    video_ids: tuple[str, ...]


# In the order of the keys, so that two batches cannot wait for each other.
_CLAIM = often(
    text(
        """
    insert into idempotency_keys (user_id, route, key, fingerprint, status_code, video_ids)
    select w.user_id, w.route, w.key, w.fingerprint, 202,
      array_remove(array[w.video_id], null)
    from unnest(cast(:user_id as text[]), cast(:route as text[]), cast(:key as text[]),
      cast(:fingerprint as text[]), cast(:video_id as text[]))
      as w(user_id, route, key, fingerprint, video_id)
    order by w.user_id collate "C", w.route, w.key collate "C"
    on conflict do nothing returning user_id, route, key
    """
    )
)
_FIND = often(
    text(
        """
    select k.user_id, k.route, k.key, k.fingerprint, k.video_ids
    from unnest(cast(:user_id as text[]), cast(:route as text[]), cast(:key as text[]))
      as w(user_id, route, key)
    join idempotency_keys k on k.user_id = w.user_id collate "C" and k.route = w.route
      and k.key = w.key collate "C"
    """
    )
)
_FREE = text(
    """
    delete from idempotency_keys k
    using unnest(cast(:user_id as text[]), cast(:route as text[]), cast(:key as text[]))
      as w(user_id, route, key)
    where k.user_id = w.user_id collate "C" and k.route = w.route and k.key = w.key collate "C"
    """
)
# The row is written though nothing changes: that locks it, and shows it as it is by then.
_LOCK = often(
    text(
        """
    insert into idempotency_keys as k (user_id, route, key, fingerprint, status_code, video_ids)
    values (:user_id, :route, :key, :fingerprint, 202, '{}')
    on conflict (user_id, route, key) do update set key = k.key
    returning k.fingerprint, k.video_ids
    """
    )
)
_NOTE = often(
    text(
        """
    update idempotency_keys set video_ids = string_to_array(:video_ids, ',', '')
    where user_id = :user_id and route = :route and key = :key
    """
    )
)
_FREE_UNUSED = text(
    """
    delete from idempotency_keys
    where user_id = :user_id and route = :route and key = :key
      and array_remove(video_ids, null) = '{}'
    """
)
_COLUMNS = tuple(field.name for field in fields(Claim))


def claim(connection: Connection, claims: Sequence[Claim]) -> dict[Name, Remembered]:
    """Take these keys, all different. Those that are missing in the answer are ours now; the others
    were used before.

    Waits for transactions that are just taking the same keys, and so sees what became of them.
    """
    before: dict[Name, Remembered] = {}
    wanted = {claim.name: claim for claim in claims}
    while wanted:
        taken = {tuple(row) for row in connection.execute(_CLAIM, _arrays(wanted.values()))}
        wanted = {name: claim for name, claim in wanted.items() if name not in taken}
        if wanted:
            found = connection.execute(_FIND, _arrays(wanted.values())).all()
            before |= {(row[0], row[1], row[2]): Remembered(row[3], tuple(row[4])) for row in found}
            # A key that was neither free nor is there has been freed in between: now it can be had.
            wanted = {name: claim for name, claim in wanted.items() if name not in before}
    return before


def free(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give these keys back: what was asked for with them was refused."""
    if claims:
        connection.execute(_FREE, _arrays(claims))


def lock(connection: Connection, claim: Claim) -> tuple[str, dict[int, str]]:
    """Take the key of a request for many videos; others who have it wait until the transaction
    ends. Returns the fingerprint that it stands for, and the videos that it has led to, by place.
    """
    fingerprint, video_ids = connection.execute(_LOCK, asdict(claim)).one()
    return fingerprint, {n: found for n, found in enumerate(video_ids) if found is not None}


def note(connection: Connection, claim: Claim, known: Mapping[int, str]) -> None:
    """Remember the videos of a locked key, by place."""
    # A list of a thousand takes twenty times as long as a text to be sent.
    video_ids = ",".join(known.get(place, "") for place in range(max(known, default=-1) + 1))
    connection.execute(_NOTE, {**asdict(claim), "video_ids": video_ids})


def free_unused(connection: Connection, claim: Claim) -> None:
    """Give the key of a request for many videos back, unless it has led to one."""
    connection.execute(_FREE_UNUSED, asdict(claim))


def _arrays(claims: Iterable[Claim]) -> dict[str, list[str | None]]:
    found = list(claims)
    return {name: [getattr(claim, name) for claim in found] for name in _COLUMNS}
