"""The baseline's worker: one task a video, one commit a task, acknowledged when it is done. For
`celery -A bench.naive.worker worker`.
"""

from __future__ import annotations

from celery import Celery
from sqlalchemy import create_engine, func
from sqlalchemy.engine import make_url
from sqlalchemy.orm import sessionmaker

from bench.naive.models import Video, VideoEvent
from orchestrator.settings import load

settings = load()
app = Celery("naive", broker=settings.broker_url)
app.conf.update(task_ignore_result=True, task_acks_late=True)
sessions = sessionmaker(
    create_engine(
        make_url(settings.database_url).set(drivername="postgresql+psycopg2"),
        pool_size=10,
        max_overflow=0,
    )
)


@app.task(name="naive.generate")  # type: ignore[untyped-decorator]
def generate(video_id: str) -> None:
    """Do nothing, and write down that it is done."""
    with sessions() as session:
        video = session.get(Video, video_id, with_for_update=True)
        if video is None or video.status != "queued":
            return
        video.status, video.step = "completed", None
        video.completed_at = video.finished_at = func.now()
        video.content_key = f"videos/{video_id}.mp4"
        video.seq += 1
        event = VideoEvent(video_id=video_id, event_type="completed", user_id=video.user_id)
        event.seq = video.seq
        session.add(event)
        session.commit()
