"""What pages tell their readers to type exists, and somebody sees to it that it works."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from orchestrator.cli import main
from tests.pages import PAGES, ROOT, SHELL, Block, blocks, name_of

NOT_RUN = (
    "CI runs them by themselves",
    "each of them runs until it is stopped",
    "it changes the system",
    "it installs packages",
    "it needs a Docker daemon",
    "it needs a proxy",
    "it needs a provider",
    "it needs that server",
    "it needs the units above",
)
TARGET = re.compile(r"make ([a-z][a-z0-9-]*)")
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
COMMAND = re.compile(r"(?:^(?:[A-Z_]+=\S+ )*|[;&|(] *|bin/)orchestrator +(?=[a-z-])(.*)$")
# Folders and files of ours begin like this; what else has a slash is a route or somebody else's.
OURS = re.compile(
    r"(?:api|bench|docs|ops|orchestrator|tests|workers|\.ci)/[\w./-]*|[\w-]+\.(?:py|sql|lock)"
)
# These look like files of ours, and are what readers write or choose themselves.
THEIRS = {"ops/.env", "ops/flower", "receiver.py"}
NAMES = {path.name for path in (ROOT, *ROOT.glob("[a-z]*/**")) for path in path.glob("*.*")}


def lines(page: Path) -> Iterator[str]:
    """Each line that is a command, and each that is set as code within the text."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(page):
        text = text.replace(block.text, "")
        if block.language in SHELL:
            yield from re.sub(r"\\\n\s*", " ", block.text).splitlines()
    yield from INLINE.findall(text)


def complaint(text: str) -> str | None:
    """What is wrong with the words after `orchestrator`; None if nothing is."""
    words = shlex.split(re.split(r" [|&>]|;|\)", text.replace("…", ""))[0], comments=True)
    command: click.Command = main
    for word in words:
        if word.startswith("-"):
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            if word.partition("=")[0] not in options | {"-h", "--help", "--version"}:
                return f"{command.name} has no option {word}"
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return f"there is no command {word}"
            command = found
    return None


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_block_is_run_or_says_why_not(page: Path) -> None:
    """No program of a page is left to itself."""
    programs = [block for block in blocks(page) if block.is_program]

    idle = [block.place for block in programs if not seen_to(block)]

    assert [] == idle


def seen_to(block: Block) -> bool:
    """Whether the block is run, here or by something that exists, or has a reason that counts."""
    if block.kind == "not run":
        return block.subject.startswith(NOT_RUN)
    if block.kind.startswith("run by "):
        return runs(ROOT / block.kind.removeprefix("run by "), block)
    return block.is_run_here


def runs(path: Path, block: Block) -> bool:
    """Whether a test names the page or a file of this block, or a page that is run has the same
    lines.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if path.suffix == ".py":
        words = [block.place.partition(":")[0], *block.text.split()]
        return any(Path(word).name in text for word in words if Path(word).suffix)
    here = "".join(other.text for other in blocks(path) if other.is_run_here)
    return all(line.split("  #")[0].strip() in here for line in block.text.splitlines())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_command_that_a_page_names_exists(page: Path) -> None:
    """So does each of its options, in blocks and within the text."""
    wrong = []
    for line in lines(page):
        found = COMMAND.search(line)
        said = complaint(found[1]) if found else None
        if said:
            wrong.append(f"{line}: {said}")

    assert [] == wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_target_that_a_page_names_exists(page: Path) -> None:
    """No page sends anybody to a `make` target that is gone."""
    named = {found[1] for line in lines(page) if (found := TARGET.match(line))}

    assert set() == named - TARGETS


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_file_that_a_page_names_exists(page: Path) -> None:
    """Paths that look like ours lead somewhere, from the root or from the core; a name alone is
    that of some file.
    """
    named = {word for text in INLINE.findall(page.read_text()) for word in text.split()}
    ours = {word for word in named if OURS.fullmatch(word)} - THEIRS

    gone = {
        path
        for path in ours
        if path not in NAMES
        and not any((root / path).exists() for root in (ROOT, ROOT / "orchestrator"))
    }

    assert set() == gone
