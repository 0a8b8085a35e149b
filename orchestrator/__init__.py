"""A durable orchestrator for AI video generation."""

from __future__ import annotations

__version__ = "0.1.0"
