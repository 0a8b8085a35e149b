"""The operator's side of a running sandbox: faults, forgetting, and what it has seen."""

from __future__ import annotations

from flask import Blueprint, Response, render_template_string, request

from orchestrator.sandbox.books import report
from orchestrator.sandbox.errors import RefusedError, invalid
from orchestrator.sandbox.faults import KINDS
from orchestrator.sandbox.page import PAGE
from orchestrator.sandbox.wire import answered, current_sandbox

JOBS_ON_PAGE = 60

control = Blueprint("control", __name__)


@control.errorhandler(RefusedError)
def refused(refusal: RefusedError) -> Response:
    """Say plainly what was wrong, whatever dialect the provider speaks."""
    return answered({"error": {"message": refusal.message, "param": refusal.param}}, refusal.status)


@control.get("/sandbox/faults")
def show_faults() -> Response:
    """The rules in force, how often each struck, and what could be asked for."""
    return answered(_faults())


@control.put("/sandbox/faults")
def change_faults() -> Response:
    """Put other rules in force: {"faults": "get.404=0.1"}, or that text itself as the body."""
    body = (
        request.get_json(silent=True)
        if request.is_json
        else {"faults": request.get_data(as_text=True)}
    )
    text = body.get("faults") if isinstance(body, dict) else None
    if not isinstance(text, str):
        raise invalid("faults", 'Send {"faults": "…"}, or the text itself.')
    try:
        current_sandbox().faults.change(text.strip())
    except ValueError as problem:
        raise invalid("faults", str(problem)) from None
    return answered(_faults())


@control.post("/sandbox/forget")
def forget() -> Response:
    """Lose every job, as after a restart without a memory."""
    return answered({"forgotten": current_sandbox().jobs.forget()})


@control.get("/sandbox/state")
def state() -> Response:
    """What it was asked, what it accepted, and every job."""
    return answered(report(current_sandbox()))


@control.get("/")
def page() -> str:
    """The same for people."""
    sandbox = current_sandbox()
    books = report(sandbox, JOBS_ON_PAGE)
    return render_template_string(
        PAGE,
        report=books,
        jobs=books["jobs"][::-1],
        content_shown=sandbox.settings.api_key is None,
        stills=sandbox.dialect.variants == "all",
    )


def _faults() -> dict[str, object]:
    faults = current_sandbox().faults
    known = {operation: list(kinds) for operation, kinds in KINDS.items()}
    return {"faults": faults.text, "fired": faults.fired(), "known": known}
