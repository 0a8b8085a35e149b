"""The documentation says what the code does: tables, names, links, examples."""

import importlib.util
import re
from pathlib import Path

import pytest

from api import answers, schemas
from orchestrator.catalog import parse_providers_file
from orchestrator.catalog.file import Provider
from orchestrator.cli.group import SECTIONS
from orchestrator.errors import ConfigurationError
from orchestrator.lifecycle import TRANSITIONS, AttemptState
from orchestrator.settings import load

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)
VARIABLE = re.compile(r"\b[A-Z]{2,}(?:_[A-Z0-9]+)+\b")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Names in capitals that are no variables of ours.
FOREIGN = {"AZURE_KEY", "OLD_KEY", "PROVIDER_ID", "WEBHOOK_SECRET"}


def page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def section(text, title):
    """What stands below a heading, up to the next one of its level."""
    level = title.split()[0]
    found = re.search(rf"^{re.escape(title)}\n(.*?)(?=^{level} |\Z)", text, re.M | re.S)
    assert found is not None, title
    return found[1]


def rows(text):
    """The cells of all tables, without their heads."""
    tables = [[cell.strip() for cell in row.split(" | ")] for row in ROW.findall(text)]
    heads = {place - 1 for place, row in enumerate(tables) if set(row) == {"---"}}
    return [row for place, row in enumerate(tables) if place not in heads and set(row) != {"---"}]


def codes(text):
    """What is set as code within lines."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def variables():
    """Each documented variable of the program: (name, default cell, takes cell)."""
    return [
        (codes(name)[0], default, takes)
        for name, default, takes, *rest in rows(SETTINGS.read_text(encoding="utf-8"))
        if rest
    ]


def generator():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(text):
    """The names by which headings can be linked to."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_generated_parts_equal_the_code():
    """No table that repeats the code is behind it; `python docs/generate.py` writes them anew."""
    generate = generator()

    stale = [
        str(path.relative_to(ROOT))
        for path in generate.pages()
        if generate.rendered(path.read_text(encoding="utf-8")) != path.read_text(encoding="utf-8")
    ]

    assert [] == stale


def test_picture_of_the_house_equals_the_contracts():
    """No module has moved, come or gone since it was drawn; `python docs/generate.py` draws it."""
    house = generator().house

    assert house.drawn() == house.PICTURE.read_text(encoding="utf-8")


def test_every_generated_part_is_used():
    """The generator writes nothing that no page shows."""
    generate = generator()
    shown = {name for path in PAGES for _, name, _ in generate.PART.findall(path.read_text())}

    assert set(generate.PARTS) == shown


@pytest.mark.parametrize(
    "name", ["README.md", "docs/reference/state-machine.md", "docs/explanation/durability.md"]
)
def test_state_diagram_equals_the_transitions(name):
    """Each arrow is a transition, and each transition has its arrows."""
    diagram = next(body for kind, body in FENCE.findall(page(name)) if kind == "mermaid")
    arrows = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", diagram, re.MULTILINE))

    assert {(s, m.target, m.name) for m in TRANSITIONS for s in m.sources} == arrows


def test_diagram_of_attempts_shows_every_state():
    """Its arrows are drawn by hand; no state is missing from it, and none is made up."""
    _, diagram = [
        body for kind, body in FENCE.findall(page("docs/reference/state-machine.md")) if kind
    ]

    shown = set(re.findall(r"[a-z]+(?= -->)|(?<=--> )[a-z]+", diagram))

    assert set(AttemptState) == shown


def test_settings_page_names_every_variable_that_is_read():
    """What `settings` reads is documented, and nothing else in those tables."""
    source = page("orchestrator/settings.py")
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', source)) - {"DEBUG", "INFO", "WARNING", "ERROR"}

    assert read - {"AWS_"} == {name for name, _, _ in variables()}


@pytest.mark.parametrize(
    ("name", "default"),
    [
        (name, codes(default)[0])
        for name, default, _ in variables()
        # Those two depend on where one is, and on another variable.
        if default.endswith("`") and name not in {"STORAGE_URL", "BROKER_URL"}
    ],
)
def test_documented_default_is_the_default(name, default):
    """Setting a variable to its documented default changes nothing."""
    assert load({}) == load({name: default})


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        (name, takes)
        for name, _, takes in variables()
        if re.match(r"[\d.]+ to |[A-Za-z]+, [A-Za-z, ]+$", takes) and name != "MODELS"
    ],
)
def test_documented_range_is_the_range(name, takes):
    """The refusal of nonsense names exactly the range or the words that the page shows."""
    with pytest.raises(ConfigurationError) as caught:
        load({name: "?"})

    assert caught.value.message.endswith((f"a number from {takes}.", f"one of {takes}."))


def test_defaults_in_readme_equal_those_of_the_settings_page():
    """The short table does not contradict the long one."""
    documented = {name: default for name, default, _ in variables()}
    shown = [
        pair
        for row in rows(section(README.read_text(encoding="utf-8"), "## Configuration"))
        for pair in zip(codes(row[0]), codes(row[1]) or [None] * 2, strict=False)
    ]

    assert len(shown) >= 12
    for name, default in shown:
        assert default is None or default in documented[name] or name == "STORAGE_URL", name


@pytest.mark.parametrize("name", NAMES)
def test_variables_that_a_page_names_exist(name):
    """No page tells of a variable that nothing reads."""
    known = {name for row in rows(SETTINGS.read_text(encoding="utf-8")) for name in codes(row[0])}

    unknown = {
        found
        for found in VARIABLE.findall(page(name))
        if found not in known | FOREIGN and not found.startswith("AWS_")
    }

    assert set() == unknown


@pytest.mark.parametrize("name", NAMES)
def test_links_of_a_page_lead_somewhere(name):
    """Each relative link has its file, and each anchor its heading."""
    here = ROOT / name
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page(name))):
        path, _, anchor = link.partition("#")
        target = here if not path else (here.parent / path).resolve()
        if link.startswith(("http://", "https://")):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)

    assert [] == broken


def test_every_page_can_be_reached():
    """The index links to each page of the documentation."""
    links = set(re.findall(r"\]\(([^)#\s]+)", page("docs/README.md")))
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}

    assert pages - {"README.md"} == links


@pytest.mark.parametrize("name", NAMES)
def test_commands_that_a_page_names_exist(name):
    """`make X` is a target and `orchestrator X` a command."""
    targets = set(re.findall(r"^([a-z0-9-]+):", page("Makefile"), re.MULTILINE))
    commands = {entry.name for _, entries in SECTIONS for entry in entries}
    text = "\n".join([*codes(page(name)), *(body for _, body in FENCE.findall(page(name)))])

    made = set(re.findall(r"(?:^|\s)make ([a-z0-9-]+)", text))
    called = set(re.findall(r"(?:^|[\s/])orchestrator ([a-z]+)", text))

    assert set() == made - targets
    assert set() == called - commands


@pytest.mark.parametrize("name", NAMES)
def test_files_that_a_page_names_exist(name):
    """A path set as code is there: from the root, or below orchestrator/."""
    named = {
        found
        for found in codes(page(name))
        if re.fullmatch(r"(?:orchestrator|api|workers|tests|docs)/[\w./]*", found)
    }

    assert set() == {found for found in named if not (ROOT / found).exists()}


def test_providers_file_of_the_guide_is_taken():
    """The example is a whole, valid file, and its table of keys is complete."""
    guide = page("docs/how-to/several-providers.md")
    example = next(body for kind, body in FENCE.findall(guide) if kind == "toml")

    catalog = parse_providers_file(example, {"AZURE_KEY": "secret"})

    assert ["sora-2", "wan-2.2"] == sorted(catalog.models)
    main, gpu = catalog.candidates("sora-2")
    assert ("azure", "sglang") == (main.profile.name, gpu.profile.name)
    assert isinstance(main, Provider)


@pytest.mark.parametrize("name", [name for name in NAMES if "[providers." in page(name)])
def test_providers_files_are_taken(name):
    """Every example of one is a whole, valid file."""
    examples = [body for kind, body in FENCE.findall(page(name)) if kind == "toml"]

    for example in examples:
        named = dict.fromkeys(re.findall(r'_env = "(\w+)"', example), "secret")
        assert parse_providers_file(example, named).models


def test_keys_of_the_providers_file_are_documented():
    """Each key that the reader of the file knows stands in the guide."""
    source = page("orchestrator/catalog/file.py")
    reading = source[source.index("def _provider(") :]
    read = set(re.findall(r'table(?:\.\w+\(|,)\s*"(\w+)"', reading))
    guide = set(codes(page("docs/how-to/several-providers.md")))

    assert set() == read - guide - {"providers"}


@pytest.mark.parametrize(
    ("title", "model"),
    [
        ("## Fields of `POST /api/videos`", schemas.CreateVideo),
        ("## Query of `GET /api/videos`", schemas.ListVideos),
        ("## A video", answers.Video),
    ],
)
def test_fields_of_the_api_are_documented(title, model):
    """Each field of the model stands in the first column of its table, and nothing else."""
    table = rows(section(page("docs/reference/http-api.md"), title))
    named = {name for row in table for name in codes(row[0])}

    assert set(model.model_fields) - {"cursor"} == named - {"cursor"}


def test_failures_of_videos_are_documented():
    """Each code with which the core fails a video has its line."""
    deciders = ("dispatch", "outcomes", "unknowns")
    sources = [ROOT / "orchestrator" / f"{name}.py" for name in deciders]
    sources += (ROOT / "orchestrator" / "steps").glob("*.py")
    raised = {
        code
        for source in sources
        for code in re.findall(r'\bcode=(?:[^,"\n]* or )?"(\w+)"', source.read_text())
    }
    raised |= {"start_timeout", "moderation_blocked", "provider_rejected"}
    documented = {
        codes(row[0])[0] for row in rows(section(page("docs/reference/errors.md"), "## Of videos"))
    }

    assert raised <= documented
    assert documented - raised <= {"content_missing", "unsupported"}


def test_readme_is_short():
    """A page that is read to its end."""
    assert len(page("README.md").splitlines()) <= 150


@pytest.mark.parametrize("name", NAMES)
def test_page_is_free_of_this_machine(name):
    """No path of the author's machine in what strangers read."""
    found = re.findall(r"(?<![\w./])/(?:home|root|work|tmp|Users)/\S*", page(name))

    assert [] == found
