"""The key file on its page works, and every field is on it."""

import re
from pathlib import Path

import pytest

from soonest.gateway.access import read_keys
from soonest.gateway.access.keys import FIELDS

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text(encoding="utf-8")


def test_the_shown_key_file_is_one(tmp_path):
    (shown,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "keys.toml"
    path.write_text(shown)
    path.chmod(0o600)
    search, portal = read_keys(path)
    assert (search.weight, search.rate, search.burst, search.concurrency) == (2.0, 20.0, 40, 64)
    assert portal.names_tenants


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_documented(field):
    assert f"\n| `{field}` | " in PAGE
