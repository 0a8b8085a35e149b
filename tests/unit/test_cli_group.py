"""The root command: its help, its names, and how it ends."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from orchestrator import __version__
from orchestrator.cli import main
from orchestrator.cli.group import SECTIONS, Entry
from tests.cli import run

ENTRIES = [entry for _, entries in SECTIONS for entry in entries]
HEAVY = ("rich", "flask", "celery", "sqlalchemy", "openai", "av", "PIL", "pydantic")


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_summary_is_the_first_sentence_of_the_help_when_a_command_is_loaded(entry: Entry) -> None:
    """What the overview says of a command is what the command says of itself."""
    command = main.commands[entry.name]

    result = run(entry.name, "--help")

    assert entry.name == command.name
    assert entry.summary == (command.help or "").split("\n")[0]
    assert 0 == result.exit_code


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_option_is_explained_when_help_is_asked_for(entry: Entry) -> None:
    """No option is left to guessing."""
    command = main.commands[entry.name]
    inner = command.commands.values() if isinstance(command, click.Group) else ()

    silent = [
        parameter.name
        for described in (command, *inner)
        for parameter in described.params
        if isinstance(parameter, click.Option) and not parameter.help
    ]

    assert [] == silent


def test_help_names_every_command_when_asked() -> None:
    """The overview is complete, and explains exit codes, the environment and completion."""
    result = run("--help")

    assert 0 == result.exit_code
    assert [] == [entry.name for entry in ENTRIES if f"  {entry.name} " not in result.stdout]
    for word in (
        "Exit codes",
        "ORCHESTRATOR_URL",
        "ORCHESTRATOR_API_KEY",
        "orchestrator completion",
    ):
        assert word in result.stdout


def test_nothing_heavy_is_loaded_when_only_help_is_wanted() -> None:
    """Help and completion stay fast, because no command's module is imported for them."""
    script = (
        "import sys\nfrom orchestrator.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "[]" == ended.stderr.strip()


def test_completion_knows_names_and_summaries_when_a_beginning_is_typed() -> None:
    """Completion answers from the table of commands."""
    found = main.shell_complete(click.Context(main), "re")

    assert {"remix", "resolve", "retry"} == {item.value for item in found}
    assert all(item.help for item in found)


def test_version_is_printed_when_asked() -> None:
    """The version is that of the package."""
    result = run("--version")

    assert f"orchestrator, version {__version__}\n" == result.stdout


def test_similar_name_is_offered_when_a_command_is_mistyped() -> None:
    """A slip costs one look, and is wrong usage."""
    result = run("lst")

    assert 2 == result.exit_code
    assert "'list'" in result.stderr


def test_setting_is_named_when_it_cannot_be() -> None:
    """A wrong setting is one line with its name, and no traceback."""
    result = run("migrate", env={"DB_POOL_SIZE": "many"})

    assert 1 == result.exit_code
    assert (
        "Error: DB_POOL_SIZE='many' cannot be: it takes a number from 1 to 20.\n" == result.stderr
    )


def test_doctor_is_advised_when_the_database_is_away() -> None:
    """Commands that work on it without a server say where to look."""
    result = run("keys", "list", env={"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/none"})

    assert 1 == result.exit_code
    assert "orchestrator doctor" in result.stderr


def test_commands_cannot_be_added_when_the_table_lacks_them() -> None:
    """The table is the only place where commands are declared."""
    with pytest.raises(TypeError, match="SECTIONS"):
        main.commands["more"] = click.Command("more")
    with pytest.raises(TypeError, match="SECTIONS"):
        del main.commands["list"]
    assert len(ENTRIES) == len(main.commands)
