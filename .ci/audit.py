"""Look every pinned package up in a database of known vulnerabilities: `make audit`.

Ends with 1 if there is a finding. Where no database can be asked (offline, or behind a mirror that
has the files only) it says so and ends with 0: that is no verdict on the packages, and must not
fail a build.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LOCKS = ("requirements.lock", "requirements-dev.lock")
DATABASES = ("pypi", "osv")
_ANSWER_SECONDS = 15
_ALL_SECONDS = 240


@dataclass(frozen=True, slots=True)
class Findings:
    """What a database said of the packages: how many it knows, which it does not know, and a line
    for each vulnerability.
    """

    known: int
    unknown: Sequence[str]
    vulnerabilities: Sequence[str]


def findings(report: Mapping[str, Any]) -> Findings:
    """What a report of pip-audit says. A package that it has skipped was not looked up, and one
    that is in both locks counts once.
    """
    packages = {one["name"]: one for one in report["dependencies"]}.values()
    return Findings(
        known=sum("skip_reason" not in one for one in packages),
        unknown=[one["name"] for one in packages if "skip_reason" in one],
        vulnerabilities=[
            f"{one['name']} {one['version']}: {vulnerability['id']}, mended in "
            f"{', '.join(vulnerability['fix_versions']) or 'no version yet'}"
            for one in packages
            for vulnerability in one.get("vulns", ())
        ],
    )


def ask(database: str) -> Findings | str:
    """What this database says, or why it said nothing."""
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", database]
    command += ["--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", str(_ANSWER_SECONDS)]
    for lock in LOCKS:
        command += ["--requirement", lock]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_ALL_SECONDS, check=False
        )
        found = findings(json.loads(done.stdout))
    except subprocess.TimeoutExpired:
        return f"no answer within {_ALL_SECONDS} seconds"
    except ValueError:
        return (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
    return found if found.known else "it knows none of the packages"


def main() -> int:
    """Ask one database after the other until one answers; the exit status."""
    for database in DATABASES:
        found = ask(database)
        if isinstance(found, Findings):
            return told(database, found)
        sys.stdout.write(f"Could not ask {database}: {found}\n")
    sys.stdout.write("NOT AUDITED: no database of vulnerabilities can be reached from here.\n")
    return 0


def told(database: str, found: Findings) -> int:
    """Print the findings; the exit status."""
    lines = [f"{found.known} packages were looked up in {database}."]
    if found.unknown:
        lines.append(f"It does not know {', '.join(found.unknown)}.")
    lines += found.vulnerabilities or ["No vulnerability is known."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found.vulnerabilities else 0


if __name__ == "__main__":
    sys.exit(main())
