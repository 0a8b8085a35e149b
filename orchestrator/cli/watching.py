"""`watch`: follows videos to their end, through restarts of the server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestrator.cli import output
from orchestrator.cli.bars import Screen, open_screen
from orchestrator.cli.client import Json, Server, video_path
from orchestrator.cli.downloads import OUT, is_folder, save
from orchestrator.cli.errors import Failed, Unreachable
from orchestrator.cli.options import as_json, on_server
from orchestrator.lifecycle import TERMINAL, Status

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 5.0
PATIENCE = 600.0


@click.command("watch")
@click.argument("video_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--out", type=OUT, help="Save those that come (a folder; or a file, for one video).")
@as_json
@on_server
def watch_command(
    server: Server, video_ids: tuple[str, ...], out: Path | None, json_: bool
) -> None:
    """Follow videos until they have ended.

    A restart of the server does not end the watch. The exit code is 0 if all videos came and 1 if
    one did not. With --json, each video is a line of JSON at the end.

    \b
    Example:
      orchestrator watch video_0193… video_0194… --out films/
    """
    if len(video_ids) > 1 and out is not None and not is_folder(out):
        raise click.UsageError("--out must be a folder for several videos.")
    videos = follow(server, video_ids)
    if json_:
        for video in videos:
            output.print_json(video, indent=None)
    come = [video for video in videos if video["status"] == Status.COMPLETED]
    if out is not None:
        for video in come:
            save(server, video, out)
    missing = [video for video in videos if video["status"] != Status.COMPLETED]
    if missing:
        raise Failed(" ".join(ending(video) for video in missing))


def follow(server: Server, video_ids: Sequence[str]) -> list[Json]:
    """Show the progress of videos until all have ended; they are returned in the same order.

    Raises:
        Refused: there is no such video.
        Unreachable: no answer at first, or none for `PATIENCE` seconds.
    """
    wanted = list(dict.fromkeys(video_ids))
    try:
        with open_screen() as screen:
            return _Watch(server, screen).run(wanted)
    except KeyboardInterrupt:
        output.remark(f"They go on. Follow them with: orchestrator watch {' '.join(wanted)}")
        raise click.exceptions.Exit(130) from None


def ending(video: Json) -> str:
    """One sentence on how a video ended that did not come."""
    reason = video["error_message"] or video["error_code"]
    detail = f": {output.plain(reason)}" if reason else ""
    sentence = f"{video['id']} {video['status']}{detail}"
    return sentence if sentence.endswith(".") else f"{sentence}."


class _Watch:
    """Asks for each video that goes on: often while things change, then less often."""

    def __init__(self, server: Server, screen: Screen):
        self._server = server
        self._screen = screen
        self._latest: dict[str, Json] = {}
        self._away_since: float | None = None

    def run(self, video_ids: Sequence[str]) -> list[Json]:
        """Until all have ended."""
        clock = self._server.clock
        pause = FIRST_PAUSE
        while True:
            before = dict(self._latest)
            self._look(video_ids)
            if all(self._ended(video_id) for video_id in video_ids):
                return [self._latest[video_id] for video_id in video_ids]
            changed = before != self._latest or self._away_since is not None
            pause = FIRST_PAUSE if changed else min(pause * 1.3, LONGEST_PAUSE)
            clock.sleep(pause)

    def _look(self, video_ids: Sequence[str]) -> None:
        try:
            for video_id in video_ids:
                if not self._ended(video_id):
                    video = self._server.get(video_path(video_id))
                    self._latest[video_id] = video
                    self._away_since = None
                    self._screen.show(video)
        except Unreachable as failure:
            now = self._server.clock.monotonic()
            if not self._latest:
                raise
            if self._away_since is None:
                self._away_since = now
                self._screen.note("The server does not answer; trying on.")
            elif now - self._away_since > PATIENCE:
                raise failure

    def _ended(self, video_id: str) -> bool:
        return self._latest.get(video_id, {}).get("status") in TERMINAL
