"""A finished request, and what parsers make of a scrape."""

import math

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from soonest.core import Outcome, Record


@pytest.fixture
def record():
    def make(**changed):
        facts = {
            "id": "r1",
            "arrival": 10.0,
            "admitted": 11.0,
            "first_token": 12.0,
            "finished": 20.0,
            "prompt_tokens": 30,
            "output_tokens": 9,
        }
        return Record(**(facts | changed))

    return make


@pytest.fixture
def cancelled(record):
    return record(outcome=Outcome.CANCELLED, first_token=math.nan, output_tokens=0)


@pytest.fixture
def scrape():
    """Every sample of a scrape, by name and labels without those of model and policy."""

    def samples(metrics, *, labels=(), accept=""):
        body, content_type = metrics.render(accept)
        parse = parse_open if "openmetrics" in content_type else parse_plain
        return {
            (sample.name, *(sample.labels[name] for name in labels if name in sample.labels)): sample.value
            for family in parse(body.decode())
            for sample in family.samples
            if not sample.name.endswith("_bucket")
        }

    return samples
