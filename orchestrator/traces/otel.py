"""Writes spans with OpenTelemetry.

The id of a video has 128 bits, as the id of a trace has: they are the same. So every process knows
the trace of a video, and its first span, by the video's name; nothing is handed on or kept, and
nothing can be lost with a message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import local

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, SpanContext, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from orchestrator.traces.record import Deed, Traces

_PREFIX = "video_"
_TRY_SECONDS = 2
_RANDOM = 1 << 56
"""So many values have the last bits of an id, all of them random."""


def exported(endpoint: str, ratio: float, service: str) -> OpenTraces:
    """Traces that go to this address, in lots, by a thread of their own."""
    address = f"{endpoint.rstrip('/')}/v1/traces"
    # The library's ten would keep a process from its end while the collector is away.
    exporter = OTLPSpanExporter(endpoint=address, timeout=_TRY_SECONDS)
    return OpenTraces(BatchSpanProcessor(exporter), ratio=ratio, service=service)


class OpenTraces(Traces):
    """Hands spans to this processor. `ratio`: of how many videos, 0 to 1; all processes choose the
    same ones. `service` names the process.
    """

    on = True

    def __init__(self, processor: SpanProcessor, *, ratio: float = 1.0, service: str = ""):
        self._most = ratio * _RANDOM
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": service}),
            id_generator=self._ids,
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("orchestrator")

    def root(self, video_id: str, deed: Deed, *, parent: str = "") -> None:
        """See `Traces`."""
        if self._wanted(video_id):
            self._ids.next(*_identity(video_id))
            self._write(video_id, deed, Context(), _links(parent))

    def span(self, video_ids: Iterable[str], deed: Deed) -> None:
        """See `Traces`."""
        for video_id in filter(self._wanted, video_ids):
            first = SpanContext(
                *_identity(video_id),
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            below = trace.set_span_in_context(trace.NonRecordingSpan(first), Context())
            self._write(video_id, deed, below, [])

    def close(self) -> None:
        """See `Traces`."""
        self._provider.shutdown()

    def _wanted(self, video_id: str) -> bool:
        return _identity(video_id)[0] % _RANDOM < self._most

    def _write(self, video_id: str, deed: Deed, context: Context, links: Sequence[Link]) -> None:
        span = self._tracer.start_span(
            deed.name,
            context,
            attributes={"video_id": video_id, **deed.attributes},
            links=links,
            start_time=int(deed.began * 1e9),
        )
        if deed.failure:
            span.set_status(Status(StatusCode.ERROR, deed.failure))
        span.end(int(deed.ended * 1e9))


class _Ids(RandomIdGenerator):
    """Random ids, unless the next span has ids of its own."""

    def __init__(self) -> None:
        self._own = local()

    def next(self, trace_id: int, span_id: int) -> None:
        """The ids of the next span that this thread starts."""
        self._own.trace_id, self._own.span_id = trace_id, span_id

    def generate_trace_id(self) -> int:
        """For a span without a parent."""
        found: int | None = self._own.__dict__.pop("trace_id", None)
        return super().generate_trace_id() if found is None else found

    def generate_span_id(self) -> int:
        """For any span."""
        found: int | None = self._own.__dict__.pop("span_id", None)
        return super().generate_span_id() if found is None else found


def _identity(video_id: str) -> tuple[int, int]:
    """Trace and first span: the whole number, and its last 64 bits, random but for two."""
    number = int(video_id.removeprefix(_PREFIX), 16)
    return number, number % 2**64


def _links(traceparent: str) -> list[Link]:
    carried = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    found = trace.get_current_span(carried).get_span_context()
    return [Link(found)] if found.is_valid else []
