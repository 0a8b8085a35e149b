"""ops/Dockerfile, read as the builder reads it, and the files that it may copy."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "ops" / "Dockerfile"
_MOUNT = re.compile(r"^--mount=\S+\s+")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One step: its name in capitals, and the rest of its line."""

    name: str
    rest: str

    @property
    def argv(self) -> list[str]:
        """The words of a COPY, or of a list such as that of CMD."""
        start = self.rest.find("[")
        return list(json.loads(self.rest[start:])) if start >= 0 else self.rest.split()

    @property
    def shell(self) -> str:
        """What a RUN gives to the shell."""
        return _MOUNT.sub("", self.rest)


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, which begins with its FROM."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found: list[list[Instruction]] = []
    for line in filter(None, joined.splitlines()):
        name, _, rest = line.partition(" ")
        if name == "FROM":
            found.append([])
        found[-1].append(Instruction(name, rest.strip()))
    return found


def environment() -> dict[str, str]:
    """What the last stage sets for every process."""
    return {
        name: value
        for step in stages()[-1]
        if step.name == "ENV"
        for name, _, value in (pair.partition("=") for pair in step.rest.split())
    }


def only(name: str) -> Instruction:
    """The one instruction of this name in the last stage."""
    (found,) = (step for step in stages()[-1] if step.name == name)
    return found


def context() -> list[str]:
    """The files that the builder may see, by their paths from the root."""
    lines = Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    shown = [line.removeprefix("!") for line in rules if line.startswith("!")]
    hidden = [line.removeprefix("**/") for line in rules if line.startswith("**/")]
    assert "*" == rules[0], "what is not named shall stay outside"
    assert len(rules) == 1 + len(shown) + len(hidden), "a rule of a kind that is not known here"
    paths = [
        path
        for name in shown
        for path in ((ROOT / name).rglob("*") if (ROOT / name).is_dir() else [ROOT / name])
        if path.is_file()
    ]
    inside = [path.relative_to(ROOT) for path in paths]
    return [
        str(path)
        for path in inside
        if not any(fnmatch(part, rule) for part in path.parts for rule in hidden)
    ]
