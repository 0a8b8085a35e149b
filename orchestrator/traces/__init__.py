"""Spans of videos for OpenTelemetry, if the extra `otel` is installed and
OTEL_EXPORTER_OTLP_ENDPOINT says where to. Importing this loads nothing of it.
"""

from __future__ import annotations

from orchestrator.errors import ConfigurationError
from orchestrator.traces.record import Deed, Traces

__all__ = ["Deed", "Traces", "open_traces"]


def open_traces(endpoint: str | None, ratio: float, service: str) -> Traces:
    """Traces that go to this address (OTLP over HTTP); none without one.

    Raises:
        ConfigurationError: the extra is not installed.
    """
    if endpoint is None:
        return Traces()
    try:
        from orchestrator.traces.otel import exported  # see above: nothing until needed
    except ImportError:
        raise ConfigurationError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed: "
            "pip install 'video-orchestrator[otel]'.",
            param="OTEL_EXPORTER_OTLP_ENDPOINT",
        ) from None
    return exported(endpoint, ratio, service)
