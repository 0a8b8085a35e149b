"""New videos on their way into the database: what all of a lot have in common is sent once, and
only what the database decides comes back. The rest of their records is what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from pydantic_core import to_json

from orchestrator.db import outbox
from orchestrator.records import Video

Row = Mapping[str, Any]

# What a new video brings; everything else has a default or is decided here.
GIVEN = {
    "id": "text",
    "user_id": "text",
    "model": "text",
    "prompt": "text",
    "size": "text",
    "seconds": "text",
    "quality": "text",
    "remixed_from_video_id": "text",
    "metadata": "jsonb",
    "kind": "text",
    "provider": "text",
    "account": "text",
    "run_at": "timestamptz",
    "priority": "smallint",
    "fingerprint": "text",
    "api_key_id": "text",
    "retry_of": "text",
    "cost_estimated": "numeric",
    "quota_period": "timestamptz",
    "webhook_url": "text",
    "input_key": "text",
    "input_sha256": "text",
    "input_bytes": "bigint",
    "input_type": "text",
    "extension_seconds": "text",
    "sdk_tries": "smallint",
    "candidates": "text[]",
}
_NAMES = ", ".join(GIVEN)
_SOURCES = ", ".join(f"g.{name}" for name in GIVEN)
VIDEOS = f"""
  insert into videos ({_NAMES}, step, due_at, snoozed, admitted_at, rung_at, rank_at, seq)
  select {_SOURCES}, 'submit', coalesce(g.run_at, now()), coalesce(g.run_at > now(), false),
    case when g.admit then now() end, case when g.admit then now() end,
    now() - g.priority * interval '10 minutes', jsonb_array_length(g.events)
  from {{source}} g returning id, user_id, metadata, webhook_url"""
EVENTS = """
  insert into video_events (video_id, event_type, event_data, seq, user_id)
  select g.id, e.value ->> 'type', e.value -> 'data', e.place, g.user_id
  from {source} g, jsonb_array_elements(g.events) with ordinality e(value, place)"""
"""How videos and their first events are written, from rows of `GIVEN`, `admit` and `events`."""

# Documents come back, since jsonb keeps neither the order of names nor how numbers were written.
DECIDED = f"""count(*), now(), array_agg(v.id) filter (where {outbox.WANTED}),
  jsonb_object_agg(v.id, v.metadata) filter (where v.metadata <> '{{}}')"""
"""What comes back of the videos `v`: their number, the time, of whom somebody is to be told, and
their documents.
"""


def given(columns: Mapping[str, str]) -> str:
    """A query of the rows that `sent` sends: the names of their columns and the types."""
    types = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    sources = ", ".join(f"coalesce(g.{name}, c.{name}) as {name}" for name in columns)
    return f"""select {sources} from jsonb_to_recordset(cast(:rows as jsonb)) as g({types}),
      jsonb_to_record(cast(:common as jsonb)) as c({types})"""


def sent(rows: Sequence[Row]) -> dict[str, str]:
    """The parameters of `given`. To take rows out of JSON is a fifth of what they cost PostgreSQL,
    and those of a lot differ in little more than their prompts.
    """
    common = {
        name: value
        for name, value in rows[0].items()
        # To Python a 1, a 1.0 and a true are equal, to whoever wrote a document they are not.
        if (name != "metadata" or not value) and all(row.get(name) == value for row in rows)
    }
    names = set().union(*rows) - common.keys()
    own = [{name: row[name] for name in names if name in row} for row in rows]
    return {"rows": to_json(own).decode(), "common": to_json(common).decode()}


_NEW = {
    "status": "queued",
    "progress": 0,
    "step": "submit",
    "failures": 0,
    "cost_actual": Decimal(0),
    "quota_state": "reserved",
    "pictures_tries": 0,
}
_PLACES = Decimal("0.0001")


def arrived(
    row: Row,
    now: datetime,
    *,
    period: datetime,
    admitted: bool,
    documents: Mapping[str, Any] | None,
) -> Video:
    """The record of a video that was written from this row in the transaction of `now`.

    documents: the metadata of those videos that have any, by id.
    """
    run_at = row.get("run_at") and row["run_at"].astimezone(UTC)
    candidates = row.get("candidates")
    known = {
        **_NEW,
        **row,
        "created_at": now,
        "updated_at": now,
        "metadata": (documents or {}).get(row["id"], {}),
        "kind": str(row["kind"]),
        "run_at": run_at,
        "due_at": run_at or now,
        "snoozed": run_at is not None and run_at > now,
        "rung_at": now if admitted else None,
        "admitted_at": now if admitted else None,
        "rank_at": now - row["priority"] * timedelta(minutes=10),
        "seq": len(row["events"]),
        "cost_estimated": row["cost_estimated"].quantize(_PLACES, ROUND_HALF_UP),
        "quota_period": period,
        "candidates": candidates and list(candidates),
    }
    return Video._make(map(known.get, Video._fields))
