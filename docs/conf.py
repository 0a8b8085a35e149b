"""How Sphinx makes a site of README and these pages: `make docs`.

The pages are written for whoever reads them in the repository. What the site wants besides (its
navigation, its pictures, a front page) is taken from them here. What a running server shows as
/docs becomes a page of the site.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import structlog
from docutils import nodes
from docutils.parsers.rst import Directive
from mermaid_render import convert
from sphinx.application import Sphinx

from docs.generate import application

project = "Video orchestrator"
html_title = project
root_doc = "README"
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/**.md", "bench/results/*.md"]
exclude_patterns = [".*", "out", "build", "dist", "site"]

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False
html_show_copyright = False

INDEX = Path(__file__).with_name("README.md")
_SECTION = re.compile(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"\]\(([\w/-]+)\.md\)")
_FROM_ROOT = re.compile(r'(?<=href=")/(?:static/)?([\w.]*)(?=")')
_API = '<a href="../../api.html">Each operation with its parameters and answers</a>'


def navigate(_: Sphinx, name: str, source: list[str]) -> None:
    """The index of all pages is the navigation, too: each of its sections is a part of it, with
    the pages that it links to.
    """
    if name == root_doc:
        sections = _SECTION.findall(INDEX.read_text(encoding="utf-8"))
        parts = {
            title: [f"docs/{page}" for page in _PAGE.findall(text)] for title, text in sections
        }
        parts["The project"] = ["docs/README", "bench/results/README", "CONTRIBUTING", "CHANGELOG"]
        source[0] += "".join(_part(title, pages) for title, pages in parts.items() if pages)


def _part(title: str, pages: list[str]) -> str:
    listed = "\n".join(pages)
    return f"\n\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{listed}\n```\n"


def point_to_api(_: Sphinx, name: str, source: list[str]) -> None:
    """The page about the API leads to the one that is made of its contracts."""
    if name == "docs/reference/http-api":
        head, heading, rest = source[0].partition("\n## ")
        source[0] = f"{head}\n{_API} is a page of this site.\n{heading}{rest}"


class Mermaid(Directive):
    """A diagram, drawn while the site is built: no script of others runs in it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Its picture, dark on white."""
        drawn = convert("\n".join(self.content)).decode()
        return [nodes.raw("", f'<figure class="diagram">{drawn}</figure>', format="html")]


def complete(app: Sphinx, error: Exception | None) -> None:
    """Add the page that a web server shows first, and the API's own with what it links to."""
    if error is None:
        site = Path(app.outdir)
        shutil.copyfile(site / f"{root_doc}.html", site / "index.html")
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
        with application() as flask:
            client = flask.test_client()
            for address in ("/openapi.json", "/static/pages.css"):
                (site / Path(address).name).write_bytes(client.get(address).data)
            page = _FROM_ROOT.sub(lambda found: found[1] or "index.html", client.get("/docs").text)
        (site / "api.html").write_text(page, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_directive("mermaid", Mermaid)
    app.connect("source-read", navigate)
    app.connect("source-read", point_to_api)
    app.connect("build-finished", complete)
    return {"parallel_read_safe": True}
