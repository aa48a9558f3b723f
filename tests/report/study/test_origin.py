"""What figures were made with is published: a command without its secrets."""

import pytest
from typer.main import get_command

from soonest.cli import app
from soonest.report.study.origin import QUOTED, SECRET, command, masked, masked_flags


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("bench --api-key s3 --api-key=s4 -n 3", "soonest bench --api-key ... --api-key=... -n 3"),
        (
            "serve --engine-key s3 --engine-key=s4 --slots=3",
            "soonest serve --engine-key ... --engine-key=... --slots=3",
        ),
        ("serve --api-key --api-key s3", "soonest serve --api-key ... s3"),
        ("bench --url https://me:s3@h:1/p", "soonest bench --url 'https://me:***@h:1/p'"),
        ("bench --url=https://me:s3=4@h", "soonest bench '--url=https://me:***@h'"),
        ("sim --journal postgresql://me:s3=4@h/b", "soonest sim --journal 'postgresql://me:***@h/b'"),
        ("sim --journal postgresql://me:s3/4@h/b", "soonest sim --journal 'postgresql://me:***@h/b'"),
        ("sim --journal postgresql://me@srv:s3@h/b", "soonest sim --journal 'postgresql://me@srv:***@h/b'"),
        ("sim --journal postgresql://h/b?password=s3&x=1", "soonest sim --journal 'postgresql://h/b?password=***&x=1'"),
    ],
)
def test_a_command_is_told_without_its_secrets(words, shown):
    assert command(words.split()) == shown


@pytest.mark.parametrize("flag", sorted(QUOTED))
def test_nor_are_those_of_flags_within_a_flag_told(flag):
    quoted, shown = "--engine-key 's 3' --journal postgresql://u:p@h/d -p fcfs", "--engine-key ... --journal"
    told = masked([flag, quoted, f"{flag}={quoted}", "--slots", "4"])
    assert told[0] == flag
    assert told[1].startswith(shown)
    assert told[2].startswith(f"{flag}={shown}")
    assert told[3:] == ["--slots", "4"]
    assert all("s 3" not in word and "u:p@" not in word and word.endswith("-p fcfs") for word in told[1:3])


def test_flags_that_no_shell_takes_apart_are_hidden():
    assert masked_flags("--engine-key 's3") == "..."
    assert masked_flags("") == ""


def test_every_flag_that_carries_a_key_or_flags_is_known():
    names = {name for one in get_command(app).commands.values() for given in one.params for name in given.opts}
    assert {name for name in names if name.endswith(("-key", "-token", "-password", "-secret"))} == SECRET
    assert {name for name in names if name.endswith("-flags")} == QUOTED
