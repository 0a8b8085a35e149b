"""The outbox: whoever writes an event writes, in its transaction, the messages that tell of it.

The statement that writes the event asks on its way whether anybody wants to know (`WANTED`): where
nobody does, that probe of an index is all. Joining the receivers to that statement instead would
take half as long again to plan, for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, text

from orchestrator.lifecycle import ENDING_EVENTS

WANTED = """(v.webhook_url is not null or exists (select 1 from webhook_endpoints w
  where w.user_id = v.user_id and w.url is not null and w.disabled_at is null))"""
"""Whether anybody is to be told of the video `v`."""

_ENDPOINTS = """
    select w.id as endpoint_id, cast(null as text) as url, w.id as target
    from webhook_endpoints w where w.user_id = e.user_id and w.url is not null
      and w.disabled_at is null and 'video.' || e.name = any(w.events)"""
_ENDINGS = ", ".join(f"'{event}'" for event in ENDING_EVENTS)
_SINGLE = f"""
    select null, v.webhook_url, e.user_id || ' ' || substring(v.webhook_url from '^[^/]*//[^/?]*')
    where v.webhook_url is not null and e.name in ({_ENDINGS})"""
# Of the changes of status only the beginning of work is told as such: each of the others comes with
# an event of its own.
_INSERT = """
  insert into deliveries (message_id, endpoint_id, url, target, user_id, video_id, type, data,
    event_at)
  select 'evt_' || e.id, r.endpoint_id, r.url, r.target, e.user_id, e.video_id,
    'video.' || e.name,
    jsonb_build_object('id', e.video_id, 'status', {status}, 'seq', e.seq,
      'error', case e.name when 'failed' then e.event_data end), e.created_at
  from (select t.*, case when t.event_type <> 'status_changed' then t.event_type
          when t.event_data ->> 'to' = 'in_progress' then 'in_progress' end as name
        from ({told}) t) e
  join videos v on v.id = e.video_id
  cross join lateral ({receivers}) r
  where e.name is not null
"""
_FRESH = _INSERT.format(
    status="v.status",
    told="""select f.* from video_events f join videos w on w.id = f.video_id
      where f.video_id = any(:ids) and f.seq > w.seq - :last order by f.id""",
    receivers=f"{_ENDPOINTS} union all {_SINGLE}",
)
# The status that a video had then is the target of its last change up to that event.
_PAST = (
    _INSERT.format(
        status="""coalesce((select s.event_data ->> 'to' from video_events s
          where s.video_id = e.video_id and s.seq <= e.seq and s.event_type = 'status_changed'
          order by s.seq desc limit 1), 'queued')""",
        told="select * from video_events where id = any(cast(:ids as bigint[])) order by id",
        receivers=f"{_ENDPOINTS} and w.id = :endpoint_id",
    )
    + """on conflict (endpoint_id, message_id) where endpoint_id is not null
         do update set state = 'pending', attempts = 0, due_at = now(), delivered_at = null"""
)


def queue(connection: Connection, video_ids: Sequence[str], *, last: int) -> None:
    """Queue the messages that tell of the last `last` events of each of these videos."""
    connection.execute(text(_FRESH), {"ids": list(video_ids), "last": last})


def repeat(connection: Connection, endpoint_id: str, event_ids: Sequence[int]) -> int:
    """Queue messages of these past events for one endpoint, as far as it wants to know; what was
    told before is told again. Returns how many.
    """
    return connection.execute(
        text(_PAST), {"endpoint_id": endpoint_id, "ids": list(event_ids)}
    ).rowcount
