"""Starting, restarting and stopping services, with ones that only note what is asked of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.supervisor import Supervisor

PATIENCE = 10.0


@dataclass
class FakeService:
    """Runs until a test says how it ends."""

    name: str
    journal: list[str]
    failures: int = 0
    status: int | None = None
    started_again: threading.Event = field(default_factory=threading.Event)
    starts: int = 0

    def start(self) -> None:
        self.starts += 1
        self.status = None
        if self.starts > 1 and self.failures:
            self.failures -= 1
            raise ConfigurationError("no room")
        self.journal.append(f"{self.name} starts")
        if self.starts > 1:
            self.started_again.set()

    def poll(self) -> int | None:
        return self.status

    def stop(self) -> None:
        self.status = None
        self.journal.append(f"{self.name} stops")

    def kill(self) -> None:
        self.journal.append(f"{self.name} is killed")


@pytest.fixture
def journal() -> list[str]:
    """What happened, in order."""
    return []


@pytest.fixture
def reports() -> list[str]:
    """What the operator was told."""
    return []


@pytest.fixture
def supervisor(reports: list[str]) -> Iterator[Supervisor]:
    """One that restarts without a pause."""
    supervisor = Supervisor(reports.append, backoff=(0.0,))
    yield supervisor
    supervisor.stop()


def test_stop_when_services_depend_on_each_other(
    supervisor: Supervisor, journal: list[str]
) -> None:
    """What was started last is stopped first."""
    supervisor.start(FakeService("database", journal))
    supervisor.start(FakeService("web", journal))

    supervisor.stop()

    assert ["database starts", "web starts", "web stops", "database stops"] == journal


def test_start_when_a_service_cannot(supervisor: Supervisor, journal: list[str]) -> None:
    """The caller gets the error; the services before it are stopped with the rest."""
    good, bad = FakeService("good", journal), FakeService("bad", journal, failures=1, starts=1)

    with pytest.raises(ConfigurationError, match="no room"):
        supervisor.start(good, bad)
    supervisor.stop()

    assert ["good starts", "good stops"] == journal


def test_restart_when_a_service_ends(
    supervisor: Supervisor, journal: list[str], reports: list[str]
) -> None:
    """It is cleared up after, started again, and the operator is told both."""
    service = FakeService("worker", journal)
    supervisor.start(service)

    service.status = 1

    assert service.started_again.wait(PATIENCE)
    supervisor.stop()
    assert ["worker starts", "worker stops", "worker starts", "worker stops"] == journal
    assert "worker ended with status 1; starting it again in 0 s" == reports[0]
    assert "worker is running again" == reports[1]


def test_restart_when_it_fails_at_first(
    supervisor: Supervisor, journal: list[str], reports: list[str]
) -> None:
    """A start that fails is tried again, too."""
    service = FakeService("worker", journal, failures=2)
    supervisor.start(service)

    service.status = -9

    assert service.started_again.wait(PATIENCE)
    assert service.starts == 4
    assert "worker did not start (no room); starting it again in 0 s" in reports


def test_backoff_when_a_service_keeps_falling(journal: list[str], reports: list[str]) -> None:
    """The pause grows with each fall in a row, and the last one repeats."""
    supervisor = Supervisor(reports.append, backoff=(0.0, 0.001, 0.002))
    service = FakeService("worker", journal, failures=4)
    supervisor.start(service)

    service.status = 1

    assert service.started_again.wait(PATIENCE)
    supervisor.stop()
    pauses = [report.rpartition(" in ")[2] for report in reports if " in " in report]
    assert ["0 s", "0.001 s", "0.002 s", "0.002 s", "0.002 s"] == pauses


def test_stop_when_called_twice(supervisor: Supervisor, journal: list[str]) -> None:
    """The second call finds nothing to do."""
    supervisor.start(FakeService("web", journal))

    supervisor.stop()
    supervisor.stop()

    assert ["web starts", "web stops"] == journal
