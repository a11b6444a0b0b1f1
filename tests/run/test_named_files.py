"""A path that leads nowhere is found by `recipes check` and at the start of a run, before the stages in front are paid for."""

from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.recipe import make_recipe
from evoltune.run.named_files import check_named_files
from evoltune.run.run import Run

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
