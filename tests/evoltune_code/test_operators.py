"""The prompts of the code domain: whole, with their slots, without words that would be taken for leaks."""

import re
from importlib.resources import files

import pytest

from evoltune.record import Task
from evoltune_code import domain
from evoltune_code.operators import DEPTH, REASONING, no_fusion, prompt, solution_given

PROMPTS = sorted(p.name.removesuffix(".txt") for p in (files("evoltune_code") / "prompts").iterdir())
MARKERS = re.compile(
    r"given prompt|rewritten prompt|created prompt|new prompt|#\s*\w+ prompt|#given#|#rewritten#", re.I
)


@pytest.mark.parametrize("name", PROMPTS)
def test_each_prompt_says_why_it_is_so_in_a_line_that_is_not_sent(name):
    text = (files("evoltune_code") / "prompts" / f"{name}.txt").read_text()
    assert re.match(r"# .{40,}\n", text)
    assert text.splitlines()[0] not in prompt(name) and not prompt(name).startswith("#")


def test_the_five_methods_of_wizardcoder_are_there_with_breadth_and_fusion():
    kinds = {o.name: o.kind for o in domain.operators}
    assert [kinds[name] for name in DEPTH] == ["depth"] * 5
    assert kinds["breadth"] == "breadth" and kinds["fuse"] == "fuse"


@pytest.mark.parametrize("operator", domain.operators, ids=lambda o: o.name)
def test_an_operator_has_its_slots_once_and_no_marker_words(operator):
    assert operator.template.count("{instruction}") == 1
    assert operator.template.count("{other}") == (operator.kind == "fuse" and operator.rewrite is None)
    assert not re.search(r"\{(?!instruction\}|other\})\w+\}", operator.template)
    assert not MARKERS.search(operator.template)


def test_the_in_depth_operators_differ_in_their_method_alone():
    texts = [o.template for o in domain.operators if o.name in DEPTH]
    assert len(set(texts)) == 5
    assert len({t.partition("Keep to these rules:")[2] for t in texts}) == 1


def test_answers_and_tests_are_asked_for_with_the_exercise_alone():
    assert domain.answer_prompt.count("{instruction}") == 1
    assert domain.evidence["tests"].count("{instruction}") == 1
    assert "assert" in domain.evidence["tests"]


def test_a_teacher_that_finds_no_fusion_gives_no_row():
    assert no_fusion(None, Task(instruction=" No fusion."), None)
    assert no_fusion(None, Task(instruction="Explain why no fusion reactor runs."), None) is None


def test_a_child_that_is_only_code_is_no_exercise():
    assert solution_given(None, Task(instruction="```python\nx = 1\n```"), None)
    assert solution_given(None, Task(instruction="Fix this:\n```python\nx = 1\n```"), None) is None


def test_a_child_that_comes_with_its_solution_is_no_exercise():
    held = Task(instruction="Add two numbers.\n\nSolution:\n```python\ndef add(a, b):\n    return a + b\n```")
    assert solution_given(Task(instruction="Add."), held, None) == "comes with its solution"
    assert solution_given(held, held, None) is None
    shown = Task(
        instruction="Find the bug.\n```python\nclass Solution:\n    def add(self, a, b):\n        return a - b\n```"
    )
    assert solution_given(None, shown, None) is None


def test_operators_that_ask_for_a_kind_of_reasoning_name_it():
    named = {o.name: o.reasoning for o in domain.operators if o.reasoning}
    assert named == REASONING and set(named.values()) == {
        "multi-step",
        "critical",
        "lateral",
        "compositional",
        "backward",
    }
