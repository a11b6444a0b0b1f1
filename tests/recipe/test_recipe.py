"""Recipes are strict: every mistake is one line that names the file, the line, the key path and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evoltune.cli import main
from evoltune.errors import RecipeError
from evoltune.recipe import (
    Compute,
    Curate,
    Eval,
    Evolve,
    InstructionReward,
    Recipe,
    Reward,
    Section,
    Seeds,
    StepReward,
    Verification,
    fingerprint,
    load_recipe,
    shipped,
)
from evoltune.recipe import reinforcement as recipe_reinforcement
from evoltune.recipe import sections as recipe_sections
from evoltune.recipe.schema import descriptions, recipe_schema, reference
from evoltune.sandbox import worker_protocol


def write(folder: Path, text: str, name: str = "r.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", [n for n in shipped() if not n.startswith("base/")])
def test_every_shipped_recipe_loads_and_describes_itself(name: str):
    recipe = load_recipe(name)
    assert recipe.description and recipe.name == name.replace("/", "-")


def test_an_unknown_key_names_file_line_path_and_the_nearest_key(tmp_path: Path):
    path = write(tmp_path, "domain: math\ntrain:\n  learning_rat: 1e-5\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    text = str(error.value)
    assert f"{path}:3" in text and "train.learning_rat" in text and "'learning_rate'" in text and "\n" not in text


def test_a_wrong_type_names_the_line_and_the_value(tmp_path: Path):
    path = write(tmp_path, "domain: math\ntrain:\n  max_steps: many\n")
    with pytest.raises(RecipeError, match=r":3: train.max_steps: Expected `int`, got `str` \(value 'many'\)"):
        load_recipe(path)


def test_scientific_notation_without_a_dot_is_a_number(tmp_path: Path):
    assert load_recipe(write(tmp_path, "domain: math\ntrain: {learning_rate: 2e-5}\n")).train.learning_rate == 2e-5


def test_a_duplicate_key_is_refused(tmp_path: Path):
    with pytest.raises(RecipeError, match=r":3: duplicate key domain"):
        load_recipe(write(tmp_path, "domain: math\nseed: 1\ndomain: code\n"))


def test_extends_merges_sections_and_the_child_wins(tmp_path: Path):
    write(tmp_path, "domain: math\ntrain: {max_steps: 5, learning_rate: 1e-4}\n", "base.yaml")
    recipe = load_recipe(write(tmp_path, "extends: base.yaml\ntrain: {max_steps: 9}\n"))
    assert (recipe.train.max_steps, recipe.train.learning_rate) == (9, 1e-4)


def test_a_recipe_that_extends_itself_is_refused(tmp_path: Path):
    write(tmp_path, "extends: b.yaml\n", "a.yaml")
    write(tmp_path, "extends: a.yaml\n", "b.yaml")
    with pytest.raises(RecipeError, match="extends itself"):
        load_recipe(tmp_path / "a.yaml")


def test_overrides_win_and_are_as_strict_as_the_file():
    assert load_recipe("smoke/math", ["train.max_steps=3"]).train.max_steps == 3
    with pytest.raises(RecipeError, match=r"command line: unknown key 'train.max_step': did you mean 'max_steps'"):
        load_recipe("smoke/math", ["train.max_step=3"])
    with pytest.raises(RecipeError, match=r"must be key\.path=value"):
        load_recipe("smoke/math", ["train.max_steps"])


def test_a_missing_recipe_names_the_nearest_shipped_one():
    with pytest.raises(RecipeError, match="did you mean 'smoke/math'"):
        load_recipe("smoke/mat")


@pytest.mark.parametrize("text", ["[1, 2]\n", "domain: [\n", "", "domain: !!python/object:os.system x\n"])
def test_what_is_no_recipe_is_one_clear_line(tmp_path: Path, text: str):
    with pytest.raises(RecipeError) as error:
        load_recipe(write(tmp_path, text))
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {
            "domain": st.sampled_from(["math", "code"]),
            "seed": st.integers(-(2**31), 2**31),
            "train": st.fixed_dictionaries(
                {"learning_rate": st.floats(1e-9, 1.0), "max_steps": st.integers(-1, 10**6), "packing": st.booleans()}
            ),
        }
    )
)
def test_a_resolved_recipe_reads_back_as_itself(tree: dict):
    recipe = msgspec.convert(tree, Recipe)
    again = msgspec.convert(yaml.safe_load(yaml.safe_dump(msgspec.to_builtins(recipe))), Recipe)
    assert again == recipe and fingerprint(again) == fingerprint(recipe)


def test_the_schema_knows_every_section():
    properties = recipe_schema()["$defs"]["Recipe"]["properties"]
    assert set(properties) == {f.name for f in msgspec.structs.fields(Recipe)} | {"extends"}


def test_every_section_is_described():
    known = descriptions()
    found = [*vars(recipe_sections).values(), *vars(recipe_reinforcement).values()]
    sections = [s for s in found if isinstance(s, type) and issubclass(s, Section) and s is not Section]
    assert len(sections) > 12
    assert not [s.__name__ for s in sections if not known[s.__name__, ""]]


def test_every_key_that_is_no_field_name_of_a_trainer_is_described():
    """`learning_rate` needs no words of ours; `chains` does."""
    known = descriptions()
    bare = {
        f"{section.__name__}.{field.name}"
        for section in (Seeds, Evolve, Verification, Curate, Eval, Compute, Reward, StepReward, InstructionReward)
        for field in msgspec.structs.fields(section)
        if (section.__name__, field.name) not in known
    }
    assert not bare, "write a string literal below the field in recipe/sections.py"


def test_the_reference_page_is_the_generated_one():
    page = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
    assert page.read_text(encoding="utf-8") == reference(), "run: evoltune recipes reference > docs/recipes.md"


def test_a_copied_recipe_names_the_schema_and_still_loads(tmp_path: Path):
    assert main(["recipes", "cp", "smoke/math", str(tmp_path / "mine.yaml")]) == 0
    assert "yaml-language-server" in (tmp_path / "mine.yaml").read_text()
    assert load_recipe(tmp_path / "mine.yaml").domain == "math"
    assert main(["recipes", "cp", "smoke/math", str(tmp_path / "mine.yaml")]) == 2


MINE = """# of mine
extends: base.yaml   # the base
seeds:
  path: [rows.jsonl, org/data, "sub/more rows.jsonl"]   # three
curate: {mix: [{path: ./rows.jsonl, weight: 0.5}]}
rl:
  prompts: >-
    rows.jsonl

train: {model_name_or_path: org/base}
"""


def test_a_copy_of_a_local_recipe_reads_the_same_files_and_keeps_its_comments(tmp_path: Path, monkeypatch):
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    (tmp_path / "mine" / "base.yaml").write_text("domain: math\nseeds: {licence: MIT}\n")
    for name in ("rows.jsonl", "sub/more rows.jsonl"):
        (tmp_path / "mine" / name).write_text('{"instruction": "2 + 2?", "output": "4"}\n')
    source, copy, beside = tmp_path / "mine" / "r.yaml", tmp_path / "other" / "r.yaml", tmp_path / "mine" / "again.yaml"
    source.write_text(MINE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for dest in (copy, beside):
        dest.parent.mkdir(exist_ok=True)
        assert main(["recipes", "cp", str(source), str(dest)]) == 0
    assert beside.read_text().endswith(MINE)
    copied = copy.read_text()
    assert "extends: ../mine/base.yaml   # the base" in copied and "# three" in copied and "org/data" in copied
    old, new = load_recipe(source), load_recipe(copy)

    def places(recipe: Recipe) -> list[Path | str]:
        refs = [*(recipe.seeds.path or ()), *(mixed.path for mixed in recipe.curate.mix), recipe.rl.prompts]
        return [Path(ref).resolve() if Path(ref).exists() else ref for ref in refs]

    assert places(old) == places(new) and sum(isinstance(place, Path) for place in places(new)) == 4


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("domain: math\ntrain: &a {x: *a}\n", "expanded"),
        ("domain: &x [*x]\n", "expanded"),
        ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)), "expanded"),
        ("[" * 3000, "nested too deeply"),
        ("domain: math\n" + "x" * 2**20 + ": 1\n", "at most 1048576"),
        ("domain: math\ntrain: {learning_rate: .inf}\n", "r.yaml:2: train.learning_rate: inf must be a finite"),
        ("domain: math\nseed: 99999999999999999999999\n", "64 bits"),
        ("domain: math\nname: ../elsewhere\n", "one folder name"),
        ('domain: math\nname: "a\\0b"\n', "NUL"),
        ('domain: "\\ud800"\n', "surrogate pair"),
        ("domain: math\nevolve: {operators: {deepen: -1}}\n", "evolve.operators.deepen"),
        ("domain: math\nname: 2020-99-99\n", "quotes"),
        ("domain: ma\x00th\n", "not YAML"),
        ("", "r.yaml: is empty"),
        ("domain: math\ntrain:\n\tmax_steps: 3\n", "r.yaml:3: not YAML: a tab, which cannot indent: use spaces"),
        ("extend: smoke/math\n", "did you mean 'extends'"),
        ("domain: math\nextends: smoke/maths\n", "r.yaml:2: extends: .*did you mean 'smoke/math'"),
        ("domain: math\nname: no\n", "r.yaml:2: name: .*put it in quotes"),
        ("domain: math\ncurate: {band: [0.8, 0.1]}\n", "r.yaml:2: curate.band: .*lower end first"),
        ("domain: math\ncurate: {validation: 1.0}\n", "r.yaml:2: curate.validation: 1.0 .*less than 1"),
    ],
    ids=["alias to itself", "list of itself", "bomb", "deep", "long", "inf", "huge", "name", "NUL", "surrogate", "weight", "date", "raw NUL", "empty", "tab", "extend", "base", "boolean", "band", "validation"],
)  # fmt: skip
def test_hostile_recipes_are_refused_in_one_line(tmp_path: Path, text: str, says: str):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=says) as refused:
        load_recipe(tmp_path / "r.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("evolve: {operators: {deepn: 1}}", "evolve.operators: domain 'math' has no operator 'deepn'"),
        ("eval: {suites: [gsm8k], profile: sond}", "has no profile 'sond': did you mean 'sound'?"),
        ("eval: {suites: [gsm8k], beside: [minervaa]}", "has no profile 'minervaa': did you mean 'minerva'?"),
        ("eval: {suites: [gsm8kk]}", "unknown suite 'gsm8kk': did you mean 'gsm8k'?"),
        ("evolve: {stop_on: svamq}", "unknown suite 'svamq': did you mean 'svamp'?"),
        (
            "teacher: {kind: http, endpoints: [{url: 'localhost:8000'}]}",
            "teacher.endpoints.0.url: 'localhost:8000' must be http",
        ),
        ("eval: {endpoint: 'ftp://x'}", "eval.endpoint.url: 'ftp://x' must be http"),
        (
            "eval: {suites: [gsm8k, math/gsm8k]}",
            "eval.suites: 'gsm8k' and 'math/gsm8k' have one name, 'gsm8k': give one",
        ),
        (
            "eval: {suites: ['a/dev.jsonl', 'b/dev.csv']}",
            "have one name, 'dev': give one of them, or another name to one file",
        ),
        ("seeds: {bootstrap: self_instruct}", "seeds.bootstrap_size: 0: self_instruct would write none"),
        ("seeds: {bootstrap_size: 9}", "seeds.bootstrap_size: 9: has no effect with bootstrap none"),
    ],
)
def test_check_finds_names_that_nothing_has(tmp_path: Path, capsys, text: str, says: str):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"domain: math\n{text}\n")
    assert main(["recipes", "check", str(recipe)]) == 2
    said = capsys.readouterr().err
    assert says in said and f"{recipe}:2: " in said


def test_check_says_what_a_recipe_lacks_before_it_runs(capsys):
    assert main(["recipes", "check", "code/wizardcoder-starcoder-15b", "smoke/math"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "teacher.endpoints" in first and "teacher.endpoints" not in second


def test_check_passes_every_shipped_recipe(capsys):
    names = [name for name in shipped() if not name.startswith("base/")]
    assert main(["recipes", "check", *names]) == 0
    assert capsys.readouterr().out.count(": ok (") == len(names)


def test_a_recipe_may_ask_for_exactly_the_levels_that_the_sandbox_has():
    """Neither package may import the other, so each has the list."""
    assert get_args(recipe_sections.Level) == get_args(worker_protocol.Level)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("name=20240105", "20240105"), ("name=2024-01-05", "2024-01-05"), ("train.dataset=1e5", "1e5"),
        ("train.model_revision=on", "on"), ("compute.slurm.time=24:00:00", "24:00:00"), ("compute.env.N=0", "0"),
        ("train.lora_target_modules=[q_proj]", ("q_proj",)), ("train.dataset=null", None), ("train.max_steps=10", 10),
    ],
)  # fmt: skip
def test_a_value_on_the_command_line_has_the_type_of_its_key(override: str, value: object):
    found: object = load_recipe("smoke/math", [override])
    for key in override.partition("=")[0].split("."):
        found = found[key] if isinstance(found, dict) else getattr(found, key)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "key", ["train.max_steps", "train.learning_rate", "eval.temperature", "teacher.max_tokens", "rl.beta"]
)
def test_a_number_below_its_range_is_refused(key: str):
    with pytest.raises(RecipeError, match=f"{key}: Expected .* >"):
        load_recipe("smoke/math", [f"{key}=-3"])


@pytest.mark.parametrize("key", ["on", "no", "2024", "1.5", "null"])
def test_a_key_that_yaml_would_read_as_another_type_is_named_as_it_is_written(tmp_path: Path, key: str):
    path = write(tmp_path, f"domain: math\ntrain:\n  {key}: 3\n")
    with pytest.raises(RecipeError, match=rf"r\.yaml:3: unknown key 'train\.{key}'"):
        load_recipe(path)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("    zero_optimization:\n", "r.yaml:4: train.deepspeed.zero_optimization: None is empty"),
        ("    zero_optimization: 2\n", "zero_optimization: 2 must be a mapping"),
        ("    zero_optimization: {stage: 2, offload_optimizer: cpu}\n", "offload_optimizer: 'cpu' must be a mapping"),
    ],
)
def test_an_unfinished_section_of_deepspeed_is_named_with_its_line(tmp_path: Path, lines: str, problem: str):
    path = write(tmp_path, f"domain: math\ntrain:\n  deepspeed:\n{lines}")
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert problem in str(error.value)


@pytest.mark.parametrize(
    ("given", "targets"),
    [
        ("q_proj", ("q_proj",)),
        ("q_proj, v_proj", ("q_proj", "v_proj")),
        ("all-linear", "all-linear"),
        (".*_proj", ".*_proj"),
    ],
)
def test_lora_targets_may_be_names_in_one_text(given: str, targets: object):
    assert load_recipe("smoke/math", [f"train.lora_target_modules={given!r}"]).train.lora_targets == targets


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: {packing: !!bool maybe}", "r.yaml:2: not YAML: 'maybe' cannot be read as bool: put it in quotes"),
        ("train: {learning_rate: !!timestamp now}", "r.yaml:2: not YAML: 'now' cannot be read as timestamp"),
        ("seeds: !!map [1]", "r.yaml:2: not YAML: expected a mapping node"),
        ("seed: !!int x", "r.yaml:2: not YAML: 'x' cannot be read as int"),
        ("train:\n  # max_steps: 3", "r.yaml:2: train: is empty: fill it in, or remove the key"),
        ("name: no", "name: Expected `str`, got `bool` .value False.: put it in quotes"),
        ("train: 5", "train: Expected a mapping of keys, got `int`"),
        ("train: {max_steps: 010}", "train.max_steps: Expected `int`, got `str` .value '010'."),
        ("train: {max_steps: 1:30}", "train.max_steps: Expected `int`, got `str`"),
        ('name: "a\\nb"', "one folder name"),
        ("name: ' '", "one folder name"),
        (f"name: {'x' * 300}", "one folder name"),
        ("extends: nosuch", "r.yaml:2: extends: recipe 'nosuch' is neither"),
        ("extends: .", "r.yaml:2: extends: .* is a folder"),
        ("extends: ~nobody-has-this-name/x.yaml", "r.yaml:2: extends: recipe '~nobody"),
    ],
)  # fmt: skip
def test_a_value_that_yaml_reads_otherwise_than_it_was_meant_is_named_with_its_line(
    tmp_path: Path, text: str, says: str
):
    with pytest.raises(RecipeError, match=says):
        load_recipe(write(tmp_path, f"domain: math\n{text}\n"))


def test_a_time_needs_no_quotes(tmp_path: Path):
    recipe = load_recipe(write(tmp_path, "domain: math\ncompute: {slurm: {time: 24:00:00, account: 007}}\n"))
    assert recipe.compute.slurm == {"time": "24:00:00", "account": "007"}


def test_a_merge_key_gives_what_the_mapping_has_not_itself(tmp_path: Path):
    text = "domain: math\neval: {judge: {teacher: &t {model: a, top_p: 0.5}}}\nteacher:\n  <<: *t\n  model: b\n"
    recipe = load_recipe(write(tmp_path, text))
    assert (recipe.teacher.model, recipe.teacher.top_p) == ("b", 0.5)
    with pytest.raises(RecipeError, match=r"r\.yaml:6: duplicate key teacher\.model"):
        load_recipe(write(tmp_path, text + "  model: c\n"))


def test_what_is_no_file_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for place, says in (
        (tmp_path, "is a folder"),
        (Path("/dev/null"), "device"),
        (tmp_path / "loop", "cannot be read"),
    ):
        with pytest.raises(RecipeError, match=says):
            load_recipe(place)
