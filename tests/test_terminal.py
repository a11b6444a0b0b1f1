"""What is printed can neither use the terminal nor show a password: one law for every command."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.cli import main
from evoltune.terminal import SafeStream, safe_streams
from evoltune.text.credentials import without_credentials

CONTROL = [*map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160)), "\u202e", "\u2066", "\u2028"]


class Kept:
    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)


def shown(text: str, keep: str = "") -> str:
    kept = Kept()
    SafeStream(kept, keep).write(text)
    return kept.text


@given(st.text(st.sampled_from([*CONTROL, "a", "\n", "\t", "é", "中"])))
def test_no_control_character_is_written_and_a_line_of_json_stays_one(text: str):
    assert not set(CONTROL) & set(shown(text))
    line = json.dumps({"text": text}, ensure_ascii=False)
    assert json.loads(shown(line)) == {"text": text}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://ada:canary@host:80/v1", "http://***@host:80/v1"),
        ("at s3://key:canary@bucket/x, then", "at s3://***@bucket/x, then"),
        ("'https://u:p@canary@host/'", "'https://***@host/'"),
        ("https://host/v1?api_key=canary&n=1", "https://host/v1?api_key=***&n=1"),
        ("https://host/?n=1&X-Amz-Signature=canary", "https://host/?n=1&X-Amz-Signature=***"),
        ("https://host/?key=canary#top", "https://host/?key=***#top"),
        ("https://host/?monkey=1&turkey=2", "https://host/?monkey=1&turkey=2"),
        ("mail ada@host, see http://host/a:b", "mail ada@host, see http://host/a:b"),
    ],
)
def test_credentials_are_cut_out_of_urls_and_nothing_else_is(text: str, safe: str):
    assert without_credentials(text) == safe
    assert shown(text) == safe


def test_a_command_shows_neither_escapes_nor_passwords_of_what_it_is_given(capsys):
    assert main(["recipes", "check", "http://ada:canary@host/\x1b[31mred"]) == 2
    out, err = capsys.readouterr()
    assert "canary" not in out + err and "\x1b" not in out + err and "***@host" in err


def test_the_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with pytest.raises(KeyError), safe_streams():
        print("http://a:canary@b/")
        raise KeyError
    assert (sys.stdout, sys.stderr) == before and capsys.readouterr().out == "http://***@b/\n"
