"""`download`: saves the files of a video, checked, and goes on where it broke off."""

from __future__ import annotations

import os
from hashlib import file_digest
from pathlib import Path

import click

from orchestrator.cli import output
from orchestrator.cli.bars import transfer
from orchestrator.cli.client import Json, Server, video_path
from orchestrator.cli.errors import Failed, Unreachable
from orchestrator.cli.options import as_json, on_server
from orchestrator.cli.stream import Stream

OUT = click.Path(path_type=Path)
TRIES = 5
_SUFFIXES = {
    "video/mp4": ".mp4",
    "video/x-msvideo": ".avi",
    "image/webp": ".webp",
    "image/jpeg": ".jpg",
    "image/png": ".png",
}


@click.command("download")
@click.argument("video_id", metavar="ID")
@click.option("--out", type=OUT, default=".", help="A file, or a folder [default: this one].")
@click.option(
    "--variant",
    type=click.Choice(["video", "thumbnail", "spritesheet"]),
    default="video",
    show_default=True,
    help="Which of its files.",
)
@as_json
@on_server
def download_command(server: Server, video_id: str, out: Path, variant: str, json_: bool) -> None:
    """Save a finished video.

    Prints the path of the file. What broke off goes on where it was; the bytes are compared with
    the checksum that the server keeps.
    """
    video = server.get(video_path(video_id))
    path = save(server, video, out, variant=variant, quiet=json_)
    if json_:
        output.print_json({"id": video["id"], "variant": variant, "path": str(path)})


def save(
    server: Server, video: Json, out: Path, *, variant: str = "video", quiet: bool = False
) -> Path:
    """Save a file of a video at `out`, or in that folder under its id. Returns and says the path.

    Raises:
        Failed: the bytes are not those that the server promised, or cannot be written here.
        Refused: the video is not there, or not finished.
        Unreachable: it broke off several times without getting further.
    """
    try:
        path = _Transfer(server, video, variant).run(out)
    except OSError as error:
        raise Failed(f"{error.filename or out} cannot be written: {error.strerror}.") from error
    if not quiet:
        click.echo(str(path))
    return path


class _Transfer:
    """One file on its way to the disk, through a partial file beside its final place."""

    def __init__(self, server: Server, video: Json, variant: str):
        self._server = server
        self._video = video
        self._variant = variant
        # Only of the video itself a checksum is known: what is left of another file is not trusted.
        self._sha256: str | None = video["content_sha256"] if variant == "video" else None

    def run(self, out: Path) -> Path:
        """Until it is whole. A try that got further than the one before does not count."""
        folder = out if is_folder(out) else out.parent
        folder.mkdir(parents=True, exist_ok=True)
        if self._sha256 is not None:
            path = self._place(out, self._video["content_type"])
            if path.is_file() and _digest(path) == self._sha256:
                return path
        mark = (self._sha256 or "new")[:12]
        partial = folder / f".{self._video['id']}-{self._variant}-{mark}.part"
        path = self._place(out, self._persist(partial))
        if self._sha256 is not None and _digest(partial) != self._sha256:
            partial.unlink()
            raise Failed(
                "What came is not what the server keeps (its checksum differs); try again."
            )
        partial.replace(path)
        return path

    def _persist(self, partial: Path) -> str:
        left, reached = TRIES, -1
        while True:
            try:
                return self._fetch(partial)
            except Unreachable:
                size = _size(partial)
                left = TRIES if size > reached else left - 1
                reached = size
                if not left:
                    raise
                self._server.clock.sleep(1.0)

    def _fetch(self, partial: Path) -> str:
        """Ask for what is missing. Returns the content type."""
        have = _size(partial) if self._sha256 else 0
        if have and have >= self._video["content_bytes"]:
            partial.unlink()
            have = 0
        path = video_path(self._video["id"], "/download")
        headers = {"Range": f"bytes={have}-"} if have else {}
        variant = None if self._variant == "video" else self._variant
        with self._server.stream(path, headers=headers, variant=variant) as stream:
            self._receive(stream, partial)
            return stream.content_type

    def _receive(self, stream: Stream, partial: Path) -> None:
        with (
            partial.open("r+b" if stream.start else "wb") as file,
            transfer("Saving", stream.total, stream.start) as bar,
        ):
            file.seek(stream.start)
            for chunk in stream.chunks():
                file.write(chunk)
                bar.advance(len(chunk))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())

    def _place(self, out: Path, content_type: str) -> Path:
        if not is_folder(out):
            return out
        suffix = _SUFFIXES.get(content_type, ".bin")
        name = (
            self._video["id"]
            if self._variant == "video"
            else f"{self._video['id']}-{self._variant}"
        )
        return out / f"{name}{suffix}"


def is_folder(out: Path) -> bool:
    """An existing folder, or a name that does not look like a file's."""
    return out.is_dir() or not (out.suffix or out.exists())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
