"""The seeds of the general domain, and LIMA rows as seeds."""

import json
from collections import Counter

import pytest

from evoltune.domain import Context
from evoltune.errors import DataError
from evoltune.rows.lima_rules import objection
from evoltune.rows.records import read_records
from evoltune.run.dev_suite import refuse_overlap
from evoltune_general import domain
from evoltune_general.benchmarks import BENCHMARKS
from evoltune_general.constraints import violations
from evoltune_general.seeds import DEV, dev_tasks
from evoltune_general.seeds.lima import lima_seeds, write_seeds

CONTEXT = Context(run=lambda job: pytest.fail("the general verifier runs no program"), policy={})


SEEDS = list(domain.seeds())


def rows(path, *found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def test_seeds_are_many_and_varied_and_each_has_an_answer():
    assert len(SEEDS) >= 60 and len({s.id for s in SEEDS}) == len(SEEDS)
    assert len({s.task.instruction for s in SEEDS}) == len(SEEDS)
    skills = Counter(s.task.fields["skill"] for s in SEEDS if not s.task.name.startswith("general-long"))
    assert len(skills) >= 25 and max(skills.values()) <= 6
    assert all(s.answers[0].model == "seed" and s.answers[0].text.strip() for s in SEEDS)


def test_every_seed_answer_passes_its_own_constraints():
    verdicts = {s.task.name: domain.verify(s.task, s.answers[0].text, CONTEXT) for s in SEEDS}
    expected = {s.task.name: "pass" if "constraints" in s.task.fields else "unverifiable" for s in SEEDS}
    assert {n: v.reason for n, v in verdicts.items() if v.status != expected[n]} == {}


def test_checkable_seeds_refuse_an_answer_to_another_seed():
    checkable = [s for s in SEEDS if "constraints" in s.task.fields]
    other = "Bananas are yellow"
    refused = sum(domain.verify(s.task, other, CONTEXT).status == "fail" for s in checkable)
    assert len(checkable) >= 25 and refused >= len(checkable) * 0.8


def test_lima_rows_become_prompts_or_seeds(tmp_path):
    test = rows(tmp_path / "test.jsonl", {"conversations": ["Plan a trip."], "source": "authors"})
    (task,) = BENCHMARKS["lima"].load(test)
    assert (task.instruction, task.history) == ("Plan a trip.", ())
    train = rows(tmp_path / "train.jsonl", {"conversations": ["Hi", "Hello", "Who?", "Me"], "source": "multi_turn"})
    (seed,) = lima_seeds(train)
    assert (seed.task.instruction, seed.answers[0].text) == ("Who?", "Me")
    assert seed.task.history == (("user", "Hi"), ("assistant", "Hello"))
    assert write_seeds(train, tmp_path / "rows.jsonl") == 1
    (again,) = read_records(str(tmp_path / "rows.jsonl"), domain)
    assert (again.task.instruction, again.task.history, again.answers) == (
        seed.task.instruction,
        seed.task.history,
        seed.answers,
    )
    with pytest.raises(DataError, match="ends with a question"):
        list(lima_seeds(test))


def test_sixty_long_answers_and_ten_dialogues_pass_limas_rules():
    long = [seed for seed in SEEDS if seed.task.name.startswith("general-long")]
    assert not [seed.task.instruction for seed in long if objection(seed.answers[0].text)]
    dialogues = [seed for seed in long if seed.task.history]
    assert len(long) >= 70 and len(dialogues) >= 10
    assert all([role for role, _ in seed.task.history] == ["user", "assistant"] for seed in dialogues)


def test_the_dev_prompts_state_conditions_that_can_be_checked_and_share_none_with_the_seeds():
    tasks = list(dev_tasks(DEV))
    assert len(tasks) == 50
    for task in tasks:
        stated = task.fields["constraints"]
        assert violations(stated, "") or violations(stated, "word. " * 400), task.name
    refuse_overlap("general-dev", tasks, {"seeds": [seed.task for seed in SEEDS]})
