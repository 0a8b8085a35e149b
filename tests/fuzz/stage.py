"""An application with two people at it, for requests of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from flask import Flask
from schemathesis import Case, Response

from api import create_app
from api.streams import feeds_of
from api.waiting import EXTENSION, WaitingRoom
from orchestrator import accounts
from orchestrator.catalog import Catalog
from orchestrator.db import quotas
from tests.clock import Clock
from tests.fuzz.things import OWNER, Things, word
from tests.rig import Rig, make_catalog, rigged

ROOT = "root"


class Stage:
    """An application with two people at it: a user, and an admin for what is for admins."""

    def __init__(self, rig: Rig, app: Flask):
        self.app = app
        self.statuses: set[int] = set()
        self._things = Things(rig)
        user = accounts.create_key(rig.ctx, OWNER.user_id)
        admin = accounts.create_key(rig.ctx, ROOT, role="admin")
        self._keys = {"user": user.secret, "admin": admin.secret}
        # Who asks must not be ended, nor kept short, by what is asked.
        self._spared = {user.key.id: word("key"), admin.key.id: word("key")}
        self._spared |= {OWNER.user_id: word("user"), ROOT: word("user")}

    def headers(self, case: Case) -> dict[str, str]:
        """What whoever may ask this sends."""
        who = "admin" if "admin" in (case.operation.tags or ()) else "user"
        return {"Authorization": f"Bearer {self._keys[who]}"}

    def ask(self, case: Case) -> Response:
        """Send a request with things in the place of their words; note what was answered."""
        fresh = case.method not in {"GET", "HEAD"}
        names = case.path_parameters
        if fresh:
            names = {name: self._spared.get(str(value), value) for name, value in names.items()}
        case.path_parameters = self._things.put(names, fresh=fresh)
        if isinstance(case.body, dict):
            case.body = self._things.put(case.body, fresh=fresh)
        response = case.call(headers=self.headers(case))
        if response.request.method == case.operation.method.upper():
            self.statuses.add(response.status_code)
        return response


@contextmanager
def staged(database_url: str, redis_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A fresh one; in the end everything that is promised between rows must hold."""
    with rigged(
        database_url, redis_url, tmp_path, catalog=_catalog(), auth="keys", secret_key="k" * 32
    ) as rig:
        with rig.ctx.database.transaction() as connection:
            for user in (OWNER.user_id, ROOT):
                quotas.change(connection, user, {"videos_limit": 1_000_000})
        app = create_app(rig.ctx)
        clock = Clock()
        app.extensions[EXTENSION] = WaitingRoom(1, sleep=clock.sleep, monotonic=clock)
        yield Stage(rig, app)
        feeds_of(app).close()


def _catalog() -> Catalog:
    """A provider that sends webhooks, and has no list: what is unknown there is held."""
    catalog = make_catalog(list="none", on_unknown="hold")
    (provider,) = catalog.providers.values()
    signing = replace(provider, webhook_secret="whsec_" + "c2Vj" * 8)
    return Catalog(providers={signing.name: signing}, models=catalog.models)
