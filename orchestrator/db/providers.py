"""`providers`: pauses, rate tokens, observed durations. Shared by all processes, so that one of
them learns for all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select, text

from orchestrator.db.prepared import often
from orchestrator.db.tables import providers
from orchestrator.policies import OBSERVED_DURATIONS
from orchestrator.records import ProviderState


def states(connection: Connection) -> dict[tuple[str, str], ProviderState]:
    """What is known of every account that was ever used, by (name, account)."""
    rows = connection.execute(select(providers))
    return {(row[0], row[1]): ProviderState(*row) for row in rows}


_GET = often(
    select(providers).where(
        providers.c.name == bindparam("name"), providers.c.account == bindparam("account")
    )
)


def get(connection: Connection, name: str, account: str) -> ProviderState | None:
    """What is known of one account; None before its first use."""
    row = connection.execute(_GET, {"name": name, "account": account}).one_or_none()
    return None if row is None else ProviderState(*row)


def paused(connection: Connection) -> set[tuple[str, str]]:
    """The accounts that may not be sent anything now, as (name, account)."""
    rows = connection.execute(
        text("select name, account from providers where paused_until > now()")
    )
    return {(row[0], row[1]) for row in rows}


def pause(
    connection: Connection,
    name: str,
    account: str,
    *,
    reason: str,
    seconds: float,
    growing: bool = True,
) -> None:
    """No new submissions there for a while. A shorter pause never cuts a longer one short.

    Args:
        growing: counts for the backoff of the next pause.
    """
    connection.execute(
        text(
            """
            insert into providers as p (name, account, paused_until, pause_reason, pauses)
            values (:name, :account, now() + make_interval(secs => :seconds), :reason, :growing)
            on conflict (name, account) do update set
              pause_reason = case when p.paused_until > excluded.paused_until then p.pause_reason
              else excluded.pause_reason end,
              paused_until = greatest(p.paused_until, excluded.paused_until),
              pauses = p.pauses + case when p.paused_until > now() then 0 else :growing end,
              updated_at = now()
            """
        ),
        {
            "name": name,
            "account": account,
            "seconds": seconds,
            "reason": reason,
            "growing": int(growing),
        },
    )


def stop(connection: Connection, name: str, account: str, *, reason: str) -> None:
    """No new submissions there until somebody resumes."""
    connection.execute(
        text(
            """
            insert into providers (name, account, paused_until, pause_reason) values (:name,
              :account, 'infinity', :reason)
            on conflict (name, account) do update set paused_until = 'infinity', pause_reason =
              :reason, updated_at = now()
            """
        ),
        {"name": name, "account": account, "reason": reason},
    )


def resume(connection: Connection, name: str, account: str) -> bool:
    """Lift a pause. False: there was none."""
    return bool(
        connection.execute(
            text(
                "update providers set paused_until = null, pause_reason = null, pauses = 0, "
                "polls_paused_until = null, "
                "updated_at = now() where name = :name and account = :account "
                "and (paused_until > now() or polls_paused_until > now())"
            ),
            {"name": name, "account": account},
        ).rowcount
    )


_RECOVERED = often(
    text(
        "update providers set pauses = 0, paused_until = null, pause_reason = null, "
        "updated_at = now() "
        "where name = :name and account = :account and pauses > 0 and paused_until <= now()"
    )
)


def recovered(connection: Connection, name: str, account: str) -> None:
    """It answers again: the next pause starts short."""
    connection.execute(_RECOVERED, {"name": name, "account": account})


def pause_polls(connection: Connection, name: str, account: str, *, seconds: float) -> None:
    """No looks at this account for a while: it has told one of us that we ask too often."""
    connection.execute(
        text(
            """
            insert into providers as p (name, account, polls_paused_until)
            values (:name, :account, now() + make_interval(secs => :seconds))
            on conflict (name, account) do update set
              polls_paused_until = greatest(p.polls_paused_until, excluded.polls_paused_until),
              updated_at = now()
            """
        ),
        {"name": name, "account": account, "seconds": seconds},
    )


def polls_paused_for(connection: Connection, name: str, account: str) -> float:
    """Seconds for which this account should not be asked anything; 0 when it may."""
    return float(
        connection.scalar(
            text(
                "select greatest(0, extract(epoch from polls_paused_until - now())) from providers "
                "where name = :name and account = :account"
            ),
            {"name": name, "account": account},
        )
        or 0
    )


def tokens(connection: Connection, name: str, account: str, *, rpm: int) -> int:
    """How many creates the account's rate allows now.

    A bucket of a minute's worth is too bursty for servers that count in shorter windows: it
    holds ten seconds'.
    """
    row = connection.execute(
        text(
            """
            insert into providers as p (name, account, rate_tokens, rate_at)
            values (:name, :account, :burst, now())
            on conflict (name, account) do update set rate_at = now(), rate_tokens = least(:burst,
              coalesce(p.rate_tokens, :burst) + extract(epoch from now() - coalesce(p.rate_at,
              now())) * :rate)
            returning rate_tokens
            """
        ),
        {"name": name, "account": account, "burst": max(1.0, rpm / 6), "rate": rpm / 60},
    ).one()
    return int(row[0])


def spend(connection: Connection, name: str, account: str, *, creates: int) -> None:
    """Note so many creates against the account's rate."""
    connection.execute(
        text(
            "update providers set rate_tokens = rate_tokens - :creates where name = :name "
            "and account = :account"
        ),
        {"name": name, "account": account, "creates": creates},
    )


def observe(
    connection: Connection, name: str, account: str, key: str, seconds: Sequence[float]
) -> None:
    """Remember how long videos of this kind took, from acceptance to the end: the last few are
    kept.
    """
    connection.execute(
        text(
            f"""
            insert into providers as p (name, account, durations)
            values (:name, :account,
              jsonb_build_object(cast(:key as text), cast(:seconds as jsonb)))
            on conflict (name, account) do update set updated_at = now(), durations = p.durations
              || jsonb_build_object(
              cast(:key as text), coalesce((
                select jsonb_agg(d.value order by d.place) from (
                  select * from jsonb_array_elements(p.durations -> :key) with ordinality
                    d(value, place)
                  order by place desc limit {OBSERVED_DURATIONS} - :number) d),
                cast('[]' as jsonb))
              || cast(:seconds as jsonb))
            """
        ),
        {
            "name": name,
            "account": account,
            "key": key,
            "seconds": json.dumps([round(one, 3) for one in seconds]),
            "number": len(seconds),
        },
    )


def count(
    connection: Connection,
    name: str,
    account: str,
    *,
    unclaimed: int | None = None,
    duplicates: int = 0,
) -> None:
    """Note how many videos of its list nobody here asked for (as of the last walk), and late
    successes (added up).
    """
    connection.execute(
        text(
            """
            insert into providers as p (name, account, unclaimed, duplicates)
            values (:name, :account, coalesce(:unclaimed, 0), :duplicates)
            on conflict (name, account) do update set unclaimed = coalesce(:unclaimed, p.unclaimed),
              duplicates = p.duplicates + :duplicates, updated_at = now()
            """
        ),
        {"name": name, "account": account, "unclaimed": unclaimed, "duplicates": duplicates},
    )
