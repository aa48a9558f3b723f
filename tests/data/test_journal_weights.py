"""Tenants' weights are noted so that every name can be read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonest.core import JournalError
from soonest.data.journal import noted_weights, weights_in

NAMES = st.text(st.characters(exclude_categories=["Cs"])) | st.text(",=%+ ab", max_size=6)


@given(st.dictionaries(NAMES, st.floats(1e-6, 1e9), max_size=5))
def test_every_name_and_every_weight_comes_back(weights):
    assert weights_in(noted_weights(weights)) == weights


def test_plain_names_read_as_they_are():
    assert noted_weights({"front desk": 2.0, "bob": 0.5}) == "front desk=2.0,bob=0.5"
    assert weights_in("alice=2,bob=1") == {"alice": 2.0, "bob": 1.0}


@pytest.mark.parametrize("note", ["a,b=2", "a=", "a", "a=x"])
def test_what_nobody_can_read_is_said(note):
    with pytest.raises(JournalError, match="--tenant-weights"):
        weights_in(note)


def test_nobody_weighs_nothing():
    assert weights_in("") == {}
