"""The outbox: whoever writes an event writes, in the same statement, the messages that tell of it.

Where a user has neither endpoints nor a webhook_url that costs one probe of an index.
"""

from __future__ import annotations

from functools import cache

from orchestrator.lifecycle import ENDING_EVENTS


@cache
def queued(told: str = "told", videos: str = "v") -> str:
    """A CTE that queues deliveries: of the events in the CTE `told` (whole rows of video_events),
    about the videos in the CTE `videos`.
    """
    return _INSERT.format(
        told=told,
        status="v.status",
        source=f"join {videos} v on v.id = e.video_id",
        receivers=f"{_ENDPOINTS} union all {_SINGLE}",
        conflict="",
    )


def replayed() -> str:
    """The same for events of the past (the CTE `told`), to one endpoint only: what was told before
    is told again.
    """
    # The status that a video had then is the target of its last change up to that event.
    status = """coalesce((select s.event_data ->> 'to' from video_events s where s.video_id =
        e.video_id and s.seq <= e.seq and s.event_type = 'status_changed' order by s.seq desc
        limit 1), 'queued')"""
    return _INSERT.format(
        told="told",
        status=status,
        source="",
        receivers=f"{_ENDPOINTS} and w.id = :endpoint_id",
        conflict="""on conflict (endpoint_id, message_id) where endpoint_id is not null
          do update set state = 'pending', attempts = 0, due_at = now(), delivered_at = null""",
    )


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
queued as (
  insert into deliveries (message_id, endpoint_id, url, target, user_id, video_id, type, data,
    event_at)
  select 'evt_' || e.id, r.endpoint_id, r.url, r.target, e.user_id, e.video_id,
    'video.' || e.name,
    jsonb_build_object('id', e.video_id, 'status', {status}, 'seq', e.seq,
      'error', case e.name when 'failed' then e.event_data end), e.created_at
  from (select t.*, case when t.event_type <> 'status_changed' then t.event_type
          when t.event_data ->> 'to' = 'in_progress' then 'in_progress' end as name from {told} t) e
  {source}
  cross join lateral ({receivers}) r
  where e.name is not null
  {conflict}
  returning id)
"""
