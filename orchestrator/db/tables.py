"""schema.sql, mirrored for SQLAlchemy: columns in the same order, types alike. A test compares the
two.

Only what queries need is here; constraints and indexes live in schema.sql alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData()


def _time(name: str, **options: Any) -> Column[Any]:
    return Column(name, DateTime(timezone=True), **options)


def _text(name: str, **options: Any) -> Column[Any]:
    return Column(name, Text, **options)


def _required(column: Column[Any]) -> Column[Any]:
    column.nullable = False
    return column


videos = Table(
    "videos",
    metadata,
    _text("id", primary_key=True),
    _required(_text("user_id")),
    _required(_text("model")),
    _required(_text("status")),
    Column("progress", SmallInteger, nullable=False),
    _required(_text("prompt")),
    _required(_text("size")),
    _required(_text("seconds")),
    _text("quality"),
    _text("remixed_from_video_id"),
    _text("file_url"),
    _text("thumbnail_url"),
    _text("error_message"),
    _required(_time("created_at")),
    _required(_time("updated_at")),
    _time("completed_at"),
    _time("expires_at"),
    Column("metadata", JSONB, nullable=False),
    _required(_text("kind")),
    _text("step"),
    _time("due_at"),
    _time("rung_at"),
    _time("admitted_at"),
    _text("lease_token"),
    _time("lease_until"),
    Column("seq", Integer, nullable=False),
    _required(_text("provider")),
    _required(_text("account")),
    _time("finished_at"),
    _time("deadline_at"),
    _time("run_at"),
    Column("priority", SmallInteger, nullable=False),
    _required(_time("rank_at")),
    _required(_text("fingerprint")),
    _text("api_key_id"),
    _time("first_fetched_at"),
    _text("retry_of"),
    _time("archived_at"),
    _time("deleted_at"),
    _time("purged_at"),
    _text("hold_reason"),
    _text("error_code"),
    Column("failures", Integer, nullable=False),
    Column("cost_estimated", Numeric(12, 4), nullable=False),
    Column("cost_actual", Numeric(12, 4), nullable=False),
    _required(_text("quota_state")),
    _required(_time("quota_period")),
    _text("webhook_url"),
    _text("input_key"),
    _text("input_sha256"),
    Column("input_bytes", BigInteger),
    _text("input_type"),
    _text("content_key"),
    _text("content_sha256"),
    Column("content_bytes", BigInteger),
    _text("content_type"),
    _text("thumbnail_key"),
    _text("spritesheet_key"),
    _time("missing_since"),
    _time("last_polled_at"),
    _text("extension_seconds"),
    Column("sdk_tries", SmallInteger, nullable=False),
    Column("snoozed", Boolean, nullable=False),
    Column("candidates", ARRAY(Text)),
    _text("waits_lane"),
    _time("pictures_due_at"),
    Column("pictures_tries", SmallInteger, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    _text("video_id", primary_key=True),
    Column("n", Integer, primary_key=True),
    _required(_text("provider")),
    _required(_text("account")),
    _text("lane"),
    _required(_text("state")),
    _required(_time("sent_at")),
    _time("accepted_at"),
    _time("unknown_at"),
    Column("looks", SmallInteger, nullable=False),
    _time("looked_at"),
    _text("provider_video_id"),
    _text("canonical_id"),
    Column("http_status", Integer),
    _text("error"),
    _text("upstream_status"),
    _time("content_expires_at"),
    Column("cost", Numeric(12, 4)),
    Column("detached", Boolean, nullable=False),
    _time("missing_since"),
    _time("ended_at"),
    _time("due_at"),
    _time("rung_at"),
    _text("lease_token"),
    _time("lease_until"),
    _text("shown"),
    _text("adopt_id"),
    _text("user_id"),
)

video_events = Table(
    "video_events",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _required(_text("video_id")),
    _required(_text("event_type")),
    Column("event_data", JSONB, nullable=False),
    _required(_time("created_at")),
    Column("seq", Integer),
    _required(_text("user_id")),
    Column("xid", BigInteger, nullable=False),
)

user_quotas = Table(
    "user_quotas",
    metadata,
    _text("user_id", primary_key=True),
    Column("videos_created", Integer, nullable=False),
    Column("videos_limit", Integer, nullable=False),
    _required(_time("reset_at")),
    _required(_time("created_at")),
    _required(_time("updated_at")),
    _required(_time("period_started_at")),
    Column("weight", REAL, nullable=False),
    Column("max_in_flight", Integer),
    Column("cost_used", Numeric(14, 4), nullable=False),
    Column("cost_limit", Numeric(14, 4)),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    _text("user_id", primary_key=True),
    _text("route", primary_key=True),
    _text("key", primary_key=True),
    _required(_text("fingerprint")),
    Column("status_code", SmallInteger, nullable=False),
    Column("video_ids", ARRAY(Text), nullable=False),
    _required(_time("created_at")),
)

api_keys = Table(
    "api_keys",
    metadata,
    _text("id", primary_key=True),
    _required(_text("key_hash")),
    _required(_text("prefix")),
    _required(_text("user_id")),
    _required(_text("role")),
    _text("name"),
    _required(_time("created_at")),
    _time("expires_at"),
    _time("revoked_at"),
    _time("last_used_at"),
    Column("scopes", ARRAY(Text)),
    Column("rate_limit", Integer),
)

providers = Table(
    "providers",
    metadata,
    _text("name", primary_key=True),
    _text("account", primary_key=True),
    _time("paused_until"),
    _text("pause_reason"),
    Column("pauses", Integer, nullable=False),
    _time("polls_paused_until"),
    Column("rate_tokens", Double),
    _time("rate_at"),
    Column("durations", JSONB, nullable=False),
    Column("unclaimed", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    _required(_time("updated_at")),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    _text("id", primary_key=True),
    _required(_text("user_id")),
    _text("url"),
    Column("events", ARRAY(Text), nullable=False),
    _text("description"),
    _required(_time("created_at")),
    _required(_time("updated_at")),
    _time("disabled_at"),
    _text("disabled_reason"),
    _required(_text("secret")),
    _text("previous_secret"),
    _time("previous_until"),
)

webhook_targets = Table(
    "webhook_targets",
    metadata,
    _text("target", primary_key=True),
    Column("failures", Integer, nullable=False),
    _time("failing_since"),
    _time("blocked_until"),
    _time("rung_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _required(_text("message_id")),
    _text("endpoint_id"),
    _text("url"),
    _required(_text("target")),
    _required(_text("user_id")),
    _text("video_id"),
    _required(_text("type")),
    Column("data", JSONB, nullable=False),
    _required(_time("event_at")),
    _required(_text("state")),
    Column("attempts", Integer, nullable=False),
    _time("due_at"),
    _required(_time("created_at")),
    _time("last_attempt_at"),
    _time("delivered_at"),
    Column("status_code", Integer),
    _text("response"),
    _text("error"),
    _text("lease_token"),
    _time("lease_until"),
)

webhook_receipts = Table(
    "webhook_receipts",
    metadata,
    _text("provider", primary_key=True),
    _text("message_id", primary_key=True),
    _required(_time("received_at")),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", BigInteger, primary_key=True),
    _required(_time("created_at")),
    _text("user_id"),
    _text("api_key_id"),
    _text("request_id"),
    _required(_text("action")),
    _required(_text("subject")),
    Column("data", JSONB, nullable=False),
)

schema_version = Table(
    "schema_version",
    metadata,
    Column("version", Integer, primary_key=True),
    _required(_time("applied_at")),
)
