"""The command line, called here."""

import io
import sys

import pytest

from soonest.cli import main


@pytest.fixture
def soonest(monkeypatch, capsys, tmp_path):
    """The command, run here: its exit status, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words, stdin=None):
        monkeypatch.setattr(sys, "argv", ["soonest", *map(str, words)])
        given = io.TextIOWrapper(io.BytesIO((stdin or "").encode()))
        given.isatty = lambda: stdin is None
        monkeypatch.setattr(sys, "stdin", given)
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out, said.err

    return call
