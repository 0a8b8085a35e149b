"""The documentation as a site: whole, and at home on a machine without a network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT, name_of

# What a browser fetches by itself; to follow a link elsewhere is the reader's choice.
FETCHED = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=\"([^\"]+)\"")
STYLED = re.compile(r"(?:@import\s+|url\()[\"']?([^\"')]+)")


pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` makes. A warning, such as one of a link that leads nowhere, ends it."""
    built = tmp_path_factory.mktemp("site")
    recipe = re.search(r"^\t@\$\(PY\) (-m sphinx .*) site$", (ROOT / "Makefile").read_text(), re.M)
    assert recipe is not None
    subprocess.run([sys.executable, *recipe[1].split(), str(built)], cwd=ROOT, check=True)
    return built


def test_site_has_every_page(site: Path) -> None:
    """Each is there, and the front page leads to it."""
    front = (site / "index.html").read_text(encoding="utf-8")

    for page in (Path(name_of(page)).with_suffix(".html").as_posix() for page in PAGES):
        assert (site / page).is_file()
        assert f'href="{page}"' in front or page == "README.html"


def test_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    """Scripts, styles, fonts and pictures are its own, and there."""
    fetched = {
        (file.parent, address.partition("?")[0].partition("#")[0])
        for pattern, kind in ((FETCHED, "*.html"), (STYLED, "*.css"))
        for file in site.rglob(kind)
        for address in pattern.findall(file.read_text(encoding="utf-8"))
        if not address.startswith("data:")
    }

    elsewhere = {address for folder, address in fetched if not (folder / address).exists()}

    assert fetched
    assert set() == elsewhere


def test_site_has_the_reference_of_the_api(site: Path) -> None:
    """It shows what a server shows, and the page about the API leads to it."""
    document = json.loads((site / "openapi.json").read_text(encoding="utf-8"))

    shown = (site / "api.html").read_text(encoding="utf-8")

    assert set() == {path for path in document["paths"] if f"<code>{path}</code>" not in shown}
    assert 'href="../../api.html"' in (site / "docs" / "reference" / "http-api.html").read_text()


def test_diagrams_of_the_site_are_pictures(site: Path) -> None:
    """No reader sees the source of one."""
    for page in PAGES:
        shown = (site / name_of(page)).with_suffix(".html").read_text(encoding="utf-8")

        drawn = shown.count('<figure class="diagram"><svg')

        assert page.read_text(encoding="utf-8").count("```mermaid") == drawn
