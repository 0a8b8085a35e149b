"""What a machine lacks, and what its processes are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local.wiring import (
    Lacks,
    common_environment,
    local_url,
    port_of,
    provider_environment,
    wants_password,
)
from orchestrator.settings import load


def test_lacks_when_nothing_is_named() -> None:
    """A bare environment lacks everything, and an empty variable names nothing."""
    expected = Lacks(postgres=True, valkey=True, provider=True)

    assert expected == Lacks.of({})
    assert expected == Lacks.of({"DATABASE_URL": "", "REDIS_URL": " ", "OPENAI_BASE_URL": ""})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DATABASE_URL", Lacks(postgres=False, valkey=True, provider=True)),
        ("REDIS_URL", Lacks(postgres=True, valkey=False, provider=True)),
        ("OPENAI_BASE_URL", Lacks(postgres=True, valkey=True, provider=False)),
        ("PROVIDERS_FILE", Lacks(postgres=True, valkey=True, provider=False)),
    ],
)
def test_lacks_when_a_service_is_named(name: str, expected: Lacks) -> None:
    """A service that is named is used, not started."""
    assert expected == Lacks.of({name: "something"})


def test_port_of_when_set() -> None:
    """The variable wins over the default."""
    assert port_of({"PORT": "3000"}, "PORT", 8000) == 3000
    assert port_of({"PORT": ""}, "PORT", 8000) == 8000


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5"])
def test_port_of_when_it_is_no_port(text: str) -> None:
    """The message names the variable and what it takes."""
    with pytest.raises(ConfigurationError, match=r"PORT=.*0 to 65535"):
        port_of({"PORT": text}, "PORT", 8000)


def test_common_environment_on_a_bare_machine(tmp_path: Path) -> None:
    """Without keys on loopback, data in the folder, a secret that is kept."""
    folder = tmp_path / "with space"
    folder.mkdir()

    first = common_environment({"PATH": "/bin"}, folder)
    second = common_environment({"PATH": "/bin"}, folder)

    assert first == second
    assert first["PATH"] == "/bin"
    assert (first["HOST"], first["AUTH"]) == ("127.0.0.1", "off")
    assert first["STORAGE_URL"].endswith("/with%20space/videos")
    assert len(first["SECRET_KEY"]) > 32


def test_common_environment_when_others_can_connect(tmp_path: Path) -> None:
    """Keys are asked for, or anyone in the network could spend the operator's money."""
    wired = common_environment({"HOST": "0.0.0.0"}, tmp_path)

    assert wired["AUTH"] == "keys"


def test_common_environment_when_the_operator_decided(tmp_path: Path) -> None:
    """What is set stays, and no secret is made for nothing."""
    given = {"AUTH": "keys", "SECRET_KEY": "mine", "STORAGE_URL": "s3://bucket/videos"}

    wired = common_environment(given, tmp_path)

    assert given == {name: wired[name] for name in given}
    assert list(tmp_path.iterdir()) == []


def test_provider_environment_makes_valid_settings(tmp_path: Path) -> None:
    """The settings accept what the stack tells its processes; a real key does not travel."""
    given = {"OPENAI_API_KEY": "sk-real"}
    env = common_environment(given, tmp_path) | provider_environment(given, 8100, tmp_path)

    settings = load(env)

    assert settings.auth == "off"
    assert "sk-real" not in env.values()


def test_provider_environment_keeps_the_secret_of_webhooks(tmp_path: Path) -> None:
    """One's own where it is set; else one that stays the same from start to start."""
    own = provider_environment({"OPENAI_WEBHOOK_SECRET": "mine"}, 8100, tmp_path)
    made, again = (provider_environment({}, 8100, tmp_path) for _ in range(2))

    assert "mine" == own["OPENAI_WEBHOOK_SECRET"]
    assert made == again
    assert len(made["OPENAI_WEBHOOK_SECRET"]) > 30


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
    ],
)
def test_local_url_for_each_kind_of_host(host: str, expected: str) -> None:
    """A browser can open it, whatever the server listens on."""
    assert expected == local_url(host, 8000)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"AUTH": "off"}, False),
        ({"AUTH": "keys"}, True),
        ({"AUTH": "keys", "FLOWER_BASIC_AUTH": "ops:secret"}, False),
        ({"AUTH": "keys", "FLOWER_AUTH_PROVIDER": "flower.views.auth.GithubLoginHandler"}, False),
    ],
)
def test_wants_password_where_the_api_wants_keys(env: dict[str, str], expected: bool) -> None:
    """Whoever has chosen how to come in keeps that."""
    assert expected == wants_password(env)
