"""The general domain: seeds, operators, eliminators, readers of open-domain suites."""

import json
from collections import Counter

import pytest

from evoltune.domain import Context, load_domain
from evoltune.errors import DataError
from evoltune.record import Task
from evoltune.rows.records import read_records
from evoltune_general import domain
from evoltune_general.benchmarks import BENCHMARKS
from evoltune_general.operators import FORMS, PROMPTS, prompt
from evoltune_general.seeds.lima import lima_seeds, write

CONTEXT = Context(run=lambda job: pytest.fail("the general verifier runs no program"), policy={})
SEEDS = list(domain.seeds())


def rows(path, *found):
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
    return path


def test_the_domain_is_found_by_its_name():
    assert load_domain("general") is domain


def test_seeds_are_many_and_varied_and_each_has_an_answer():
    assert len(SEEDS) >= 60 and len({s.id for s in SEEDS}) == len(SEEDS)
    assert len({s.task.instruction for s in SEEDS}) == len(SEEDS)
    skills = Counter(s.task.fields["skill"] for s in SEEDS)
    assert len(skills) >= 25 and max(skills.values()) <= 6
    assert all(s.answers[0].model == "seed" and s.answers[0].text.strip() for s in SEEDS)


@pytest.mark.parametrize("seed", SEEDS, ids=lambda s: s.task.name)
def test_a_seed_answer_passes_its_own_constraints(seed):
    verdict = domain.verify(seed.task, seed.answers[0].text, CONTEXT)
    assert verdict.status == ("pass" if "constraints" in seed.task.fields else "unverifiable"), verdict.reason


def test_checkable_seeds_refuse_an_answer_to_another_seed():
    checkable = [s for s in SEEDS if "constraints" in s.task.fields]
    other = "Bananas are yellow"
    refused = sum(domain.verify(s.task, other, CONTEXT).status == "fail" for s in checkable)
    assert len(checkable) >= 25 and refused >= len(checkable) * 0.8


def test_operators_are_those_of_the_paper():
    kinds = Counter(o.kind for o in domain.operators)
    assert kinds == {"depth": 4 + len(FORMS), "breadth": 1, "fuse": 1}
    chances = {o.name: o.weight for o in domain.operators}
    assert sum(chances[f"complicate_{form}"] for form in FORMS) == pytest.approx(chances["deepen"])


def test_operator_templates_have_only_their_slots():
    for operator in domain.operators:
        assert operator.template.count("{instruction}") == 1
        assert operator.template.count("{other}") == (operator.kind == "fuse")
        assert "{form}" not in operator.template and "{example}" not in operator.template


def test_every_prompt_gives_its_reason_and_sends_only_the_rest():
    for path in PROMPTS.glob("*.txt"):
        reason = path.read_text(encoding="utf-8").splitlines()[0]
        assert reason.startswith("# ") and len(reason) > 40
        assert reason not in prompt(path.stem)


@pytest.mark.parametrize(
    ("instruction", "reason"),
    [
        ("CANNOT JOIN", "no fusion"),
        ("Cannot join.", "no fusion"),
        ("Write an ode.\nAnswer: O rose", "answers itself"),
        ("Sort the names in the following list:", "announced data are missing"),
        ("Explain what this Python program prints:\n", "announced data are missing"),
        ("Sort the names in the following list: Bo, Al", None),
        ("Join the tables a and b with SQL and explain why you cannot join without a key.", None),
        ('Say why: "the answer is no"', None),
    ],
)
def test_rewrites_that_cannot_be_answered_are_eliminated(instruction, reason):
    found = [
        rule(Task(instruction="Write."), Task(instruction=instruction), None) for rule in domain.eliminators
    ]
    assert [f for f in found if f] == ([reason] if reason else [])


def test_no_seed_is_eliminated_by_our_own_rules():
    assert not [
        s.task.name for s in SEEDS for rule in domain.eliminators if rule(None, s.task, s.answers[0].text)
    ]


def test_the_wizardlm_test_set_is_read_with_skill_and_difficulty(tmp_path):
    path = rows(
        tmp_path / "w.jsonl", {"idx": 3, "Skill": "Art", "Difficulty": 7, "Instruction": "Describe a fugue."}
    )
    (task,) = BENCHMARKS["wizardlm"].load(path)
    assert (task.name, task.instruction) == ("wizardlm/3", "Describe a fugue.")
    assert task.fields == {"skill": "Art", "difficulty": 7}


def test_vicuna_questions_come_as_text_or_as_turns(tmp_path):
    path = rows(
        tmp_path / "v.jsonl",
        {"question_id": 1, "text": "How?", "category": "generic"},
        {"question_id": 2, "turns": ["Why?", "And then?"], "category": "math"},
    )
    one, two = BENCHMARKS["vicuna"].load(path)
    assert (one.instruction, one.fields["skill"], one.name) == ("How?", "generic", "vicuna/1")
    assert (two.instruction, two.fields["later_turns"]) == ("Why?", ["And then?"])


def test_lima_rows_become_prompts_or_seeds(tmp_path):
    test = rows(tmp_path / "test.jsonl", {"conversations": ["Plan a trip."], "source": "authors"})
    (task,) = BENCHMARKS["lima"].load(test)
    assert (task.instruction, task.history) == ("Plan a trip.", ())
    train = rows(
        tmp_path / "train.jsonl", {"conversations": ["Hi", "Hello", "Who?", "Me"], "source": "multi_turn"}
    )
    (seed,) = lima_seeds(train)
    assert (seed.task.instruction, seed.answers[0].text) == ("Who?", "Me")
    assert seed.task.history == (("user", "Hi"), ("assistant", "Hello"))
    assert write(train, tmp_path / "rows.jsonl") == 1
    (again,) = read_records(str(tmp_path / "rows.jsonl"), domain)
    assert (again.task.instruction, again.task.history, again.answers) == (
        seed.task.instruction,
        seed.task.history,
        seed.answers,
    )
    with pytest.raises(DataError, match="ends with a question"):
        list(lima_seeds(test))


@pytest.mark.parametrize(
    ("suite", "row", "said"),
    [
        ("wizardlm", {"idx": 1, "Skill": "Art", "Difficulty": 11, "Instruction": "x"}, "must be 1 to 10"),
        ("wizardlm", {"idx": 1, "Difficulty": 1, "Instruction": "x"}, "no field 'Skill'"),
        ("vicuna", {"question_id": 1, "turns": [], "category": "x"}, "must be a list of texts"),
        ("lima", {"conversations": "x"}, "must be a list of texts"),
    ],
)
def test_a_damaged_row_names_its_place(tmp_path, suite, row, said):
    with pytest.raises(DataError, match=said):
        list(BENCHMARKS[suite].load(rows(tmp_path / "bad.jsonl", row)))
