"""A study as a page and as Markdown: everything is there, nothing comes from elsewhere, pictures say what they show."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from soonest.report.study import Chart, Curve, Grid, Section, Study
from soonest.report.study.html import page
from soonest.report.study.markdown import digest, draw, drawn_from, pictured, to_markdown

ROWS = (("`a<b`", "here", 43.6789, 50), ("sjf|x", "there", None, 7))
GRID = Grid("JCT of `fcfs` & co", ("`policy`", "where", "mean", "n"), ROWS)
CURVES = (
    Curve("fcfs", (1.0, 2.0, 4.0), (1.0, 2.0, 3.0), (0.5, 1.5, 2.5), (1.5, 2.5, 3.5)),
    Curve("s<j>f", (1.0, 2.0, 4.0), (3.0, 2.0, 1.0)),
)
CHART = Chart("Latency", "load", "seconds", CURVES, log_x=True)
SECTIONS = (Section("What stands", ("First, `code`.", "Then 1 < 2.")), Section("Tables", (), (GRID,), (CHART, CHART)))
STUDY = Study("ssjf", "SSJF again", "soonest reproduce ssjf", 7, {"soonest": "0.1"}, "2 cores", 61.0, SECTIONS)


@pytest.fixture(scope="module")
def html():
    return page([STUDY, replace(STUDY, name="robust", title="Intervals")]).decode()


def body(html):
    """What stands after Plotly's own script."""
    return html.partition("</head>")[2]


def test_a_page_loads_nothing_from_elsewhere(html):
    markup = html.partition("<script>")[0] + body(html)
    assert not re.search(r"""\b(?:src|href)=(?!"#)""", markup)
    assert "@import" not in markup
    assert "url(" not in markup


def test_plotly_is_embedded_once_and_every_chart_is_drawn(html):
    assert html.count("plotly.js v") == 1
    assert body(html).count("Plotly.newPlot(") == 4
    names = re.findall(r'<div id="(plot-[\w-]+)"', body(html))
    assert len(set(names)) == 4


def test_every_figure_says_what_it_was_made_with(html):
    said = "soonest reproduce ssjf; seed 7; soonest 0.1; 2 cores; 61 s"
    assert re.findall(r"<figcaption>(.*?)</figcaption>", html) == [said] * 4


def test_text_tables_and_links_are_there_and_escaped(html):
    text = body(html)
    assert "<p>First, <code>code</code>.</p>" in text
    assert "<p>Then 1 &lt; 2.</p>" in text
    assert "<caption>JCT of <code>fcfs</code> &amp; co</caption>" in text
    assert '<td class="word"><code>a&lt;b</code></td><td class="word">here</td><td>43.7</td><td>50</td>' in text
    assert "<td></td><td>7</td>" in text
    assert '<th class="word"><code>policy</code></th>' in text
    assert all(f'id="{name}"' in text for name in re.findall(r'href="#([\w-]+)"', text))


def test_a_page_follows_the_reader_s_light_or_dark(html):
    assert "prefers-color-scheme: dark" in html
    assert '"paper_bgcolor":"rgba(0,0,0,0)"' in html


def test_markdown_has_all_of_it():
    text = to_markdown(STUDY, "images")
    assert "## What stands\n\nFirst, `code`.\n\nThen 1 < 2." in text
    assert "| `policy` | where | mean | n |\n| :--- | :--- | ---: | ---: |\n| `a<b` | here | 43.7 | 50 |" in text
    assert "| sjf\\|x | there |  | 7 |" in text
    assert [f"![Latency](images/{name})" in text for name in pictured(STUDY)] == [True, True]
    assert "Made with: `soonest reproduce ssjf; seed 7;" in text


def test_a_small_figure_is_drawn_again_to_the_same_bytes_and_knows_its_chart():
    picture = draw(CHART)
    assert picture == draw(CHART)
    assert drawn_from(picture) == digest(CHART)
    other = replace(CHART, curves=CURVES[:1])
    assert drawn_from(draw(other)) == digest(other) != digest(CHART)


def test_a_figure_shows_every_curve_in_its_colour():
    pixels = np.asarray(Image.open(io.BytesIO(draw(CHART))).convert("RGB")).reshape(-1, 3).astype(int)
    for colour in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert (np.abs(pixels - colour).sum(axis=1) < 12).sum() > 100


def test_a_picture_of_something_else_knows_no_chart():
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG")
    assert drawn_from(content.getvalue()) is None
