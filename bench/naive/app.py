"""The baseline's one route."""

from __future__ import annotations

import uuid
from hashlib import sha256

from flask import Flask, Response, g, jsonify, make_response, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.naive.models import ApiKey, UserQuota, Video, VideoEvent
from bench.naive.worker import generate, sessions


def create_app() -> Flask:
    """The application, from the environment."""
    app = Flask(__name__)

    @app.before_request
    def open_session() -> None:
        g.session = sessions()

    @app.teardown_request
    def close_session(_: BaseException | None) -> None:
        g.session.close()

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    @app.post("/api/videos")
    def create() -> Response | tuple[Response, int]:
        session: Session = g.session
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        hashed = sha256(token.encode()).hexdigest()
        key = session.scalar(select(ApiKey).where(ApiKey.key_hash == hashed))
        if key is None or key.revoked_at is not None:
            return jsonify(error="invalid API key"), 401
        quota = session.get(UserQuota, key.user_id, with_for_update=True)
        if quota is None or quota.videos_created >= quota.videos_limit:
            return jsonify(error="quota exceeded"), 429
        quota.videos_created += 1
        video = _video(key.user_id, request.get_json())
        session.add(video)
        session.commit()
        generate.delay(video.id)
        return make_response(jsonify(_shown(video)), 202)

    return app


def _video(user_id: str, body: dict[str, str]) -> Video:
    created = VideoEvent(event_type="created", event_data=body, seq=1, user_id=user_id)
    return Video(
        id=f"video_{uuid.uuid4().hex}",
        user_id=user_id,
        prompt=body["prompt"],
        model=body.get("model", "sora-2"),
        size=body.get("size", "720x1280"),
        seconds=body.get("seconds", "4"),
        fingerprint=uuid.uuid4().hex,
        events=[created],
    )


def _shown(video: Video) -> dict[str, object]:
    names = ("id", "user_id", "status", "prompt", "model", "size", "seconds")
    shown = {name: getattr(video, name) for name in names}
    return {**shown, "created_at": video.created_at.isoformat()}
