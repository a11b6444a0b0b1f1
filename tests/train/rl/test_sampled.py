"""Which prompts the checkpoint is trained on, by how often it solves them."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.cli import main
from evoltune.dataset.rl_prompts import as_record, prompts_of_rows
from evoltune.errors import DataError, RecipeError
from evoltune.generate.processes import processes_kept
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.run.run import Run
from evoltune.train.rl.guards import is_held_out_prompt
from evoltune.train.rl.launch import check_settings
from evoltune.train.rl.sampled import pass_rate, prompts_in_band
from evoltune.train.samples import Sample


@pytest.fixture(autouse=True, scope="module")
def one_generator_process():
    """Starting one takes longer than all that the tests here generate."""
    with processes_kept():
        yield


VERDICTS = {"a": "pass", "b": "fail", "c": "pass", "d": "error"}


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_a_text_that_was_drawn_twice_counts_twice(texts: list[str]):
    answers = tuple(Answer(text=t, model="m", verdict=Verdict(status=VERDICTS[t])) for t in dict.fromkeys(texts))
    record = Record(domain="math", task=Task(instruction="2 + 2?", reference="4"), answers=answers)
    rate = pass_rate([Sample(text=text, cut=False) for text in texts], record)
    assert rate == sum(text in "ac" for text in texts) / len(texts)


def test_prompts_in_the_band_and_held_out_ones_stay_and_the_samples_are_drawn_once(rl_recipe, policy, tmp_path, capsys):
    rows, journal = tmp_path / "rows.jsonl", tmp_path / "band.jsonl"
    rows.write_text("".join(json.dumps({"instruction": f"Say {i}.", "reference": "x"}) + "\n" for i in range(16)))
    recipe = rl_recipe(f"rl.prompts={rows}", "rl.band=[0.3, 0.7]", "rl.prompts_per_step=1", "rl.num_generations=8")
    work = Run(recipe=recipe, folder=tmp_path / "run", outputs=policy("lora").parent)
    prompts = list(prompts_of_rows(str(rows), work.domain))
    kept, counts = prompts_in_band(work, prompts, journal)
    assert (
        f"{counts['in the band']} of {sum(counts.values())} prompts are solved in 30% to 70%" in capsys.readouterr().err
    )

    texts = dict[str, list[str]]()
    for line in journal.read_text().splitlines():
        row = json.loads(line)
        texts.setdefault(row["problem"], []).append(row["text"])
    held_out = {p.id for p in prompts if is_held_out_prompt(p.messages, recipe.rl)}
    assert held_out and not held_out & texts.keys()
    with work.checker() as checker:
        for prompt in prompts:
            if prompt.id not in held_out:
                (record,) = checker.verify([as_record(work.domain, prompt, texts[prompt.id])])
                passed = {answer.text for answer in record.answers if answer.verdict.status == "pass"}
                share = sum(text in passed for text in texts[prompt.id]) / 8
                assert (prompt in kept) == (0.3 <= share <= 0.7)
    assert held_out <= {p.id for p in kept} and [p for p in prompts if p in kept] == kept

    before = journal.read_bytes()
    assert prompts_in_band(work, prompts, journal) == (kept, counts) and journal.read_bytes() == before
    narrow = Run(recipe=rl_recipe("rl.band=[0.99, 1.0]", "rl.prompts_per_step=8", "rl.num_generations=8"), folder=work.folder, outputs=work.outputs)  # fmt: skip
    with pytest.raises(DataError, match=r"\(rl\.band\).*a step takes rl\.prompts_per_step 8: widen rl\.band"):
        prompts_in_band(narrow, prompts, journal)


def test_other_trainers_get_the_prompts_in_the_band(halves, tiny_base, policy, tmp_path, capsys):
    rows, folder = tmp_path / "rows.jsonl", tmp_path / "run"
    rows.write_text("".join(json.dumps({"instruction": f"Say {i}.", "reference": "x"}) + "\n" for i in range(6)))
    shutil.copytree(policy("lora"), folder / "checkpoint")
    (folder / "checkpoint-merged").mkdir()
    (folder / "checkpoint-merged" / "manifest.json").write_text("{}")
    keys = ["rl.prompts_per_step=1", "rl.num_generations=2", "rl.max_completion_length=8", "rl.held_out=0.0"]
    command = ["rl", "smoke/math", f"domain={halves}", f"train.model_name_or_path={tiny_base}", *keys, "--out", str(folder), "--trainer", "verl", "--batch", "4", "--rows", str(rows)]  # fmt: skip
    assert main([*command, "rl.band=[0.0, 1.0]"]) == 1
    said = capsys.readouterr().err
    assert (
        "6 of 6 prompts are solved in 0% to 100% of 2 answers (rl.band)" in said
        and "verl is not installed here" in said
    )
    assert main([*command, "rl.band=[0.0, 1.0]", "--print-launch"]) == 0 and "not applied" in capsys.readouterr().err


def test_a_band_beside_pairs_has_no_effect_and_is_refused_and_so_is_one_upside_down(rl_recipe):
    with pytest.raises(RecipeError, match=r"rl\.band.*has no effect with rl\.algorithm dpo"):
        check_settings(rl_recipe("rl.algorithm=dpo", "rl.band=[0.1, 0.9]"))
    with pytest.raises(RecipeError, match=r"rl\.band.*upside down"):
        rl_recipe("rl.band=[0.9, 0.1]")
