"""How one sandbox behaves; checked once, before anything starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.sandbox.dialects import DIALECTS
from orchestrator.sandbox.faults import parse_faults
from orchestrator.sandbox.webhooks import signing_key

CONTAINERS = ("mp4", "avi")


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Everything that can be chosen about a sandbox.

    Raises ValueError, with the option's name and what it allows, for values that make no sense.
    """

    # Whose server it imitates: one of `dialects.DIALECTS`.
    dialect: str = "sandbox"
    # Without a key everybody is let in.
    api_key: str | None = field(default=None, repr=False)
    # A video is never completed sooner than that after its creation.
    render_seconds: float = 6.0
    # Every video is the same tiny file, made at the start: a create then costs next to nothing.
    instant_video: bool = False
    container: str = "mp4"
    # Jobs and files are kept here; without it they end with the process.
    data: Path | None = None
    # See `faults`; can be changed while it runs.
    faults: str = ""
    # The same seed draws the same faults in the same order of requests.
    seed: int | None = None
    # More unfinished jobs are refused with 429; None = as the dialect does, 0 = no cap.
    max_concurrent: int | None = None
    honour_idempotency_key: bool = False
    webhook_url: str | None = None
    webhook_secret: str | None = field(default=None, repr=False)
    models: tuple[str, ...] = ("sora-2", "sora-2-pro")
    # Content can be fetched for that long after completion; None = as the dialect does.
    retention_seconds: float | None = None

    def __post_init__(self) -> None:
        _require(self.dialect in DIALECTS, f"dialect must be one of {', '.join(DIALECTS)}")
        _require(0 <= self.render_seconds <= 86_400, "render_seconds must be within 0..86400")
        _require(self.container in CONTAINERS, f"container must be one of {', '.join(CONTAINERS)}")
        _require((self.max_concurrent or 0) >= 0, "max_concurrent must be 0 (no cap) or more")
        _require(bool(self.models) and all(self.models), "models must name at least one model")
        _require(
            self.retention_seconds is None or self.retention_seconds > 0,
            "retention_seconds must be above 0",
        )
        parse_faults(self.faults)
        self._check_webhook()

    def _check_webhook(self) -> None:
        if self.webhook_url is None:
            return
        address = urlsplit(self.webhook_url)
        _require(
            address.scheme in {"http", "https"} and bool(address.hostname),
            "webhook_url must be an http:// or https:// address",
        )
        _require(
            bool(self.webhook_secret), "webhook_secret must be given with webhook_url (whsec_…)"
        )
        signing_key(self.webhook_secret or "")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
