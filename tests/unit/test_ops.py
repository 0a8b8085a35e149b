"""What ships for Prometheus and Grafana asks for metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from orchestrator.gauges import GAUGES
from orchestrator.meters import COUNTERS, HISTOGRAMS

OPS = Path(__file__).parents[2] / "ops"
NAME = re.compile(r"\borchestrator_\w+")
LABELS = re.compile(r"(orchestrator_\w+)\{(.*?)\}")
PARTS = ("_bucket", "_sum", "_count")


def known():
    """Every name that a query may use, and the labels that it has."""
    found = {one.name: set(one.labels) for one in (*GAUGES, *COUNTERS)}
    return found | {one.name + part: {*one.labels, "le"} for one in HISTOGRAMS for part in PARTS}


def alerts():
    """The rules, by their names."""
    (group,) = yaml.safe_load((OPS / "alerts.yaml").read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def queries():
    """Everything that the rules and the dashboard ask."""
    board = json.loads((OPS / "grafana.json").read_text())
    shown = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    return [rule["expr"] for rule in alerts().values()] + shown


def test_metrics_exist_when_a_query_names_them():
    """A renamed metric would leave a graph empty, and an alert silent."""
    asked = {name for query in queries() for name in NAME.findall(query)}

    assert set() == asked - set(known())
    assert len(asked) > 25


def test_every_metric_is_shown_when_somebody_looks():
    """None is collected for nobody; but versions and dependencies need no graph."""
    asked = {name.removesuffix("_bucket") for query in queries() for name in NAME.findall(query)}

    assert {one.name for one in (*GAUGES, *COUNTERS, *HISTOGRAMS)} == asked


@pytest.mark.parametrize("query", queries())
def test_labels_exist_when_a_query_names_them(query):
    """In a selector, and in what is summed by."""
    labels = known()

    for name, selector in LABELS.findall(query):
        assert set(re.findall(r"(\w+)[=!]", selector)) <= labels[name]
    of_all = set.union(*(labels[name] for name in NAME.findall(query)))
    for grouped in re.findall(r"by \(([^)]*)\)", query):
        assert set(grouped.split(", ")) <= of_all


@pytest.mark.parametrize("name", alerts())
def test_alert_says_what_is_wrong_when_it_fires(name):
    """In a sentence, and with how urgent it is."""
    rule = alerts()[name]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"].endswith(".")


def test_panels_do_not_overlap_when_shown():
    """Each has a place of its own on the grid."""
    panels = json.loads((OPS / "grafana.json").read_text())["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert {x for x, _ in cells} <= set(range(24))
