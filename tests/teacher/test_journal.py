"""A cassette replays a run exactly, and answers nothing else."""

import asyncio

import pytest
from towns import grown, recipe

from evoltune.errors import DataError, TeacherError
from evoltune.run.store import Store
from evoltune.teacher.journal import export_cassette, load_cassette
from evoltune.teacher.protocol import make_request


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
def test_a_cassette_replays_a_run_exactly_and_answers_nothing_else(tmp_path, name):
    rules, cassette = recipe(answers=2), tmp_path / name
    rows, _, teacher = grown(tmp_path / "recorded", rules)
    with Store.read(tmp_path / "recorded") as store:
        assert export_cassette(store, cassette) == len(teacher.asked) > 10
    replayed, _, _ = grown(tmp_path / "replayed", rules, teacher=load_cassette(cassette))
    assert replayed == rows
    stranger = make_request(rules.teacher, "What else?", purpose="answer", seed=1)
    with pytest.raises(TeacherError, match=r"no reply to this request .*export it again"):
        asyncio.run(load_cassette(cassette).complete(stranger))


def test_a_damaged_cassette_is_named_with_its_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"key": "1", "texts": ["a"]}\n{"key": 2\n')
    with pytest.raises(DataError, match=r"bad.jsonl:2: not JSON"):
        load_cassette(path)
    for line in ('{"key": "1", "texts": [1]}', '{"texts": ["a"]}'):
        path.write_text(line)
        with pytest.raises(DataError, match=r"bad.jsonl:1: not a line of a cassette"):
            load_cassette(path)
