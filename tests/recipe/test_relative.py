"""Paths are relative to the recipe that names them, from wherever a command is started."""

from pathlib import Path

import msgspec
import pytest
import yaml

from evoltune.domain import load_domain
from evoltune.errors import RecipeError
from evoltune.evolve.loop import evolve_step
from evoltune.recipe import Recipe, dump_recipe, load_recipe
from evoltune.recipe.relative import mark_of
from evoltune.run.origin import note_origin, refuse_other

SECTIONS = """
domain: general
seeds: {path: [rows.jsonl, "openai/gsm8k:main", ../up.csv], snippets: code}
teacher: {model: teachers/m.gguf}
evolve: {prompts: prompts}
curate: {mix: [{path: extra.jsonl}, {path: "stackexchange:dump/Posts.xml"}, {path: "natural-instructions:./ni"}, {path: "s3://bucket/rows.jsonl"}]}
train: {model_name_or_path: base, dataset: ./own}
rl: {prompts: asked.jsonl}
reward: {steps: {rows: steps.jsonl}}
eval:
  suites: [gsm8k, "math:mine.jsonl", /abs/rows.csv]
  data: suites
  judge:
    teacher: {kind: http, model: judge, endpoints: [{url: "http://127.0.0.1:9", api_key_file: key.txt}]}
    baselines: [{name: a, answers: a.jsonl}, {name: b, checkpoint: base}]
compute: {hostfile: hosts}
"""
FOUND = """
rows.jsonl openai/gsm8k:main up.csv code teachers/m.gguf prompts extra.jsonl dump/Posts.xml ni s3://bucket/rows.jsonl base own asked.jsonl
steps.jsonl gsm8k mine.jsonl /abs/rows.csv suites judge key.txt a.jsonl hosts
""".split()


def project(folder: Path) -> Path:
    home = folder / "proj" / "exp"
    for name in ("base", "own", "judge"):
        (home / name).mkdir(parents=True)
    (home / "mine.yaml").write_text(SECTIONS)
    (home / "rows.jsonl").write_text('{"instruction": "Say hello.", "output": "Hello."}\n')
    return home


def paths_of(value: object, kind: object = Recipe) -> list[str]:
    """The values of all keys whose type says that they may be paths."""
    if isinstance(value, msgspec.Struct):
        return [p for f in msgspec.structs.fields(value) for p in paths_of(getattr(value, f.name), f.type)]
    if isinstance(value, tuple):
        return [p for item in value for p in paths_of(item, kind)]
    return [value] if isinstance(value, str) and value and mark_of(kind) else []


def test_paths_mean_the_same_from_every_folder_and_by_extends(tmp_path, monkeypatch):
    home = project(tmp_path)
    (tmp_path / "child.yaml").write_text("extends: proj/exp/mine.yaml\n")
    places = []
    for cwd, ref in (
        (home, "mine.yaml"),
        (tmp_path, "proj/exp/mine.yaml"),
        (tmp_path, "child.yaml"),
        (Path("/"), str(home / "mine.yaml")),
    ):
        monkeypatch.chdir(cwd)
        found = paths_of(load_recipe(ref))
        assert all(any(path.endswith(name) for path in found) for name in FOUND)
        near = [
            p for p in found if not p.startswith(("openai", "s3:", "/abs")) and p not in ("gsm8k", "general", "judge")
        ]
        places.append([str((cwd / p.rpartition(":")[2]).resolve()) for p in near])
        assert all(place.startswith(str(home.parent)) for place in places[-1])
    assert len({tuple(place) for place in places}) == 1


def test_a_key_of_the_command_line_is_relative_to_the_working_directory(tmp_path, monkeypatch):
    home = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(home / "mine.yaml", ["compute.hostfile=hosts", "seeds.path=20240105"])
    assert recipe.compute.hostfile == "hosts" and recipe.seeds.path == "20240105"


def test_the_copy_in_the_runs_folder_names_the_same_files(tmp_path, monkeypatch):
    home = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(home / "mine.yaml")
    (copy := tmp_path / "runs" / "mine" / "recipe.yaml").parent.mkdir(parents=True)
    copy.write_text(dump_recipe(recipe, copy.parent))
    assert not [p for p in paths_of(msgspec.convert(yaml.safe_load(copy.read_text()), Recipe)) if str(tmp_path) in p]
    assert paths_of(load_recipe(copy)) == paths_of(recipe)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "proj").rename(tmp_path / "elsewhere" / "proj")  # project and runs move together
    (tmp_path / "runs").rename(tmp_path / "elsewhere" / "runs")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_recipe("runs/mine/recipe.yaml").train.model_name_or_path == "proj/exp/base"


def test_what_only_the_working_directory_has_is_taken_and_said(tmp_path, monkeypatch, capsys):
    home = project(tmp_path)
    monkeypatch.chdir(tmp_path)
    (home / "rows.jsonl").unlink()
    (tmp_path / "rows.jsonl").write_text("")
    assert load_recipe("proj/exp/mine.yaml").seeds.path[0] == "rows.jsonl"
    said = capsys.readouterr().err
    assert (
        "mine.yaml:3: seeds.path.0: rows.jsonl: is not beside the recipe" in said and "write ../../rows.jsonl" in said
    )
    (home / "rows.jsonl").write_text("")
    assert load_recipe("proj/exp/mine.yaml").seeds.path[0] == "proj/exp/rows.jsonl"
    assert "the one beside the recipe is taken" in capsys.readouterr().err


def test_a_path_written_otherwise_begins_no_new_step(tmp_path, monkeypatch):
    home = project(tmp_path)
    text = "domain: general\nseeds: {path: %s, snippets: %s}\n"
    (home / "code").mkdir()
    (home / "code" / "a.py").write_text("def add(a, b):\n    return a + b\n" * 30)
    steps = set()
    for cwd, path, code in (
        (home, "rows.jsonl", "code"),
        (tmp_path, "./rows.jsonl", "../exp/code"),
        (home, home / "rows.jsonl", home / "code"),
    ):
        monkeypatch.chdir(cwd)
        (home / "a.yaml").write_text(text % (path, code))
        steps.add(evolve_step(load_recipe(home / "a.yaml"), load_domain("general")).key)
    assert len(steps) == 1
    (home / "code" / "a.py").write_text("def mul(a, b):\n    return a * b\n" * 30)
    assert evolve_step(load_recipe(home / "a.yaml"), load_domain("general")).key not in steps


def test_a_name_is_no_part_of_what_is_extended(tmp_path):
    (tmp_path / "a.yaml").write_text("domain: math\nname: first\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    assert load_recipe(tmp_path / "b.yaml").name == "b"


def test_recipes_of_one_name_do_not_share_a_folder(tmp_path):
    one, two, folder = tmp_path / "a.yaml", tmp_path / "b.yaml", tmp_path / "runs" / "x"
    for file in (one, two):
        file.write_text("domain: math\nname: x\n")
    refuse_other(folder, one)
    folder.mkdir(parents=True)
    note_origin(folder, one)
    refuse_other(folder, one)
    with pytest.raises(
        RecipeError, match=r"holds a run of another recipe of the same name, .*a\.yaml: give this one a `name:`"
    ):
        refuse_other(folder, two)
    (folder / "recipe.yaml").write_text(one.read_text())
    refuse_other(folder, folder / "recipe.yaml")
    note_origin(folder, folder / "recipe.yaml")
    one.rename(tmp_path / "moved.yaml")
    refuse_other(folder, tmp_path / "moved.yaml")
