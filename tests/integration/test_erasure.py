"""Erasing a user: nothing personal is left in any table or file, and the money stays."""

from __future__ import annotations

from decimal import Decimal

import pytest
from sqlalchemy import text

from orchestrator import accounts, delivery_log, endpoints, erasure, invariants, submissions, views
from orchestrator.accounts import Authenticator
from orchestrator.context import Context
from orchestrator.errors import InvalidRequest, Unauthenticated
from orchestrator.records import Caller
from orchestrator.wishes import IdempotencyKey, InputFile
from tests.api_client import ApiClient
from tests.cli import run
from tests.core import make_request, row, sql
from tests.factories import complete, make_image, start

SECRETS = ("ann@example.com", "a private wish", "hook.example")


def fill(ctx: Context) -> list[str]:
    """A user with one of everything; returns the ids of her videos."""
    ann = Caller("ann@example.com")
    accounts.create_key(ctx, ann.user_id, by=Caller("root", "admin"))
    endpoint = endpoints.create(ctx, ann, "https://93.184.216.34/hook.example")
    delivery_log.ping(ctx, ann, endpoint.id)
    request = make_request("a private wish", metadata={"note": "a private wish"})
    image = make_request("a private wish", input_reference=InputFile(make_image(size=(320, 240))))
    done = submissions.create(ctx, ann, request, key=IdempotencyKey("k", "POST /api/videos"))
    running = submissions.create(ctx, ann, make_request("a private wish, running"))
    waiting = submissions.create(ctx, ann, image)
    complete(ctx, done.video.id)
    start(ctx, running.video.id)
    return [done.video.id, running.video.id, waiting.video.id]


def everything(ctx: Context) -> str:
    """All rows of all tables, as one text."""
    with ctx.database.statement() as connection:
        names = connection.scalars(
            text("select tablename from pg_tables where schemaname = 'public'")
        ).all()
        return "\n".join(
            str(row) for name in names for row in connection.execute(text(f"table {name}"))
        )


def test_nothing_personal_is_left_when_a_user_is_erased(ctx: Context) -> None:
    """In no column of any table, in no file, and in the cache."""
    ids = fill(ctx)
    before = everything(ctx)

    erased = erasure.erase(ctx, "ann@example.com")

    after = everything(ctx)
    assert (True, 1, 3) == (erased.complete, erased.keys, erased.videos)
    assert all(secret in before for secret in SECRETS)
    assert [] == [secret for secret in SECRETS if secret in after]
    assert [] == list(ctx.storage.list("", limit=10))
    assert [None] * 3 == [ctx.cache.get_video(video_id) for video_id in ids]


def test_slow_reader_brings_nothing_back_when_a_user_is_erased(ctx: Context) -> None:
    """Who had read the row before may not put it into the cache after."""
    ids = fill(ctx)
    known = [views.video(row(ctx, video_id)) for video_id in ids]

    erasure.erase(ctx, "ann@example.com")

    assert [False] * 3 == [ctx.cache.put_video(video) for video in known]


def test_money_stays_when_a_user_is_erased(ctx: Context) -> None:
    """The sum of what videos cost is the same, and every rule between the rows holds."""
    fill(ctx)
    sql(ctx, "update videos set cost_actual = 0.4 where status = 'completed'")
    total = "select count(*), sum(cost_actual), count(distinct user_id) from videos"

    erasure.erase(ctx, "ann@example.com")

    assert [(3, Decimal("0.4"), 1)] == [tuple(row) for row in sql(ctx, total)]
    # The fixture charges and starts videos without attempts, which two rules would report.
    made_up = {
        "completed videos are charged once",
        "an ended video is settled, or its attempt is watched",
    }
    assert [] == [one for one in invariants.check(ctx) if one.rule not in made_up]


def test_key_opens_nothing_when_its_user_was_erased(ctx: Context) -> None:
    """The keys go first."""
    made = accounts.create_key(ctx, "ann")

    erasure.erase(ctx, "ann")

    with pytest.raises(Unauthenticated):
        Authenticator(ctx).caller(made.secret)


def test_erasing_goes_on_where_it_stopped(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded batches; a repetition of a whole one finds nothing."""
    monkeypatch.setattr(erasure, "BATCH", 1)
    fill(ctx)

    answers = [erasure.erase(ctx, "ann@example.com", max_batches=2) for _ in range(3)]

    assert [(False, 2), (True, 1), (True, 0)] == [(one.complete, one.videos) for one in answers]


def test_others_keep_their_data_when_a_user_is_erased(ctx: Context) -> None:
    """Those whose names begin alike, too."""
    for user_id in ("ann", "ann b", "an"):
        accounts.create_key(ctx, user_id)
        submissions.create(ctx, Caller(user_id), make_request())

    erasure.erase(ctx, "ann")

    left = sql(ctx, "select user_id from videos where prompt <> '' order by 1")
    assert ["an", "ann b"] == [user_id for (user_id,) in left]
    assert {"an", "ann b"} == {key.user_id for key in accounts.list_keys(ctx)}


def test_user_is_erased_over_http(api: ApiClient, ctx: Context) -> None:
    """By an admin, who is told what went."""
    fill(ctx)

    answer = api.delete("/api/admin/users/ann@example.com", headers={"X-User-Id": "admin"})

    assert {"complete": True, "keys": 1, "videos": 3, "at_provider": 0} == answer.get_json()
    assert "ann@example.com" not in everything(ctx)


def test_user_is_erased_at_the_command_line(ctx: Context, database_url: str) -> None:
    """Only after --yes, or after one has said so."""
    fill(ctx)
    env = {
        "DATABASE_URL": database_url,
        "STORAGE_URL": ctx.settings.storage_url,
        "REDIS_URL": ctx.settings.redis_url,
    }

    asked = run("users", "erase", "ann@example.com", env=env)
    done = run("users", "erase", "ann@example.com", "--yes", env=env)

    assert 1 == asked.exit_code
    assert (0, "Erased: 3 videos, 1 keys.\n") == (done.exit_code, done.stdout)


def test_id_is_refused_when_it_cannot_be_one(ctx: Context) -> None:
    """As everywhere."""
    with pytest.raises(InvalidRequest):
        erasure.erase(ctx, " ")
