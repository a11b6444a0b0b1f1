"""Which pairs a prompt gets out of verified answers."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.dataset.rl_prompts import as_record, prompts_of_rows
from evoltune.record import Answer, Record, Task, Verdict
from evoltune.run.run import Run
from evoltune.train.rl.guards import is_held_out_prompt
from evoltune.train.rl.pairs import Pair, matched, recorded_pairs, sampled_pairs, write_pairs
from evoltune.verification.records import REPAIRS, Repair

ENOUGH = (
    "rl.num_generations=8",
    "rl.max_completion_length=24",
    "rl.prompts_per_step=1",
    "rl.per_device_train_batch_size=1",
)
"""That some of the random answers end before they are cut off."""
STATUSES = ("pass", "fail", "timeout", "error", "unverifiable")


def record_of(*answers: tuple[str, str], repairs: tuple[str, ...] = ()) -> Record:
    made = tuple(Answer(text=text, model="m", verdict=Verdict(status=status)) for text, status in answers)
    evidence = {REPAIRS: repairs} if repairs else {}
    return Record(domain="math", task=Task(instruction="2 + 2?", reference="4"), answers=made, evidence=evidence)


@given(st.integers(0, 6), st.integers(0, 6))
def test_every_answer_is_used_before_one_is_used_again(right: int, wrong: int):
    passed, failed = [f"right {i}" for i in range(right)], [f"wrong {i}" for i in range(wrong)]
    pairs = list(matched(passed, failed))
    assert len(pairs) == (max(len(passed), len(failed)) if passed and failed else 0) == len(set(pairs))
    for side, known in ((0, passed), (1, failed)):
        used = [pair[side] for pair in pairs]
        assert not used or max(used.count(x) for x in known) - min(used.count(x) for x in known) <= 1


@given(st.lists(st.tuples(st.sampled_from("abc "), st.sampled_from(STATUSES)), max_size=8))
def test_what_is_chosen_passed_and_what_is_rejected_failed(answers: list[tuple[str, str]]):
    for pair in recorded_pairs(record_of(*answers)) + sampled_pairs(record_of(*answers), None, set()):
        assert (pair.chosen, "pass") in answers and pair.chosen.strip() and pair.rejected.strip()
        assert {(pair.rejected, "fail"), (pair.rejected, "timeout")} & set(answers)


def test_repairs_come_first_and_then_the_answers_that_they_left():
    repair = Repair(of=0, reason="wrong").to_text()
    record = record_of(("5", "fail"), ("4", "pass"), ("four", "pass"), ("3", "fail"), repairs=("", repair, "", ""))
    assert recorded_pairs(record) == [
        Pair(chosen="4", rejected="5", origin="repair"), Pair(chosen="four", rejected="3", origin="recorded"),
    ]  # fmt: skip


def test_samples_are_paired_with_recorded_answers_on_the_side_that_they_lack():
    recorded = record_of(("4", "pass"), ("6", "fail"))
    wrong, right = record_of(("7", "fail"), ("8", "fail")), record_of(("is 4", "pass"))
    assert [(p.chosen, p.rejected) for p in sampled_pairs(wrong, recorded, set())] == [("4", "7"), ("4", "8")]
    assert [(p.chosen, p.rejected) for p in sampled_pairs(right, recorded, set())] == [("is 4", "6")]
    assert sampled_pairs(wrong, None, set()) == [] == sampled_pairs(record_of(("?", "error")), None, set())


def test_an_answer_that_was_cut_off_is_never_chosen_and_has_no_end():
    both = record_of(("is 4", "pass"), ("7 and", "fail"))
    assert sampled_pairs(both, None, {"is 4", "7 and"}) == []
    assert [p.cut for p in sampled_pairs(both, None, {"7 and"})] == [True]


@pytest.mark.slow
def test_the_checkpoint_is_asked_for_what_nobody_recorded_and_once(rl_recipe, policy, tmp_path):
    rows, target = tmp_path / "rows.jsonl", tmp_path / "pairs.jsonl"
    rows.write_text("".join(json.dumps({"instruction": f"Say {i}.", "reference": "x"}) + "\n" for i in range(16)))
    recipe = rl_recipe("rl.algorithm=dpo", f"rl.prompts={rows}", "rl.pairs_per_prompt=2", *ENOUGH)
    work = Run(recipe=recipe, folder=tmp_path / "run", outputs=policy("lora").parent)
    prompts = list(prompts_of_rows(str(rows), work.domain))
    counts = write_pairs(work, prompts, target)
    found = [json.loads(line) for line in target.read_text().splitlines()]
    asked = Counter(row["prompt"][0]["content"] for row in found)
    assert counts == {"sampled": len(found)} and max(asked.values()) <= 2 and len(found) >= 1
    with work.checker() as checker:
        for side, status in (("chosen", "pass"), ("rejected", "fail")):
            tasks = [as_record(work.domain, prompts[0], [row[side][0]["content"]]) for row in found]
            assert {record.answers[0].verdict.status for record in checker.verify(tasks)} == {status}
    held_out = {p.messages[0]["content"] for p in prompts if is_held_out_prompt(p.messages, recipe.rl)}
    assert held_out and not held_out & set(asked)
    written = target.read_bytes()
    target.with_suffix(".samples.jsonl").unlink()
    assert write_pairs(work, prompts, target) == counts and target.read_bytes() == written
    assert not target.with_suffix(".samples.jsonl").exists()
