"""Every metric is on its page with its meaning, and the page names no other."""

import re
from pathlib import Path

import pytest

from soonest.gateway.observe import METRICS

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(soonest_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", re.MULTILINE)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_documented_with_its_kind_its_labels_and_its_meaning(name):
    rows = {row[0]: row[1:] for row in ROW.findall(PAGE)}
    meaning = METRICS[name]
    labels = ", ".join(f"`{label}`" for label in meaning.labels)
    assert rows[name] == (meaning.kind.value, labels, meaning.doc)


def test_every_documented_metric_exists():
    assert [name for name in re.findall(r"`(soonest_\w+)`", PAGE) if name not in METRICS] == []


@pytest.mark.parametrize("name", METRICS)
def test_a_name_keeps_to_the_rules_of_prometheus(name):
    assert re.fullmatch(r"soonest_[a-z0-9_]+", name)
    assert name.endswith("_total") == (METRICS[name].kind.value == "counter")
