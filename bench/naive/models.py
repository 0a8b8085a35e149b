"""The tables that the baseline writes, as ORM classes: those of schema.sql, as far as it cares."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The registry."""


class ApiKey(Base):
    """Whose key it is."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    key_hash: Mapped[str]
    user_id: Mapped[str]
    revoked_at: Mapped[datetime | None]


class UserQuota(Base):
    """What a user may still have."""

    __tablename__ = "user_quotas"

    user_id: Mapped[str] = mapped_column(primary_key=True)
    videos_created: Mapped[int]
    videos_limit: Mapped[int]


class Video(Base):
    """A requested video."""

    __tablename__ = "videos"

    id: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[str]
    model: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    prompt: Mapped[str]
    size: Mapped[str]
    seconds: Mapped[str]
    step: Mapped[str | None] = mapped_column(default="submit")
    due_at: Mapped[datetime | None] = mapped_column(default=func.now())
    provider: Mapped[str] = mapped_column(default="openai")
    account: Mapped[str] = mapped_column(default="default")
    fingerprint: Mapped[str]
    quota_period: Mapped[datetime] = mapped_column(default=func.now())
    seq: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    content_key: Mapped[str | None]
    events: Mapped[list[VideoEvent]] = relationship(back_populates="video")


class VideoEvent(Base):
    """What happened to a video."""

    __tablename__ = "video_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    video_id: Mapped[str] = mapped_column(ForeignKey("videos.id"))
    event_type: Mapped[str]
    event_data: Mapped[dict[str, Any]] = mapped_column(JSONB, default=dict)
    seq: Mapped[int]
    user_id: Mapped[str]
    video: Mapped[Video] = relationship(back_populates="events")
