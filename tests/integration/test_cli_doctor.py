"""`doctor` on real services, whole and broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from orchestrator.broker import QUEUES
from orchestrator.cli import progress_checks
from orchestrator.cli.checks import examine, promises
from orchestrator.cli.findings import Check, State
from orchestrator.sandbox.server import running_sandbox
from orchestrator.settings import load
from tests.factories import NOWHERE, make_context, make_settings

NOBODY = "127.0.0.1:1"
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "point-at-a-provider.md"


@pytest.fixture(scope="module")
def provider_url() -> Iterator[str]:
    """A provider that is as it should be."""
    with running_sandbox() as sandbox:
        yield sandbox.base_url


@pytest.fixture
def env(database_url: str, redis_url: str, provider_url: str, tmp_path: Path) -> dict[str, str]:
    """Settings with everything in place but a worker."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": provider_url,
        "OPENAI_API_KEY": "sandbox",
        "PROVIDER_PROFILE": "sandbox",
        "STORAGE_URL": (tmp_path / "storage").as_uri(),
    }


def findings(env: Mapping[str, str]) -> dict[str, Check]:
    """What doctor finds, by name."""
    return {check.name: check for check in examine(env, worker_seconds=0.2)}


def states(found: Mapping[str, Check]) -> dict[str, State]:
    """How each check went."""
    return {name: check.state for name, check in found.items()}


def execute(database_url: str, statement: str) -> None:
    """Change the database behind everybody's back."""
    with closing(psycopg2.connect(database_url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)


def connected_as(env: Mapping[str, str], name: str) -> psycopg2.extensions.connection:
    """A connection of a process that calls itself so."""
    connection = psycopg2.connect(env["DATABASE_URL"], application_name=name)
    with connection.cursor() as cursor:
        cursor.execute("select")
    connection.commit()
    return connection


def insert_video(database_url: str, **columns: str) -> None:
    """A queued video with these columns, given as SQL."""
    row = {
        "id": "'video_1'",
        "user_id": "'alice'",
        "model": "'sora-2'",
        "prompt": "'x'",
        "size": "'720x1280'",
        "seconds": "'4'",
        "step": "'submit'",
        "provider": "'default'",
        "account": "'sandbox'",
        "fingerprint": "'x'",
        "quota_period": "now()",
        **columns,
    }
    names, values = ", ".join(row), ", ".join(row.values())
    execute(database_url, f"insert into videos ({names}) values ({values})")  # noqa: S608


def insert_accepted(env: Mapping[str, str], provider_id: str, **columns: str) -> None:
    """A video that the provider knows under this id."""
    database_url = env["DATABASE_URL"]
    account = load(env).catalog.providers["default"].account
    insert_video(database_url, due_at="now()", **columns)
    names = "video_id, n, provider, account, state, provider_video_id, canonical_id"
    row = f"'video_1', 1, 'default', '{account}', 'accepted', '{provider_id}', '{provider_id}'"
    execute(database_url, f"insert into attempts ({names}) values ({row})")  # noqa: S608


def post_json(url: str, body: Mapping[str, str]) -> dict[str, Any]:
    """What a server answers."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def wait_until_completed(url: str) -> None:
    """Wait for a video of the sandbox, which renders it."""
    deadline = time.monotonic() + 30
    status = ""
    while status != "completed" and time.monotonic() < deadline:
        with urllib.request.urlopen(url, timeout=10) as answer:
            status = json.load(answer)["status"]
    assert "completed" == status


def test_only_workers_are_missing_when_none_was_started(env: dict[str, str]) -> None:
    """Everything else is in order, and each finding says what it saw."""
    found = findings(env)

    expected = dict.fromkeys(
        ("settings", "postgresql", "schema", "redis", "storage", "provider default", "work"),
        State.OK,
    )
    assert expected | {"workers": State.FAIL, "scheduler": State.WARN} == states(found)
    assert all(check.message for check in found.values())
    assert "celery" in found["workers"].advice
    assert "orchestrator scheduler" in found["scheduler"].advice


def test_worker_is_named_when_it_answers(env: dict[str, str]) -> None:
    """A living worker is asked over the broker, as it gets its work."""
    worker = subprocess.Popen(
        [
            *(sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-P", "threads"),
            *("-c", "1", "-n", "tested@here", "--without-gossip", "--without-mingle"),
        ],
        env={"PATH": os.defpath, **env},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        found: dict[str, Check] = {}
        deadline = time.monotonic() + 60
        with closing(connected_as(env, "orchestrator scheduler")):
            # It connects with its first sweep.
            while set(states(found).values()) != {State.OK} and time.monotonic() < deadline:
                assert worker.poll() is None
                found = {check.name: check for check in examine(env, worker_seconds=0.5)}
    finally:
        worker.terminate()
        worker.wait(30)

    assert Check("workers", State.OK, "tested@here") == found["workers"]
    assert {State.OK} == set(states(found).values())
    assert "progress" not in found


def test_output_is_one_document_when_json_is_wanted(env: dict[str, str]) -> None:
    """The exit code is 1 because a check failed; stdout holds JSON and nothing else."""
    ended = subprocess.run(
        [sys.executable, "-m", "orchestrator", "doctor", "--json"],
        env={"PATH": os.defpath, **env},
        capture_output=True,
        text=True,
        check=False,
    )

    document = json.loads(ended.stdout)
    assert 1 == ended.returncode
    assert document["ok"] is False
    assert {"name", "state", "message", "advice"} == set(document["checks"][0])
    assert "" == ended.stderr


def test_services_are_named_when_they_are_away(env: dict[str, str]) -> None:
    """Without Redis work goes on, so that is a warning; the others stop it."""
    found = findings(
        env
        | {
            "DATABASE_URL": f"postgresql://postgres@{NOBODY}/none",
            "REDIS_URL": f"redis://{NOBODY}/0",
            "OPENAI_BASE_URL": f"http://{NOBODY}/v1",
        }
    )

    assert states(found) == {
        "settings": State.OK,
        "postgresql": State.FAIL,
        "redis": State.WARN,
        "storage": State.OK,
        "provider default": State.FAIL,
        "workers": State.WARN,
    }
    assert all(found[name].advice for name, state in states(found).items() if state != State.OK)
    assert "refused" in found["postgresql"].message


def test_storage_fails_when_it_cannot_be_written(env: dict[str, str], tmp_path: Path) -> None:
    """A full or closed disk is found before a video is lost to it."""
    (tmp_path / "file").write_text("in the way")

    found = findings(env | {"STORAGE_URL": (tmp_path / "file" / "x").as_uri()})

    assert State.FAIL == found["storage"].state


def test_migration_is_advised_when_there_are_no_tables(
    env: dict[str, str], bare_database_url: str
) -> None:
    """A new database is told from a broken one."""
    found = findings(env | {"DATABASE_URL": bare_database_url})

    assert State.FAIL == found["schema"].state
    assert "Run: orchestrator migrate" == found["schema"].advice
    assert "work" not in found


def test_update_is_advised_when_the_schema_is_newer(env: dict[str, str]) -> None:
    """Old code works on a new schema."""
    execute(env["DATABASE_URL"], "insert into schema_version (version) values (99)")
    try:
        found = findings(env)
    finally:
        execute(env["DATABASE_URL"], "delete from schema_version where version = 99")

    assert State.WARN == found["schema"].state
    assert "99" in found["schema"].message


def test_variable_is_named_when_a_setting_cannot_be() -> None:
    """The rest is not looked at: it would mislead."""
    (check,) = examine({"DB_POOL_SIZE": "0"})

    assert State.FAIL == check.state
    assert "DB_POOL_SIZE" in check.message


def test_key_is_doubted_when_the_provider_refuses_it(env: dict[str, str]) -> None:
    """A refused key pauses every video, so it fails."""
    with running_sandbox(api_key="right") as sandbox:
        found = findings(env | {"OPENAI_BASE_URL": sandbox.base_url, "OPENAI_API_KEY": "wrong"})

    assert State.FAIL == found["provider default"].state
    assert "key" in found["provider default"].advice


def test_profile_is_doubted_when_the_provider_is_another(env: dict[str, str]) -> None:
    """An ability that the server lacks is a warning with the setting that says so."""
    with running_sandbox(dialect="litellm") as sandbox:
        found = findings(env | {"OPENAI_BASE_URL": sandbox.base_url, "PROVIDER_PROFILE": "openai"})

    assert State.WARN == found["provider default"].state
    assert 'list = "none"' in found["provider default"].message


def test_echoes_are_doubted_when_the_list_shows_a_video_otherwise(env: dict[str, str]) -> None:
    """After a lost answer such a video would not be recognised, and be paid for again."""
    with running_sandbox() as sandbox:
        env |= {"OPENAI_BASE_URL": sandbox.base_url}
        create = {"prompt": "a kite", "model": "sora-2", "seconds": "2", "size": "320x240"}
        made = post_json(f"{sandbox.base_url}/videos", create)
        sent = {"prompt": "'a kite'", "seconds": "'2'", "size": "'320x256'"}
        insert_accepted(env, made["id"], **sent)

        found = findings(env)["provider default"]

    assert State.WARN == found.state
    assert "shows size otherwise than it was sent ('320x240' for '320x256')" in found.message


def test_abilities_are_told_when_they_fit(env: dict[str, str]) -> None:
    """What the list shows is compared with what was sent, and files are fetched to their first
    bytes.
    """
    with running_sandbox(render_seconds=0.0, instant_video=True) as sandbox:
        env |= {"OPENAI_BASE_URL": sandbox.base_url}
        create = {"prompt": "a kite", "model": "sora-2", "seconds": "1", "size": "320x240"}
        made = post_json(f"{sandbox.base_url}/videos", create)
        insert_accepted(env, made["id"], prompt="'a kite'", seconds="'1'", size="'320x240'")
        wait_until_completed(f"{sandbox.base_url}/videos/{made['id']}")

        found = findings(env)["provider default"]

    assert State.OK == found.state
    assert found.message == (
        "answers as profile sandbox says: lists its videos; "
        "shows model, prompt, seconds, size as sent (1 compared); "
        "gives video, spritesheet, thumbnail of a finished video"
    )


class TakesFrom:
    """A broker with workers that take from these queues."""

    def __init__(self, *queues: str):
        self._queues = frozenset(queues)

    def depths(self) -> dict[str, int]:
        """Nine messages that nobody takes."""
        return dict.fromkeys(QUEUES, 0) | {"remix": 9}

    def workers(self, timeout: float) -> dict[str, frozenset[str]]:
        """One that answers at once."""
        return {"tested@here": self._queues}

    def close(self) -> None:
        """Nothing was opened."""


@pytest.mark.parametrize(
    ("queues", "expected"),
    [
        (QUEUES, Check("workers", State.OK, "tested@here; messages wait: remix 9")),
        (
            ("dispatch", "create", "poll", "store"),
            Check(
                "workers",
                State.FAIL,
                "tested@here; none of them takes from remix, deliver",
                "Start one with -Q remix,deliver, or one without -Q, which takes from all.",
            ),
        ),
    ],
)
def test_queues_are_named_when_no_worker_takes_from_them(
    queues: tuple[str, ...], expected: Check, database_url: str, tmp_path: Path
) -> None:
    """Workers that are split by queue are easily started without one of them."""
    broker: Any = TakesFrom(*queues)
    ctx = replace(make_context(make_settings(database_url, NOWHERE, tmp_path)), broker=broker)

    try:
        found = list(progress_checks.answering(ctx, 0.1))
    finally:
        ctx.close()

    assert [expected] == found


@pytest.mark.parametrize(
    ("silent", "state", "told"),
    [(None, State.WARN, "another DATABASE_URL"), (300.0, State.FAIL, "start them again")],
)
def test_workers_are_doubted_when_they_answer_but_ask_for_nothing(
    silent: float | None, state: State, told: str
) -> None:
    """A worker that answers may be stuck, or work for somebody else."""
    (found,) = progress_checks.workers_at_work(silent)

    assert state == found.state
    assert told in found.advice


def test_scheduler_is_doubted_when_it_has_said_nothing_for_long() -> None:
    """One that was stopped keeps its connections."""
    found = progress_checks.scheduler_at_work(300.0)

    assert State.WARN == found.state
    assert "has done nothing for 5 min" == found.message


def test_failures_are_told_when_most_videos_fail(env: dict[str, str]) -> None:
    """Workers that get on may still bring nothing about."""
    insert_video(env["DATABASE_URL"], due_at="now()")
    row = "'video_1', 'alice', 'failed', '{}'"
    columns = "video_id, user_id, event_type, event_data"
    for _ in range(progress_checks.MANY_FAILED):
        execute(env["DATABASE_URL"], f"insert into video_events ({columns}) values ({row})")  # noqa: S608

    failures = findings(env)["failures"]

    assert State.WARN == failures.state
    assert "5 videos failed within the last hour, and 0 completed" == failures.message


@pytest.mark.parametrize(
    ("until", "told"),
    [("infinity", "until somebody resumes it"), ("2999-01-01Z", "until 2999-01-01T00:00:00.000Z")],
)
def test_reason_is_told_when_a_provider_is_paused(
    env: dict[str, str], until: str, told: str
) -> None:
    """Its videos wait, and that is no mystery."""
    columns = "name, account, paused_until, pause_reason"
    row = f"'spare', 'x', '{until}', 'no credit'"
    execute(env["DATABASE_URL"], f"insert into providers ({columns}) values ({row})")  # noqa: S608

    found = findings(env)

    assert State.WARN == found["provider spare"].state
    assert f"is paused {told}: no credit" == found["provider spare"].message


def test_pause_is_not_mentioned_when_it_is_over(env: dict[str, str]) -> None:
    """What was is nobody's worry."""
    execute(
        env["DATABASE_URL"],
        "insert into providers (name, account, paused_until) values ('spare', 'x', now())",
    )

    assert "provider spare" not in findings(env)


def test_delay_is_told_when_due_work_is_left_lying(env: dict[str, str]) -> None:
    """Workers that live but do not get on are found by their work."""
    insert_video(
        env["DATABASE_URL"],
        admitted_at="now()",
        due_at="now() - interval '10 min'",
        status="'queued'",
    )

    work = findings(env)["work"]

    assert State.WARN == work.state
    assert "the oldest due step is 10 min late" in work.message


def test_waiting_is_no_delay_when_a_video_has_no_slot_yet(env: dict[str, str]) -> None:
    """A backlog is counted; it is late only once it was admitted."""
    insert_video(env["DATABASE_URL"], due_at="now() - interval '10 min'")

    work = findings(env)["work"]

    assert State.OK == work.state
    assert work.message.startswith("1 waiting for a slot")


def test_decision_is_asked_for_when_videos_are_held(env: dict[str, str]) -> None:
    """Nobody but an operator moves them."""
    insert_video(env["DATABASE_URL"], hold_reason="'outcome_unknown'")

    held = findings(env)["held"]

    assert State.WARN == held.state
    assert "1 waiting for an operator's decision" == held.message


def test_account_is_missed_when_its_videos_are_not_finished(env: dict[str, str]) -> None:
    """Somebody has changed a key, and nobody can ask for what was sent with the old one."""
    insert_video(env["DATABASE_URL"], provider="'spare'", account="'old'")

    gone = findings(env)["provider spare"]

    assert State.WARN == gone.state
    assert "account old is not configured, and has 1 unfinished videos" == gone.message
    assert "orchestrator resolve" in gone.advice


def test_promises_are_checked_when_asked_for(env: dict[str, str], database_url: str) -> None:
    """A row that breaks a rule is named; without any there is one line that says so."""
    sound = list(promises(env, read=True))
    insert_video(database_url, status="'queued'", due_at="null")

    broken = list(promises(env))

    assert [State.OK] == [check.state for check in sound]
    assert {State.FAIL} == {check.state for check in broken}
    assert any("what is live is due" in check.message for check in broken)


@pytest.mark.parametrize(
    ("dialect", "profile"),
    [
        ("litellm", "litellm"),
        ("sglang", "sglang"),
        ("vllm-omni", "vllm-omni"),
        ("sglang", "openai"),
    ],
)
def test_guide_shows_what_is_said_of_a_server(
    env: Mapping[str, str], dialect: str, profile: str
) -> None:
    """Each server with its profile, and one that was given another one's."""
    with running_sandbox(dialect=dialect) as server:
        changed = {"OPENAI_BASE_URL": server.base_url, "PROVIDER_PROFILE": profile}
        check = findings({**env, **changed})["provider default"]

    advice = f" -> {check.advice}" if check.advice else ""
    assert f"\n{check.state:<5} {check.name}: {check.message}{advice}\n" in GUIDE.read_text()
