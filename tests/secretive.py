"""A process full of secrets in which everything goes wrong: `python -m tests.secretive`.

Arguments: database URL, Redis URL, a folder, the log format. The log goes to standard error; on
standard output comes one JSON document: `secrets`, `statuses`, `shown` (headers and bodies).
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import wraps
from pathlib import Path

from api import create_app
from orchestrator import accounts, logs
from orchestrator.catalog import single_provider_catalog
from tests.factories import make_context, make_settings

PASSWORD = "p4ssw0rd-of-the-database"
PROVIDER_KEY = "sk-key-of-the-provider"
WEBHOOK_SECRET = "whsec_" + "c2VjcmV0" * 6
SECRET_KEY = "key-that-signs-cookies"


def main(database_url: str, redis_url: str, folder: str, log_format: str) -> None:
    """Sign-in, right and wrong keys, a forged webhook, our own mistake, a database that is away."""
    catalog = single_provider_catalog(
        base_url="http://127.0.0.1:1/v1",
        profile="sandbox",
        api_key=PROVIDER_KEY,
        webhook_secret=WEBHOOK_SECRET,
    )
    settings = replace(
        make_settings(database_url, redis_url, Path(folder)),
        auth="keys",
        catalog=catalog,
        secret_key=SECRET_KEY,
        log_format=log_format,
        log_level="DEBUG",
    )
    away = replace(
        settings,
        database_url=f"postgresql://postgres:{PASSWORD}@127.0.0.1:1/none",
        redis_url=f"redis://:{PASSWORD}@127.0.0.1:1/0",
    )
    logs.configure(settings, "web")
    ctx, without = make_context(settings), make_context(away)
    made = accounts.create_key(ctx, "ann")
    app = create_app(ctx)
    app.view_functions["models.page"] = wraps(app.view_functions["models.page"])(_broken)
    browser, alone, broken = (
        app.test_client(),
        app.test_client(use_cookies=False),
        create_app(without).test_client(),
    )
    bearer = {"Authorization": f"Bearer {made.secret}"}
    answers = [
        browser.post("/session", json={"key": made.secret}),
        browser.get("/api/quota"),
        alone.get("/api/quota", headers=bearer),
        alone.get("/api/quota", headers={"Authorization": f"Bearer {made.secret}x"}),
        alone.post("/webhooks/default", data="{}", headers={"webhook-signature": "v1,x"}),
        alone.get("/api/models", headers=bearer),
        broken.get("/api/quota", headers=bearer),
        broken.get("/readyz"),
    ]
    found = {
        "secrets": [made.secret, PASSWORD, PROVIDER_KEY, WEBHOOK_SECRET, SECRET_KEY],
        "statuses": [answer.status_code for answer in answers],
        "shown": "\n".join(f"{answer.headers}{answer.text}" for answer in answers)
        + repr(away)
        + repr(without),
    }
    sys.stdout.write(json.dumps(found))
    ctx.close()
    without.close()


def _broken() -> str:
    """A view with a mistake, while secrets are at hand."""
    secrets = (PASSWORD, PROVIDER_KEY, SECRET_KEY)
    raise RuntimeError(f"our own mistake, with {len(secrets)} secrets at hand")


if __name__ == "__main__":
    main(*sys.argv[1:])
