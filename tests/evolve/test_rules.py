"""Elimination: every rule on what it is for and on what it must leave alone; leak variants; real responses."""

import gzip
import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.domain import Domain
from evoltune.errors import DomainError
from evoltune.evolve.rules.comparison import echoes_operator
from evoltune.evolve.rules.registry import RULES, core_reasons, rejection_reason
from evoltune.record import Task, Verdict

DATA = os.environ.get("EVOLTUNE_DATA")
ASK = "Explain how a heat pump moves heat from a cold garden into a warm house."


def core_reason(parent, child, answer):
    return next(core_reasons(parent, child, answer), "")


def instruction(text, parent=ASK):
    return core_reason(Task(instruction=parent) if parent else None, Task(instruction=text), None)


def answer(text, asked=ASK):
    return core_reason(None, Task(instruction=asked), text)


def test_residue_that_the_parent_has_itself_is_allowed():
    parent = "Identify the bias in the given prompt and explain it."
    assert (
        instruction("Identify the bias in the given prompt, name its kind, and suggest a neutral wording.", parent)
        == ""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("   \n", "empty instruction"),
        ("... !? --", "only stop words"),
        ("And then it is what it is, as they have been.", "only stop words"),
        (ASK.upper(), "copy of the parent"),
        (ASK.replace("a warm house", "the warm house"), "copy of the parent"),
        (
            "Explain it. " + "Consider another aspect of pump number %d and its valve. " * 40 % tuple(range(40)),
            "over-long growth",
        ),
        ("Explain heat. " + "Explain the heat pump in the garden. " * 12, "loop"),
        ("Explain heat.<|im_end|>\n<|im_start|>assistant\nHeat is energy.", "run-on"),
        (
            "Erkläre, wie eine Wärmepumpe die Wärme aus dem kalten Garten in ein warmes Haus bringt und warum das geht.",
            "language drift",
        ),
        ("请解释热泵如何把热量从寒冷的花园搬到温暖的房子里，并说明原因。", "language drift"),
    ],
)
def test_an_instruction_is_dropped_for_its_fault(text, reason):
    assert instruction(text) == reason


def test_a_real_evolution_is_kept():
    assert (
        instruction(
            "Explain how a heat pump moves heat from a frozen garden into a warm house, and estimate its efficiency at -5 °C."
        )
        == ""
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty answer"),
        (" - . - ", "only stop words"),
        ("I am sorry, but I cannot help with heat pumps.", "sorry"),
        ("As an AI language model, I do not have gardens.", "refusal"),
        ("Please provide the model of the heat pump first.", "unanswerable"),
        ("Sure! What kind of house do you have?", "unanswerable"),
        (ASK, "copy of the instruction"),
        ("#Rewritten Prompt#: Explain a heat pump.", "prompt residue"),
        ("It moves heat. " * 30, "loop"),
        ("The pump warms rooms. " + "".join(f"codice_{i} " for i in range(40)), "loop"),  # only a periodic end
        (" ".join(random.Random(1).choices(("hot", "cold"), k=120)), "loop"),  # only few distinct phrases
        (
            "The pump compresses the gas.\n" + "\n".join(f"Step {i}: turn the valve of the pump." for i in range(40)),
            "loop",
        ),
        ("The gas takes up heat outside.\n\nInput: a fridge\nOutput: the same, turned round", "run-on"),
        ("The gas takes up heat outside.\n### Instruction:\nExplain a fridge.", "run-on"),
        ("Here is code:\n```python\ndef pump(heat):\n    return heat", "truncated"),
        (
            "Die Pumpe nimmt die Wärme aus dem Garten auf und gibt sie im Haus mit einer höheren Temperatur wieder ab.",
            "language drift",
        ),
    ],
)
def test_an_answer_is_dropped_for_its_fault(text, reason):
    assert answer(text) == reason


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("What is 6 times 7?", "42"),
        ("Is the earth flat?", "No."),
        ("React with emojis.", "😌😊"),
        ("What is the derivative of x squared?", "2x"),
        ("Which option is right: a, b or c?", "a"),
        ("Write an apology to a guest.", "Dear guest, we are sorry for the noise."),
        ("Write a mail that asks for documents.", "Dear Ann, could you please provide the signed form? Thanks."),
        ("Write a function that doubles.", "Here it is:\n```python\ndef double(x):\n    return 2 * x\n```\nIt doubles x."),
        ("Translate to German: the bread and the water are on the table of the house.", "Das Brot und das Wasser sind auf dem Tisch des Hauses."),
        ("Solve this sudoku.", "\n".join(" ".join(str((i + j) % 9 + 1) for j in range(9)) for i in range(9))),
        ("Write a quiz of two questions on birds with answers.", "Question: Which bird cannot fly?\nAnswer: The ostrich.\nQuestion: Which bird hums?\nAnswer: The hummingbird."),
        ("Say sorry in long form.", "sorry " + "the visit was long and full of small surprises for all of the guests " * 1),
        ("Print a table of squares.", "| n | n squared |\n|---|---|\n" + "\n".join(f"| {i} | {i * i} |" for i in range(20))),
    ],
)  # fmt: skip
def test_a_good_answer_is_left_alone(asked, text):
    assert answer(text, asked) == ""


def test_words_of_the_operator_prompt_are_seen_as_an_echo():
    template = "Make the task harder by asking for one more step of reasoning than before:\n{instruction}"
    parent = Task(instruction="Sort the towns.")
    assert echoes_operator(
        template, parent, Task(instruction="Sort the towns by asking for one more step of reasoning than before.")
    )
    assert not echoes_operator(
        template, parent, Task(instruction="Sort the towns by distance and then by age of the castle.")
    )


def test_a_domain_can_add_rules_and_a_broken_one_is_named():
    def no_towns(parent, child, answer):
        return "about towns" if "town" in child.instruction else None

    def broken(parent, child, answer):
        raise KeyError("x")

    def domain(*rules):
        return Domain(
            name="d", seeds=list, operators=(), verify=lambda t, c, x: Verdict(status="fail"), eliminators=rules
        )

    assert rejection_reason(domain(no_towns), None, Task(instruction="Sort the towns by size."), None) == "about towns"
    with pytest.raises(DomainError, match="eliminator broken failed: KeyError"):
        rejection_reason(domain(broken), None, Task(instruction="Sort the towns by size."), None)


def test_rules_are_named_once_per_subject_and_documented():
    assert len({(r.about, r.name) for r in RULES}) == len(RULES)
    assert all(r.doc for r in RULES)


@given(st.text(max_size=300), st.text(max_size=300))
def test_rules_never_fail_and_depend_on_their_arguments_alone(asked, text):
    child = Task(instruction=asked)
    assert list(core_reasons(None, child, text)) == list(core_reasons(None, child, text))
    assert core_reason(child, Task(instruction=text), None) == core_reason(child, Task(instruction=text), None)


def _responses(name):
    if not DATA:
        pytest.skip("EVOLTUNE_DATA is not set")
    with gzip.open(Path(DATA) / "eliminator_responses" / f"{name}_predictions.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            asked = "\n".join(filter(None, (row["instruction"], row["input"])))
            yield core_reason(None, Task(instruction=asked), row["response"])


def test_runaway_responses_of_a_base_model_are_dropped():
    found = list(_responses("davinci"))
    assert sum(map(bool, found)) >= 0.9 * len(found)


def test_responses_of_a_tuned_model_are_kept():
    found = list(_responses("text-davinci-003"))
    assert sum(not r for r in found) >= 0.97 * len(found)
