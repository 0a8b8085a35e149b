"""`sandbox`: the provider that ships with the product, as a process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestrator.cli import output
from orchestrator.cli.errors import Failed
from orchestrator.sandbox.dialects import DIALECTS
from orchestrator.sandbox.server import serve
from orchestrator.sandbox.settings import CONTAINERS, SandboxSettings

_FAULTS = """\b
Faults are written operation.kind[:value][=probability | @count], joined by
commas. Without a probability or a count a fault strikes always; @3 means the
next three requests. They can be changed while it runs: PUT /sandbox/faults.

\b
any operation (create, get, list, content, delete):
  400 401 403 404 500 502 503   answers that, and does nothing
  429, 429_retry_after:S        asks to come back later (in S seconds)
  503_retry_after:S             the same as 503
  html                          answers 200 with a page of HTML
  cut                           ends the connection without an answer
  hang:S                        does it, and answers S seconds late
create (remixes, edits and extensions too):
  accept_then_cut               takes the job, then ends the connection
  500_after_accept              takes the job, then answers 500
  html_after_accept             takes the job, then answers with HTML
  no_id                         takes the job, and does not say its id
  hang_then_cut:S               waits, then ends the connection; takes no job
  quota                         429: the account has no credit
  no_model                      404: no such model
  moderation                    400: the prompt is not allowed
get:
  unknown_status:WORD           the job has a status that nobody knows
list:
  lag:S                         new jobs are missing for S seconds
  empty                         shows no jobs
  ignore_after                  shows the first page again and again
content:
  truncated                     ends before the announced length
  wrong                         sends JSON, with status 200
  slow:B                        sends B bytes a second
delete:
  409                           refuses to delete
job (drawn once for each job):
  fail stuck forget             fails, never ends, or vanishes
  duration_spread:F             takes up to F times longer

\b
Example:
  orchestrator sandbox --faults "create.accept_then_cut=0.2,get.500@3,list.lag:5"
"""


@click.command("sandbox", epilog=_FAULTS)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8100,
    show_default=True,
    help="0: any free one.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep jobs and files here; without it they end with the process.",
)
@click.option(
    "--render-seconds",
    type=float,
    default=6.0,
    show_default=True,
    help="A video takes at least that long.",
)
@click.option("--instant-video", is_flag=True, help="Always the same tiny file, for load tests.")
@click.option(
    "--dialect",
    type=click.Choice(list(DIALECTS)),
    default="sandbox",
    show_default=True,
    help="Whose server to imitate, deviations included.",
)
@click.option(
    "--container",
    type=click.Choice(CONTAINERS),
    default="mp4",
    show_default=True,
    help="The format of the videos.",
)
@click.option("--faults", default="", metavar="RULES", help="Misbehaviour on demand; see below.")
@click.option("--seed", type=int, help="Draw the same faults again in the same order of requests.")
@click.option(
    "--max-concurrent", type=int, metavar="N", help="Answer 429 to more unfinished jobs; 0: no cap."
)
@click.option("--honour-idempotency-key", is_flag=True, help="Make one job of equal keys.")
@click.option("--api-key", metavar="KEY", help="Let in only callers with this bearer key.")
@click.option("--model", "models", multiple=True, metavar="NAME", help="Repeatable; else sora-2*.")
@click.option("--retention-seconds", type=float, help="How long finished content can be fetched.")
@click.option("--webhook-url", metavar="URL", help="Tell this address when a job has ended.")
@click.option("--webhook-secret", metavar="whsec_…", help="Signs what is told there.")
def sandbox_command(host: str, port: int, models: tuple[str, ...], **chosen: Any) -> None:
    """Run a provider on this machine that renders real videos.

    It speaks the Videos API at http://HOST:PORT/v1; http://HOST:PORT/ shows what it accepted. Point
    OPENAI_BASE_URL at it. Prompts may steer it: with [fail] the job fails, with [moderation] it is
    blocked, with [refuse] it is refused at once.
    """
    if models:
        chosen["models"] = models
    try:
        settings = SandboxSettings(**chosen)
    except ValueError as error:
        raise click.UsageError(_optional(str(error))) from None
    try:
        serve(settings, host, port, ready=lambda url: output.remark(f"The sandbox is at {url}"))
    except OSError as error:
        raise Failed(f"The sandbox cannot start: {error}.") from error


def _optional(message: str) -> str:
    """`render_seconds must…`, in the words of the command line: `--render-seconds must…`."""
    name, _, rest = message.partition(" ")
    end = ":" if name.endswith(":") else ""
    return f"--{name.removesuffix(':').replace('_', '-')}{end} {rest}"
