"""Outgoing webhooks: written with their events, signed, sent until taken, and nobody waits for a
dead receiver.
"""

import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from openai import OpenAI
from standardwebhooks import Webhook

from orchestrator import audit, deliveries, delivery_log, dispatch, endings, endpoints, housekeeping
from orchestrator.audit import Action
from orchestrator.db import transitions
from orchestrator.errors import Conflict, InvalidRequest, NotFound
from orchestrator.lifecycle import CANCEL
from orchestrator.records import Caller
from orchestrator.videos import archive
from tests.answering_server import Answer, answering_server
from tests.core import accept, caller, opened, race, sql, submit
from tests.factories import complete, fail

ALL = ("video.created", "video.in_progress", "video.completed", "video.failed", "video.deleted")


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database, with fixed dice."""
    with opened(database_url, tmp_path) as ctx:
        yield replace(ctx, dice=lambda: 0.5)


@pytest.fixture
def receiver():
    """A server that takes everything at `/hook`."""
    with answering_server() as server:
        server.answer("POST /hook", Answer(b"thank you"))
        yield server


def listen(ctx, receiver, user_id="ann", **options):
    """An endpoint of this user at the receiver's `/hook`."""
    return endpoints.create(ctx, caller(user_id), f"{receiver.url}/hook", **options)


def log(ctx, user_id="ann", **filters):
    """The deliveries of a user, oldest first."""
    return delivery_log.page(ctx, user_id, filters)[::-1]


def due(ctx):
    """Let everything be due now, and every receiver be worth a try."""
    sql(ctx, "update deliveries set due_at = now() where state = 'pending'")
    sql(ctx, "update webhook_targets set blocked_until = null, rung_at = null")


def rung(ctx):
    """Whom the sweep rings for."""
    before = len(ctx.broker.rings)
    dispatch.sweep(ctx)
    return [ring.args[0] for ring in ctx.broker.rings[before:] if ring.task == "deliver"]


def work(ctx):
    """What the workers do about one sweep."""
    for target in rung(ctx):
        deliveries.deliver(ctx, target)


def told(receiver):
    """The messages that have arrived, as (webhook-id, type)."""
    return [(asked.headers["webhook-id"], asked.json["type"]) for asked in receiver.asked]


def wait_until(ctx, delivery_id):
    """Seconds until a delivery is due."""
    ((seconds,),) = sql(
        ctx,
        "select extract(epoch from due_at - now()) from deliveries where id = :id",
        id=delivery_id,
    )
    return float(seconds)


def test_endpoint_is_told_how_a_video_ends(ctx, receiver):
    """What it does not ask for is not told."""
    listen(ctx, receiver)
    video = complete(ctx, submit(ctx).id)

    work(ctx)

    (asked,) = receiver.asked
    ((event_id, created),) = sql(
        ctx, "select id, created_at from video_events where event_type = 'completed'"
    )
    assert {
        "id": f"evt_{event_id}",
        "object": "event",
        "type": "video.completed",
        "created_at": int(created.timestamp()),
        "data": {"id": video.id, "status": "completed", "seq": video.seq, "error": None},
    } == asked.json
    assert "application/json" == asked.headers["Content-Type"]
    (delivery,) = log(ctx)
    assert ("delivered", 1, 200, "thank you", None) == (
        delivery.state,
        delivery.attempts,
        delivery.status_code,
        delivery.response,
        delivery.error,
    )


def test_endpoint_is_told_each_thing_that_it_asks_for(ctx, receiver):
    """From the beginning to the end, each with the number and the status of its moment."""
    listen(ctx, receiver, events=ALL)
    video = submit(ctx)
    complete(ctx, video.id)
    endings.delete(ctx, caller(), video.id)

    work(ctx)

    assert [
        ("video.created", 1, "queued"),
        ("video.in_progress", 2, "in_progress"),
        ("video.completed", 4, "completed"),
        ("video.deleted", 6, "deleted"),
    ] == [
        (asked.json["type"], asked.json["data"]["seq"], asked.json["data"]["status"])
        for asked in receiver.asked
    ]


def test_failure_is_told_with_its_reason(ctx, receiver):
    """The same code and words as in the video."""
    listen(ctx, receiver)
    with ctx.database.transaction() as connection:
        video = transitions.fail(connection, submit(ctx).id, code="lost", message="It is gone.")

    work(ctx)

    assert {"code": video.error_code, "message": video.error_message} == (
        receiver.asked[0].json["data"]["error"]
    )


def test_nothing_is_queued_when_nobody_wants_to_know(ctx, receiver):
    """Not for users without endpoints, not of changes without a type, not while it is off."""
    listen(ctx, receiver, "bob")
    off = listen(ctx, receiver)
    endpoints.change(ctx, caller(), off.id, {}, disabled=True)
    video = complete(ctx, submit(ctx).id)
    archive(ctx, caller(), video.id)

    assert [] == rung(ctx)
    assert [(0,)] == sql(ctx, "select count(*) from deliveries")


def test_message_is_undone_with_its_event(ctx, receiver):
    """Both are one transaction: what did not happen is not told."""
    listen(ctx, receiver, events=ALL)

    video = submit(ctx)

    with suppress(RuntimeError), ctx.database.transaction() as connection:
        transitions.transition(connection, video.id, CANCEL)
        raise RuntimeError

    assert ["video.created"] == [delivery.type for delivery in log(ctx)]


def test_only_one_ending_is_told_when_several_race(ctx, receiver):
    """As there is one finaliser there is one message."""
    listen(ctx, receiver)
    for _ in range(5):
        video = submit(ctx)
        accept(ctx, video.id)

        race(
            *[lambda v=video.id: endings.cancel(ctx, caller(), v)] * 3,
            lambda v=video.id: fail(ctx, v),
        )

    work(ctx)
    subjects = [asked.json["data"]["id"] for asked in receiver.asked]
    assert 5 == len(subjects) == len(set(subjects))


def test_signature_is_accepted_by_both_libraries(ctx, receiver):
    """The body as it was sent, with the secret of the endpoint."""
    endpoint = listen(ctx, receiver)
    complete(ctx, submit(ctx).id)

    work(ctx)

    (asked,) = receiver.asked
    headers = dict(asked.headers)
    Webhook(endpoint.secret).verify(asked.body, headers)
    client = OpenAI(api_key="none", base_url="http://127.0.0.1:1")
    client.webhooks.verify_signature(asked.body.decode(), headers, secret=endpoint.secret)
    client.close()


def test_both_secrets_sign_while_one_replaces_the_other(ctx, receiver):
    """A receiver may change to the new one at any moment of the overlap."""
    endpoint = listen(ctx, receiver)
    rotated = endpoints.rotate(ctx, caller(), endpoint.id, hours=1)
    complete(ctx, submit(ctx).id)

    work(ctx)

    (asked,) = receiver.asked
    assert endpoint.secret != rotated.secret
    for secret in (endpoint.secret, rotated.secret):
        Webhook(secret).verify(asked.body, dict(asked.headers))


def test_old_secret_signs_no_longer_when_the_overlap_is_over(ctx, receiver):
    """An overlap of nothing ends it at once."""
    endpoint = listen(ctx, receiver)
    endpoints.rotate(ctx, caller(), endpoint.id, hours=0)
    complete(ctx, submit(ctx).id)

    work(ctx)

    assert 1 == len(receiver.asked[0].headers["webhook-signature"].split(" "))


def test_receiver_that_fails_five_times_gets_each_event_once_by_its_id(ctx, receiver):
    """Sent again and again under one id, until it is taken; then never more."""
    failing = [Answer(b"later", status) for status in (500, 503, 404, 302, 429)]
    receiver.answer("POST /hook", *failing, Answer(b""))
    listen(ctx, receiver)
    complete(ctx, submit(ctx).id)

    for _ in range(10):
        due(ctx)
        work(ctx)

    assert 6 == len(receiver.asked)
    assert 1 == len(set(told(receiver)))
    assert [("delivered", 6)] == [(one.state, one.attempts) for one in log(ctx)]


def test_waits_grow_from_attempt_to_attempt_and_end(ctx, receiver):
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h; then it is given up."""
    receiver.answer("POST /hook", Answer(b"", 500))
    listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    (delivery,) = log(ctx)
    waits = []

    for _ in range(9):
        due(ctx)
        deliveries.deliver(ctx, delivery.target)
        waits.append(round(wait_until(ctx, delivery.id)))
    due(ctx)
    deliveries.deliver(ctx, delivery.target)

    hours = [2, 5, 10, 14, 20, 24]
    assert [5, 300, 1800, *[3600 * hour for hour in hours]] == waits
    assert [("failed", 10, None)] == [(one.state, one.attempts, one.due_at) for one in log(ctx)]


def test_receiver_decides_how_long_it_is_left_alone(ctx, receiver):
    """Retry-After lengthens a wait, up to a day, and never shortens it."""
    for asked, waited in (("120", 120), ("1", 5), ("9999999", 86_400)):
        receiver.answer("POST /hook", Answer(b"", 503, headers={"Retry-After": asked}))
        endpoint = listen(ctx, receiver)
        complete(ctx, submit(ctx).id)
        deliveries.deliver(ctx, endpoint.id)

        (delivery,) = log(ctx, endpoint_id=endpoint.id)
        assert waited == round(wait_until(ctx, delivery.id))
        endpoints.delete(ctx, caller(), endpoint.id)


def test_receiver_that_is_gone_is_told_nothing_more(ctx, receiver):
    """410 disables the endpoint, with what waits for it."""
    receiver.answer("POST /hook", Answer(b"", 410))
    endpoint = listen(ctx, receiver)
    for _ in range(2):
        complete(ctx, submit(ctx).id)

    work(ctx)
    complete(ctx, submit(ctx).id)

    shown = endpoints.load(ctx, caller(), endpoint.id)
    assert shown.disabled_at is not None
    assert "it answered 410" == shown.disabled_reason
    (act,) = audit.page(ctx)
    assert (Action.ENDPOINT_DISABLED, endpoint.id, None) == (act.action, act.subject, act.user_id)
    assert {"user_id": "ann", "reason": "it answered 410"} == act.data
    assert ["failed", "failed"] == [one.state for one in log(ctx)]
    assert 1 == len(receiver.asked)


def test_receiver_that_fails_for_five_days_is_told_nothing_more(ctx, receiver):
    """One that fails for less is tried on; one success makes it well."""
    receiver.answer("POST /hook", Answer(b"", 500))
    endpoint = listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    work(ctx)
    assert endpoints.health(ctx, endpoint).failing_since is not None

    for days, disabled in ((4, False), (5, True)):
        sql(
            ctx,
            "update webhook_targets set failing_since = now() - make_interval(days => :days)",
            days=days,
        )
        due(ctx)
        work(ctx)

        assert disabled == (endpoints.load(ctx, caller(), endpoint.id).disabled_at is not None)
    assert "it has been failing for five days" == (
        endpoints.load(ctx, caller(), endpoint.id).disabled_reason
    )
    assert [endpoint.id] == [act.subject for act in audit.page(ctx)]


def test_dead_receiver_delays_no_other(ctx, receiver):
    """While one hangs, the other gets everything; the dead one is left alone after three tries."""
    with answering_server() as dead:
        dead.answer("POST /hook", Answer(cut=-1))
        silent = listen(ctx, dead, "bob")
        listen(ctx, receiver)
        for _ in range(8):
            complete(ctx, submit(ctx).id)
            complete(ctx, submit(ctx, "bob").id)
            work(ctx)

    assert 8 == len(receiver.asked)
    assert 3 == len(dead.asked)
    assert {"pending"} == {one.state for one in log(ctx, "bob")}
    assert [] == rung(ctx)
    sql(ctx, "update webhook_targets set blocked_until = now()")
    assert [silent.id] == rung(ctx)


def test_few_messages_at_once_go_to_one_receiver(ctx, receiver):
    """However many workers there are; one that has failed gets one at a time."""
    endpoint = listen(ctx, receiver)
    for _ in range(8):
        complete(ctx, submit(ctx).id)
    gate, inside = threading.Event(), []

    class Slow:
        def post(self, *arguments, **options):
            inside.append(arguments)
            gate.wait(20)
            return ctx.sender.post(*arguments, **options)

    slow = replace(ctx, sender=Slow())
    threads = [
        threading.Thread(target=deliveries.deliver, args=(slow, endpoint.id)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    while sum(thread.is_alive() for thread in threads) > deliveries.AT_ONCE:
        threading.Event().wait(0.01)
    at_once = len(inside)
    gate.set()
    for thread in threads:
        thread.join()

    assert deliveries.AT_ONCE == at_once
    assert 8 == len(receiver.asked) == len(set(told(receiver)))


def test_message_of_a_dead_worker_is_sent_by_another(ctx, receiver):
    """When its lease has run out; with the same id, so that the receiver may see it twice."""
    endpoint = listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    sql(ctx, "update deliveries set lease_token = 'dead', lease_until = now() + interval '9 s'")

    deliveries.deliver(ctx, endpoint.id)
    assert [] == receiver.asked
    sql(ctx, "update deliveries set lease_until = now() - interval '1 s'")
    work(ctx)

    assert 1 == len(receiver.asked)
    assert ["delivered"] == [one.state for one in log(ctx)]


def test_video_tells_its_own_address_how_it_ends(ctx, receiver):
    """Signed with the secret of its user; nothing but endings is told there."""
    video = submit(ctx, webhook_url=f"{receiver.url}/hook")
    other = submit(ctx, "bob", webhook_url=f"{receiver.url}/hook")
    complete(ctx, video.id)
    fail(ctx, other.id)

    work(ctx)

    assert ["video.completed", "video.failed"] == sorted(kind for _, kind in told(receiver))
    for asked, user_id in zip(receiver.asked, ("ann", "bob"), strict=True):
        Webhook(endpoints.signer(ctx, user_id).secret).verify(asked.body, dict(asked.headers))


def test_address_of_a_video_may_not_be_inside_when_users_have_keys(ctx):
    """Http, and whatever only we can reach, is refused before the video is taken."""
    strict = replace(ctx, settings=replace(ctx.settings, auth="keys"))

    for url in (
        "http://example.com/x",
        "https://127.0.0.1/x",
        "https://[::1]/",
        "ftp://example.com",
    ):
        with pytest.raises(InvalidRequest) as refused:
            submit(strict, webhook_url=url)
        assert "webhook_url" == refused.value.param


def test_ping_is_delivered_like_an_event(ctx, receiver):
    """Its subject is the endpoint."""
    endpoint = listen(ctx, receiver)

    delivery_log.ping(ctx, caller(), endpoint.id)
    work(ctx)

    (asked,) = receiver.asked
    assert ("endpoint.ping", {"id": endpoint.id}) == (asked.json["type"], asked.json["data"])
    Webhook(endpoint.secret).verify(asked.body, dict(asked.headers))


def test_delivery_is_sent_again_when_its_owner_wants(ctx, receiver):
    """With the same id; nobody else may ask for it."""
    listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    work(ctx)
    (delivery,) = log(ctx)

    with pytest.raises(NotFound):
        delivery_log.resend(ctx, caller("bob"), delivery.id)
    again = delivery_log.resend(ctx, caller(), delivery.id)
    work(ctx)

    assert ("pending", 0) == (again.state, again.attempts)
    assert 2 == len(receiver.asked)
    assert 1 == len(set(told(receiver)))


def test_replay_tells_what_happened_in_a_time(ctx, receiver):
    """Before the endpoint was there, too, with the status of then; each under its event's id."""
    complete(ctx, submit(ctx).id)
    submit(ctx, "bob")
    endpoint = listen(ctx, receiver, events=ALL)
    complete(ctx, submit(ctx).id)
    work(ctx)
    since, until = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(hours=1)

    queued = delivery_log.replay(ctx, caller(), endpoint.id, since=since, until=until)
    work(ctx)

    assert (6, 3 + 6) == (queued, len(receiver.asked))
    assert 6 == len(set(told(receiver)))
    bodies = {}
    for asked in receiver.asked:
        assert asked.json == bodies.setdefault(asked.json["id"], asked.json)
    assert ["completed", "in_progress", "queued"] == sorted(
        {body["data"]["status"] for body in bodies.values()}
    )
    assert 0 == delivery_log.replay(
        ctx, caller(), endpoint.id, since=since, until=since + (until - since) / 4
    )


@pytest.mark.parametrize("act", ["ping", "resend", "replay"])
def test_disabled_endpoint_is_told_nothing_by_hand(ctx, receiver, act):
    """Its owner has to switch it on first; then it starts as if it had never failed."""
    endpoint = listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    (delivery,) = log(ctx)
    endpoints.change(ctx, caller(), endpoint.id, {}, disabled=True)
    now = datetime.now(UTC)
    acts = {
        "ping": lambda: delivery_log.ping(ctx, caller(), endpoint.id),
        "resend": lambda: delivery_log.resend(ctx, caller(), delivery.id),
        "replay": lambda: delivery_log.replay(
            ctx, caller(), endpoint.id, since=now - timedelta(hours=1), until=now
        ),
    }

    with pytest.raises(Conflict) as refused:
        acts[act]()
    endpoints.change(ctx, caller(), endpoint.id, {}, disabled=False)
    acts[act]()
    work(ctx)

    assert "endpoint_disabled" == refused.value.code
    assert 1 == len(receiver.asked)


def test_endpoints_of_a_user_are_limited(ctx, receiver):
    """Even when many are made at once; other users are not concerned."""
    made = race(*[lambda: listen(ctx, receiver)] * 12, *[lambda: listen(ctx, receiver)] * 12)

    refused = [one for one in made if isinstance(one, Conflict)]
    assert endpoints.MAX_ENDPOINTS == len(made) - len(refused)
    assert {"too_many_endpoints"} == {error.code for error in refused}
    listen(ctx, receiver, "bob")


def test_signer_is_one_when_it_is_asked_for_at_once(ctx):
    """A secret that is shown is the one that signs."""
    secrets = race(*[lambda: endpoints.signer(ctx, "ann").secret] * 6)

    assert 1 == len(set(secrets))
    assert [] == endpoints.of_user(ctx, caller())


def test_old_deliveries_are_forgotten(ctx, receiver):
    """After 30 days; what still waits stays."""
    listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    work(ctx)
    complete(ctx, submit(ctx).id)
    sql(ctx, "update deliveries set created_at = now() - interval '31 days'")

    assert 1 == housekeeping.tidy(ctx)["deliveries"]
    assert ["pending"] == [one.state for one in log(ctx)]


def test_receivers_of_single_videos_are_forgotten_when_nothing_waits_for_them(ctx, receiver):
    """A day after they were last rung for or left alone; endpoints stay as long as their owners
    want, and whoever is owed something stays, too.
    """
    endpoint = listen(ctx, receiver)
    with answering_server() as quiet, answering_server() as broken:
        quiet.answer("POST /hook", Answer(b""))
        broken.answer("POST /hook", Answer(b"", 500))
        for server in (quiet, broken):
            complete(ctx, submit(ctx, webhook_url=f"{server.url}/hook").id)
        work(ctx)
        sql(ctx, "update webhook_targets set blocked_until = null, rung_at = null")

        assert 1 == housekeeping.tidy(ctx)["receivers"]
        left = {row[0] for row in sql(ctx, "select target from webhook_targets")}

        assert {endpoint.id, f"ann {broken.url}"} == left


@pytest.mark.parametrize("column", ["blocked_until", "rung_at"])
@pytest.mark.parametrize(("hours", "gone"), [(23, 0), (25, 1)])
def test_receiver_is_remembered_for_a_day_when_it_was_dead(ctx, column, hours, gone):
    """What it did is not forgotten with the last message, or each video would try it anew."""
    then = datetime.now(UTC) - timedelta(hours=hours)
    times = {"blocked_until": None, "rung_at": None, column: then}
    sql(
        ctx,
        "insert into webhook_targets (target, failures, blocked_until, rung_at) "
        "values ('ann https://dead.example', 9, :blocked_until, :rung_at)",
        **times,
    )

    assert gone == housekeeping.tidy(ctx)["receivers"]


@pytest.mark.parametrize(
    ("act", "action"),
    [
        ("change", Action.ENDPOINT_CHANGED),
        ("rotate", Action.ENDPOINT_ROTATED),
        ("delete", Action.ENDPOINT_REMOVED),
        ("ping", Action.WEBHOOKS_SENT),
        ("replay", Action.WEBHOOKS_SENT),
    ],
)
def test_act_is_noted_when_an_admin_touches_another_ones_endpoint(ctx, receiver, act, action):
    """Whoever rotates a secret gets to see it; what users do to their own is no act."""
    now = datetime.now(UTC)
    admin = Caller("root", "admin")
    acts = {
        "change": lambda by, id: endpoints.change(ctx, by, id, {"description": "x"}),
        "rotate": lambda by, id: endpoints.rotate(ctx, by, id, hours=1),
        "delete": lambda by, id: endpoints.delete(ctx, by, id),
        "ping": lambda by, id: delivery_log.ping(ctx, by, id),
        "replay": lambda by, id: delivery_log.replay(
            ctx, by, id, since=now - timedelta(hours=1), until=now
        ),
    }
    own, foreign = listen(ctx, receiver), listen(ctx, receiver)

    acts[act](caller(), own.id)
    acts[act](admin, foreign.id)

    (noted,) = audit.page(ctx)
    assert (action, "root", foreign.id) == (noted.action, noted.user_id, noted.subject)
    assert {"user_id": "ann"} == noted.data


def test_act_is_noted_when_an_admin_sends_again(ctx, receiver):
    """By the number of the delivery."""
    listen(ctx, receiver)
    complete(ctx, submit(ctx).id)
    work(ctx)
    (delivery,) = log(ctx)

    delivery_log.resend(ctx, caller(), delivery.id)
    delivery_log.resend(ctx, Caller("root", "admin"), delivery.id)

    (noted,) = audit.page(ctx)
    assert (Action.WEBHOOKS_SENT, str(delivery.id)) == (noted.action, noted.subject)
