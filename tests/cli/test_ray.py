"""`--ray [ADDRESS]`: what follows it is an address or an argument of its own, and what it cannot do is refused."""

import sys

import pytest

from soonest.cli.cluster import completed


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ([], []),
        (["--ray"], ["--ray", "local"]),
        (["--ray", "-r", "5"], ["--ray", "local", "-r", "5"]),
        (["--ray", "auto", "x"], ["--ray", "auto", "x"]),
        (["--ray", "local"], ["--ray", "local"]),
        (["--ray", "head.example:6379"], ["--ray", "head.example:6379"]),
        (["--ray", "[::1]:6379"], ["--ray", "[::1]:6379"]),
        (["--ray", "ray://head:10001"], ["--ray", "ray://head:10001"]),
        (["--ray", "chats.jsonl", "-o", "x"], ["--ray", "local", "chats.jsonl", "-o", "x"]),
        (["--ray", "ssjf"], ["--ray", "local", "ssjf"]),
        (["--ray=head:6379", "ssjf"], ["--ray=head:6379", "ssjf"]),
        (["a", "--ray"], ["a", "--ray", "local"]),
    ],
)
def test_only_an_address_is_taken_for_one(words, read):
    assert completed(words) == read


def test_without_ray_it_says_what_to_install(soonest, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, err = soonest("sim", "-n", "20", "-r", "1", "--ray")
    assert status == 2
    assert "pip install 'soonest[ray]'" in err


@pytest.mark.parametrize("predictor", ["history", "conformal(history)", "ensemble(text, history)"])
def test_a_predictor_that_needs_the_texts_is_refused_before_any_work(soonest, tmp_path, predictor):
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "output_tokens": 3}\n')
    status, _, err = soonest("fit", "a.jsonl", "-o", "out", "-p", predictor, "--ray")
    assert status == 2
    assert "needs its texts" in err
    assert "starting" not in err


def test_a_fit_on_a_cluster_needs_a_file(soonest):
    status, _, err = soonest("fit", "--journal", "j.db", "-o", "out", "--ray")
    assert status == 2
    assert "give a FILE, or leave out --ray" in err


def test_an_address_where_nobody_is_is_one_line(soonest):
    status, _, err = soonest("sim", "-n", "20", "-r", "1", "--ray", "no-such-host.invalid:1")
    assert status == 2
    assert "no Ray cluster can be joined at 'no-such-host.invalid:1'" in err
