"""A path that leads nowhere is found by `recipes check` and at the start of a run, before the stages in front are paid for."""

import shutil
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.recipe import make_recipe
from evoltune.run.named_files import check_named_files
from evoltune.run.run import Run
from evoltune.run.store import Store

NAMED = [
    ("evolve", "seeds.path", "seeds={{path: {}.jsonl}}"),
    ("evolve", "seeds.path", "seeds={{path: [org/name, {}.jsonl]}}"),
    ("evolve", "seeds.snippets", "seeds={{snippets: {}}}"),
    ("evolve", "teacher.cassette", "teacher={{kind: replay, cassette: {}}}"),
    ("build", "curate.mix.1.path", "curate={{mix: [{{path: org/name}}, {{path: ./{}}}]}}"),
    ("train", "train.dataset", "train={{dataset: {}.csv.gz}}"),
    ("train", "compute.hostfile", "compute={{hostfile: {}}}"),
    ("eval", "eval.judge.baselines.0.answers", "eval={{judge: {{teacher: {{}}, baselines: [{{name: a, answers: {}.jsonl}}]}}}}"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "key", "override"), NAMED)
def test_a_missing_file_is_named_by_its_key_where_a_stage_reads_it(stage, key, override, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe({"domain": "math"}, [override.format("lost")])
    with pytest.raises(DataError, match=f"{key}: .*lost.*: no such"):
        check_named_files(recipe)
    check_named_files(recipe, {"evolve", "build", "train", "eval"} - {stage})
    with pytest.raises(DataError, match=key):
        Run(recipe=recipe, folder=tmp_path / "run").check((stage,))


@pytest.mark.parametrize(
    "ref", ["org/name", "org/name@refs/pr/1", "s3://bucket/rows.jsonl", "stackexchange:physics/Posts.xml"]
)
def test_what_is_not_on_this_machine_is_left_to_the_stage(ref: str):
    check_named_files(make_recipe({"domain": "math", "curate": {"mix": [{"path": ref}]}}))


def test_a_mix_is_known_by_what_it_holds_and_not_by_where_it_is(tmp_path):
    def work(*paths):
        mix = {"mix": [{"path": str(path)} for path in paths]}
        return Run(
            recipe=make_recipe({"domain": "math", "seeds": {"licence": "MIT"}, "curate": mix}), folder=tmp_path / "run"
        )

    def version(*paths):
        return work(*paths).dataset_version(work(*paths).mixed_rows())

    (one := tmp_path / "one").mkdir()
    (one / "a.jsonl").write_text('{"instruction": "2 + 2?", "output": "4"}')
    moved = Path(shutil.copytree(one, tmp_path / "other"))
    assert version(one / "a.jsonl") == version(moved / "a.jsonl") and version(one) == version(moved)
    assert version(one / "a.jsonl", "org/rows") != version(one / "a.jsonl", "org/rows@v2")
    before = version(one / "a.jsonl")
    (one / "a.jsonl").write_text('{"instruction": "2 + 2?", "output": "5"}')
    assert version(one / "a.jsonl") != before == version(moved / "a.jsonl")


def test_a_dataset_whose_mix_is_gone_is_still_the_one_that_was_built(tmp_path):
    mixed = tmp_path / "a.jsonl"
    mixed.write_text('{"instruction": "2 + 2?", "output": "4"}')
    sections = {"domain": "math", "seeds": {"licence": "MIT"}, "curate": {"mix": [{"path": str(mixed)}]}}
    work = Run(recipe=make_recipe(sections), folder=tmp_path / "run")
    with Store.open(work.folder) as store:
        assert work.is_built(store) is None
        work.note_built(store)
        assert work.is_built(store)
        mixed.write_text('{"instruction": "2 + 2?", "output": "5"}')
        assert not work.is_built(store)
        mixed.unlink()
        assert work.is_built(store)
