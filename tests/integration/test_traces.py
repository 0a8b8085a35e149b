"""One trace for each video, from the request that makes it to the bytes that are stored."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api import create_app
from orchestrator.broker import celery_app
from orchestrator.errors import ConfigurationError
from orchestrator.ids import new_video_id
from orchestrator.traces import Deed, open_traces
from orchestrator.traces.otel import OpenTraces
from tests.api_client import client
from tests.factories import NOWHERE
from tests.rig import Rig
from workers import tasks

SECRET = "a red kite over a secret place"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DEED = Deed("poll", 10.0, 12.5, {"videos": 1})


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """Where spans end."""
    return InMemorySpanExporter()


@pytest.fixture
def traced(rig: Rig, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A rig that writes spans, as do the tasks of its workers."""
    traces = OpenTraces(SimpleSpanProcessor(spans))
    ctx = replace(rig.ctx, traces=traces)
    monkeypatch.setattr(tasks, "context", lambda: ctx)
    yield Rig(ctx, rig.upstream)
    traces.close()


@pytest.fixture
def work() -> Iterator[Callable[..., None]]:
    """Works on a message as a worker does."""
    app = celery_app(NOWHERE)
    tasks.register(app)
    yield lambda name, *args: app.tasks[name](*args)
    app.close()


def ids(span: ReadableSpan) -> tuple[str, str, str | None]:
    """Its trace, itself and its parent, in hex."""
    context = span.get_span_context()
    assert context is not None
    parent = None if span.parent is None else f"{span.parent.span_id:016x}"
    return f"{context.trace_id:032x}", f"{context.span_id:016x}", parent


def test_life_of_a_video_is_one_trace_when_many_work_on_it(
    traced: Rig, spans: InMemorySpanExporter, work: Callable[..., None]
) -> None:
    """The trace has the id of the video; the request is first, everything else below it."""
    api = client(create_app(traced.ctx))
    made = api.post("/api/videos", json={"prompt": SECRET}, headers={"traceparent": CALLER})
    video = traced.video(made.get_json()["id"])
    traced.admit(video)

    work("create", video.id)
    traced.upstream.becomes(traced.upstream_id(video), "completed")
    traced.due(video)
    work("poll", [video.id])
    traced.due(video)
    work("store", video.id)

    found = spans.get_finished_spans()
    number = video.id.removeprefix("video_")
    assert ["POST /api/videos", "create", "poll", "video", "store"] == [one.name for one in found]
    assert {number} == {ids(one)[0] for one in found}
    assert (number[16:], None) == ids(found[0])[1:]
    assert {number[16:]} == {ids(one)[2] for one in found[1:]}
    assert len(found) == len({ids(one)[1] for one in found})
    (link,) = found[0].links
    assert CALLER.split("-")[1] == f"{link.context.trace_id:032x}"
    assert "completed" == (found[3].attributes or {})["status"]
    assert SECRET not in str([dict(one.attributes or {}) for one in found])


def test_trace_has_one_beginning_when_a_request_is_repeated(
    traced: Rig, spans: InMemorySpanExporter
) -> None:
    """A replay makes nothing."""
    api = client(create_app(traced.ctx))
    for _ in range(2):
        api.post("/api/videos", json={"prompt": "x"}, headers={"Idempotency-Key": "k"})

    assert 1 == len(spans.get_finished_spans())


def test_span_says_when_and_why_when_it_has_failed(spans: InMemorySpanExporter) -> None:
    """It is written when it is over, with the times that it had."""
    traces = OpenTraces(SimpleSpanProcessor(spans))
    traces.span([new_video_id()], replace(DEED, failure="error"))

    (span,) = spans.get_finished_spans()
    assert (10_000_000_000, 12_500_000_000) == (span.start_time, span.end_time)
    assert (False, "error") == (span.status.is_ok, span.status.description)


@pytest.mark.parametrize(
    ("ratio", "low", "high"), [(0.0, 0, 0), (0.5, 350, 650), (1.0, 1000, 1000)]
)
def test_part_of_the_videos_is_traced_when_a_ratio_says_so(
    spans: InMemorySpanExporter, ratio: float, low: int, high: int
) -> None:
    """All processes choose the same ones, by the id alone."""
    videos = [new_video_id() for _ in range(1000)]
    for _ in range(2):
        OpenTraces(SimpleSpanProcessor(spans), ratio=ratio).span(videos, DEED)

    traced = [ids(span)[0] for span in spans.get_finished_spans()]
    assert low <= len(traced) / 2 <= high
    assert traced[: len(traced) // 2] == traced[len(traced) // 2 :]


def test_nothing_is_written_when_no_address_is_set() -> None:
    """The usual case costs a look at a flag."""
    traces = open_traces(None, 1.0, "web")

    assert not traces.on
    traces.root(new_video_id(), DEED)
    traces.span([new_video_id()], DEED)
    traces.close()


def test_start_says_what_to_install_when_the_extra_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rather than to run without what was asked for."""
    monkeypatch.setitem(sys.modules, "orchestrator.traces.otel", None)

    with pytest.raises(ConfigurationError, match=r"video-orchestrator\[otel\]"):
        open_traces("http://127.0.0.1:4318", 1.0, "web")
