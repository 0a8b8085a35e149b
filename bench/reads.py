"""Reading: one video that is in the cache, and lists at any depth."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from bench.load.generator import Request
from bench.measurement import Contestant, Goal, Measurement, Scale
from bench.metrics import Metrics
from bench.stage import Stage, Web
from bench.users import User, enrol

GET = "orchestrator, GET of a cached video"
TOP = "orchestrator, list, newest"
MIDDLE = "orchestrator, list, 200,000 deep"
DEEP = "orchestrator, list, 450,000 deep"
FILTERED = "orchestrator, list of one status, 90,000 deep"
_USERS = 100
_DEPTHS = {TOP: 0, MIDDLE: 200_000, DEEP: 450_000}
# Half of a million videos are the first user's, every fifth of them failed.
_FILL = """
insert into videos (id, user_id, model, status, prompt, size, seconds, provider, account,
  fingerprint, quota_period, quota_state, created_at, finished_at, completed_at, content_key,
  content_bytes, content_type, progress, seq)
select 'video_' || replace(uuidv7(n * interval '-1 second')::text, '-', ''),
  case n % 2 when 0 then 'user-0' else 'user-' || n % 100 end, 'sora-2',
  case when failed then 'failed' else 'completed' end, 'A paper boat, number ' || n, '720x1280',
  '4', 'openai', 'default', md5(n::text), now(),
  case when failed then 'released' else 'kept' end, at, at,
  case when not failed then at end, 'videos/' || n || '.mp4', 1000, 'video/mp4', 100, 5
from generate_series(1, 1000000) n,
  lateral (select now() - n * interval '1 second' as at, n % 10 = 0 as failed) made"""

_PLACE = """
select created_at, id from videos where user_id = %s and (%s = '' or status = %s)
order by created_at desc, id desc limit 1 offset %s"""


@contextmanager
def _contestants(stage: Stage, scale: Scale) -> Iterator[Sequence[Contestant]]:
    url = stage.database("reads")
    users = enrol(url, _USERS)
    stage.sql(url, _FILL, "vacuum analyze videos")
    by_id = {user.id: user for user in users}
    rows = stage.query(
        url, "select id, user_id from videos where user_id = any(%s) limit 1000", (list(by_id),)
    )
    gets = [Request("GET", f"/api/videos/{row[0]}", by_id[row[1]].headers) for row in rows]
    with stage.web(url, processes=scale.processes) as web:
        lists = {
            name: _list(stage, url, web, users[0], "", depth) for name, depth in _DEPTHS.items()
        }
        lists[FILTERED] = _list(stage, url, web, users[0], "failed", 90_000)
        run = partial(_run, stage, web, scale.seconds)
        yield [
            Contestant(GET, partial(run, 64, gets)),
            *(Contestant(name, partial(run, 4, [request])) for name, request in lists.items()),
        ]


def _run(
    stage: Stage, web: Web, seconds: float, connections: int, requests: Sequence[Request]
) -> Metrics:
    run = partial(stage.generator.run, web.port, requests, connections=connections)
    run(limit=len(requests))
    return run(seconds=seconds).metrics()


def _list(stage: Stage, url: str, web: Web, user: User, status: str, depth: int) -> Request:
    """A page that begins behind so many videos.

    A cursor says where its page ended. One from the first page, moved, spares us the walk there.
    """
    path = f"/api/videos?status={status}" if status else "/api/videos?"
    if depth == 0:
        return Request("GET", path, user.headers)
    ((created_at, video_id),) = stage.query(url, _PLACE, (user.id, status, status, depth))
    first = urllib.request.Request(f"http://127.0.0.1:{web.port}{path}", headers=dict(user.headers))
    with urllib.request.urlopen(first, timeout=30) as answer:  # noqa: S310 - a server of ours
        cursor = json.load(answer)["next_cursor"]
    _, _, bound = json.loads(base64.urlsafe_b64decode(cursor + "=="))
    moved = json.dumps([created_at.isoformat(), video_id, bound]).encode()
    cursor = base64.urlsafe_b64encode(moved).decode().rstrip("=")
    return Request("GET", f"{path}&cursor={cursor}".replace("?&", "?"), user.headers)


MEASUREMENT = Measurement(
    "reads",
    "Reading over HTTP",
    _contestants,
    (
        Goal("Cached GETs a second", GET, "per_second", "at least", 5000, paced=True),
        *(
            Goal(
                f"p99 of a page ({name.partition(', ')[2]}, ms)",
                name,
                "p99_ms",
                "at most",
                10,
                paced=True,
            )
            for name in (TOP, MIDDLE, DEEP, FILTERED)
        ),
    ),
)
