"""For MkDocs: links from a page to a file of the repository lead to that file's text on the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<file>(?:src|tests|benchmarks)/[^)#]+|[A-Z]+\.(?:md|cff))\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take the files that pages link to into the site."""
    pages = [page.content_string for page in files.documentation_pages()]
    for name in sorted({match["file"] for page in pages for match in LINK.finditer(page)}):
        files.append(File.generated(config, f"{name}.txt", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """In the repository a page's link climbs out of `docs`; on the site it stays inside."""
    return LINK.sub(lambda match: f"]({match['up'][3:]}{match['file']}.txt)", markdown)
