"""What one round of one contestant shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Metrics: TypeAlias = Mapping[str, float]
"""A name ends with its unit: `per_second`, `p99_ms`, `memory_mb`; a bare one counts something."""
