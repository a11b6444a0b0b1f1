"""Dialogues before a judge: each turn is a problem of its own, judged by itself, with what was said before as its context.

    suite = turn_by_turn(load_suite("general/mt-bench"))      # mt-bench/81, mt-bench/81#2, mt-bench/82, ...
    texts = judged_texts(suite, {"mt-bench/81": "Dear ...", "mt-bench/81#2": "Hi ..."})

As in MT-Bench (2306.05685), the second answers are compared with the whole dialogue of each system in view, and only they are judged.
Invariant: a text begins with the system's own earlier answers, so each system is judged for following what it said itself.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from evoltune.evaluate.suites import LATER_TURNS, REFERENCES, TURN, Suite, later_turns
from evoltune.generate.completions import turn_name
from evoltune.record import Task

_HEADING = re.compile(r"\[((?:end of the )?(?:request|answer|reference)s?\b[^\[\]\n]{0,80})\]", re.IGNORECASE)


def turn_by_turn(suite: Suite) -> Suite:
    """The suite with a problem for each turn. The request of a later one is the requests up to it; the verifier has nothing to judge
    it by, and the skill and difficulty are those of the dialogue."""
    return replace(suite, tasks=tuple(turn for task in suite.tasks for turn in _turns(task)))


def _turns(task: Task) -> Iterator[Task]:
    yield task
    asked = [task.instruction, *later_turns(task)]
    fields = {name: value for name, value in task.fields.items() if name != LATER_TURNS}
    for number in range(2, len(asked) + 1):
        requests = "\n\n".join(f"[Request {n}]\n{text}" for n, text in enumerate(asked[:number], 1))
        instruction = (
            f"{requests}\n\nOnly the answers to request {number} are to be judged; those before show what they follow."
        )
        yield replace(
            task, name=turn_name(task.name, number), instruction=instruction, reference=None, tests=None, fields={**fields, TURN: number}
        )  # fmt: skip


def turn_of(task: Task) -> int:
    """The number of the turn, 1 for the first."""
    number = task.fields.get(TURN)
    return number if isinstance(number, int) else 1


def reference_of(task: Task) -> str:
    """The right answer to the task's turn that its suite has for a judge; "" where it has none."""
    found, number = task.fields.get(REFERENCES), turn_of(task)
    texts = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return str(texts[number - 1]) if len(texts) >= number else ""


def without_headings(text: str) -> str:
    """The text with the headings of the judge's prompts in other brackets, so that no answer can end itself or speak for another."""
    return _HEADING.sub(r"(\1)", text)


def judged_texts(suite: Suite, answers: Mapping[str, str]) -> dict[str, str]:
    """What the judge reads of one system's answers by problem: a first one as it is, a later one behind those before it."""
    found, before = {}, list[str]()
    for task in suite.tasks:
        number, text = turn_of(task), answers[task.name]
        before = [*before, text] if number > 1 else [text]
        parts = (f"[Answer to request {n}]\n{without_headings(said)}" for n, said in enumerate(before, 1))
        found[task.name] = text if number == 1 else "\n\n".join(parts)
    return found
