"""What every page of a command has."""

import re
from html import escape


def made_with(page, command, seed, versions):
    """The page's text after Plotly's script; it loads nothing, and every figure says what made it."""
    head, _, text = page.partition("</head>")
    assert page.count("plotly.js v") == 1
    assert not re.search(r"""\b(?:src|href)=(?!"#)|@import|url\(""", head.partition("<script>")[0] + text)
    said = re.findall(r"<figcaption>(.*?)</figcaption>", text)
    assert said
    assert len(said) == text.count("Plotly.newPlot(")
    told = ", ".join(f"{name} {number}" for name, number in versions.items())
    assert all(one.startswith(escape(f"{command}; seed {seed}; {told}; ")) for one in said)
    assert len(page) < 6_000_000  # of which Plotly takes nearly five
    return text
