"""Statuses, transitions and events: the table, the diagram and the schema say the same."""

import ast
import inspect
import re
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import pytest

from orchestrator import lifecycle
from orchestrator.db.schema import script
from orchestrator.lifecycle import (
    AUDIT_EVENTS,
    FINISHED,
    LIVE,
    OPEN_ATTEMPTS,
    TERMINAL,
    TRANSITIONS,
    AttemptState,
    EventType,
    Kind,
    QuotaState,
    Status,
    Step,
)

ROOT = Path(lifecycle.__file__).parents[1]
ENUMS = (Status, Step, AttemptState, QuotaState, Kind, EventType)


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("videos", "status", Status),
        ("videos", "step", Step),
        ("videos", "kind", Kind),
        ("videos", "quota_state", QuotaState),
        ("attempts", "state", AttemptState),
    ],
)
def test_words_equal_those_that_the_schema_allows(table, column, words):
    """Each CHECK of schema.sql lists exactly the members of its enum, in their order."""
    body = re.search(rf"create table if not exists {table} \((.*?)\n\);", script(), re.DOTALL)
    assert body is not None
    listed = re.search(rf"check \({column} in \(([^)]*)\)\)", body[1])
    assert listed is not None

    assert [str(word) for word in words] == re.findall(r"'(\w+)'", listed[1])


def test_transitions_are_the_arrows_of_the_diagram():
    """The picture at the top of the module and the table below it agree, arrow by arrow."""
    diagram = (lifecycle.__doc__ or "").split("Terminal statuses")[0]

    drawn = {
        *_arrows_between_words(diagram),
        *_arrows_from_the_two_columns(diagram),
        *_arrows_from_a_list(diagram),
    }

    tabled = {
        (source.value, move.name, move.target.value)
        for move in TRANSITIONS
        for source in move.sources
    }
    assert tabled == drawn


def test_transitions_never_lead_back_from_an_end():
    """From a terminal status there is only the way on to deleted."""
    ways = {(source, move.target) for move in TRANSITIONS for source in move.sources}

    backwards = {(source, target) for source, target in ways if source in TERMINAL}

    assert {(source, Status.DELETED) for source in FINISHED} == backwards


def test_transitions_reach_every_status_but_the_first():
    """No status is unreachable, and nothing becomes queued again."""
    assert set(Status) - {Status.QUEUED} == {move.target for move in TRANSITIONS}


def test_transitions_all_tell_of_the_status_first():
    """A reader who knows only `status_changed` misses no change."""
    assert {EventType.STATUS_CHANGED} == {move.events[0] for move in TRANSITIONS}


def test_transitions_to_an_end_tell_which_end():
    """Each end has an event of its own name behind `status_changed`."""
    ends = {move.target.value: move.events[1:] for move in TRANSITIONS if move.target in TERMINAL}

    assert {status.value: (EventType(status.value),) for status in TERMINAL} == ends


def test_statuses_are_live_or_terminal_when_split():
    """Every status is one of the two, none both; finished ones are the terminal ones seen."""
    assert set(Status) == LIVE | TERMINAL
    assert set() == LIVE & TERMINAL
    assert TERMINAL - {Status.DELETED} == FINISHED


def test_open_attempts_are_those_that_nobody_knows_the_outcome_of():
    """A slot is held while the outcome is open; the schema's own constraint says the same."""
    constraint = re.search(r"attempts_open check \(state not in \(([^)]*)\)", script())
    assert constraint is not None

    assert {state.value for state in OPEN_ATTEMPTS} == set(re.findall(r"'(\w+)'", constraint[1]))


def test_audit_events_are_no_lifecycle_events():
    """What may be lost is told by no transition."""
    told = {event for move in TRANSITIONS for event in move.events}

    assert set() == told & AUDIT_EVENTS


def test_event_types_of_the_origin_are_kept():
    """Applications of the origin know these words."""
    origin = {"created", "status_changed", "downloaded", "deleted", "failed", "remixed"}

    assert set() == origin - {event.value for event in EventType}


@pytest.mark.parametrize("enum", ENUMS, ids=lambda enum: enum.__name__)
def test_every_word_is_explained_where_it_is_defined(enum):
    """A word without a sentence would be used with two meanings before long."""
    assert [] == sorted({member.name for member in enum} - _explained(enum))


def test_status_is_written_by_the_transitions_alone():
    """No other module has a statement that assigns `videos.status`."""
    writers = {
        path.relative_to(ROOT).as_posix()
        for path in _sources()
        if _writes_status(path.read_text(encoding="utf-8"))
    }

    assert {"orchestrator/db/transitions.py"} == writers


def _sources():
    for package in ("orchestrator", "api", "workers"):
        yield from (ROOT / package).rglob("*.py")


def _writes_status(source: str) -> bool:
    """Whether a string in this module updates a video's status; f-strings are read in pieces."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            sql = "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            sql = node.value
        else:
            continue
        flat = " ".join(sql.lower().split())
        for update in re.finditer(r"\bupdate videos( \w+)? set (.*?)( where | from |$)", flat):
            if re.search(r"(^|[\s,.])status = ", update[2]):
                return True
    return False


def _explained(enum: type[StrEnum]) -> set[str]:
    """Members with a docstring, written as a string right below them."""
    body = ast.parse(inspect.getsource(enum)).body[0].body
    return {
        before.targets[0].id
        for before, after in pairwise(body)
        if isinstance(before, ast.Assign)
        and isinstance(after, ast.Expr)
        and isinstance(after.value, ast.Constant)
        and str(after.value.value).endswith(".")
    }


def _arrows_between_words(diagram: str) -> set[tuple[str, str, str]]:
    return set(re.findall(r"(?<=\b)(\w+) ──(\w+)──▶ (?=(\w+))", diagram))


def _arrows_from_the_two_columns(diagram: str) -> set[tuple[str, str, str]]:
    """The lines that hang below queued (first column) and in_progress (second)."""
    arrows = set()
    for name, target in re.findall(r"[├└]──(\w+)─+[┼┴]─+▶ (\w+)", diagram):
        arrows |= {("queued", name, target), ("in_progress", name, target)}
    return arrows


def _arrows_from_a_list(diagram: str) -> set[tuple[str, str, str]]:
    arrows = set()
    for sources, name, target in re.findall(r"((?:\w+ \| )+\w+) ──(\w+)──▶ (\w+)", diagram):
        arrows |= {(source, name, target) for source in sources.split(" | ")}
    return arrows
