"""Compare systems with a model as judge: every pair in both orders, ties allowed, calls journalled and budgeted.

    result = judge_study(load_study(path), Path("runs/study"))

Protocols: `scores`, two scores from 1 to 10 as in Vicuna's evaluation; `preference`, A, B or TIE as in LIMA (2305.11206,
section 4.1); `ranks`, 1 to 5 over all systems at once as in WizardLM (2304.12244, section 4.3).
Invariant: a reply that cannot be read is asked for again with another seed, then counted as unreadable; never guessed.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from evoltune.arena.standings import standings
from evoltune.arena.study import Answers, Judgement, Study, collect_answers, pairs, suite_of
from evoltune.errors import EvoltuneError
from evoltune.evaluate.suites import Suite
from evoltune.generate.http import first_of
from evoltune.record import Task
from evoltune.rows.files import jsonl_writer, write_json
from evoltune.run.store import Store
from evoltune.teacher.protocol import GivenUpError, Teacher, draw_seed, make_request
from evoltune.teacher.stack import open_teacher
from evoltune.terminal import progress
from evoltune.text.prompts import fill_slots
from evoltune.text.ratings import numbers_in

JUDGE_TOKENS = 512
_PREFERENCES = {"A": (1.0, 0.0), "B": (0.0, 1.0), "TIE": (0.5, 0.5)}


Comparison = tuple[Task, tuple[str, ...]]
"""(problem, systems in the order in which the judge sees them: two, or all with `ranks`)"""


@cache
def _template(protocol: str) -> str:
    return (files("evoltune.arena") / "prompts" / f"{protocol}.txt").read_text(encoding="utf-8")


def judge_prompt(study: Study, task: Task, shown: Sequence[str], answers: Answers) -> str:
    """The prompt for one comparison; braces in answers stay text."""
    texts = [answers[name][task.name] for name in shown]
    numbered = "\n\n".join(f"[Answer {i}]\n{text}" for i, text in enumerate(texts, 1))
    template = _template(study.protocol)
    return fill_slots(template, instruction=task.instruction, answers=numbered, a=texts[0], b=texts[-1])


def read_reply(protocol: str, text: str, count: int) -> tuple[float, ...] | None:
    """The values of a reply, higher is better; None for nonsense and for a number that is missing or out of range."""
    lines = [line for line in text.splitlines() if line.strip()]
    if protocol == "preference":
        last = lines[-1].upper().replace("*", " ") if lines else ""
        words = set(re.findall(r"\b(?:A|B|TIE)\b", last))
        return _PREFERENCES[words.pop()] if len(words) == 1 else None
    low, high = (1, 10) if protocol == "scores" else (1, 5)
    for line in text.strip().splitlines()[:3]:
        numbers = numbers_in(line)
        if len(numbers) == count and all(low <= n <= high for n in numbers):
            return tuple(numbers) if protocol == "scores" else tuple(-n for n in numbers)
    return None


def comparisons(study: Study, suite: Suite) -> Iterator[Comparison]:
    """Each pair on each problem in both orders; with `ranks`, all systems forwards and backwards."""
    names = tuple(system.name for system in study.systems)
    groups: Sequence[tuple[str, ...]] = [names] if study.protocol == "ranks" else pairs(study)
    for task in suite.tasks:
        for group in groups:
            yield task, group
            yield task, group[::-1]


def judge_study(study: Study, folder: Path) -> dict[str, Any]:
    """Collects answers, judges every comparison, and writes `judgements.jsonl` and `study.json` below `folder`.

    Raises BudgetError when the judge's budget is used up; judgements are kept, and the same command resumes.
    """
    suite = suite_of(study)
    answers = collect_answers(study, suite, folder)
    with Store.open(folder) as store:
        judgements = asyncio.run(_judge_all(study, suite, answers, store))
        cost = store.spent()
    with jsonl_writer(folder / "judgements.jsonl") as write:
        for judgement in judgements:
            write(asdict(judgement))
    facts = {"cost": cost, "suite": suite.name, "sha256": suite.sha256}
    result = standings(study, suite, answers, judgements) | facts
    write_json(folder / "study.json", result)
    return result


async def _judge_all(study: Study, suite: Suite, answers: Answers, store: Store) -> list[Judgement]:
    wanted = list(comparisons(study, suite))
    with progress(f"judging {suite.name}", len(wanted)) as advance:
        async with open_teacher(study.judge, store) as judge:

            async def one(task: Task, shown: Sequence[str]) -> Judgement:
                judgement = await _judge(study, judge, task, shown, answers)
                advance(1)
                return judgement

            try:
                async with asyncio.TaskGroup() as group:
                    started = [group.create_task(one(*comparison)) for comparison in wanted]
            except* EvoltuneError as caught:
                raise first_of(caught) from None
    return [task.result() for task in started]


async def _judge(study: Study, judge: Teacher, task: Task, shown: Sequence[str], answers: Answers) -> Judgement:
    """Asks up to `study.tries` times until a reply can be read; from the second try on with the judge's temperature."""
    prompt, name = judge_prompt(study, task, shown, answers), "/".join((task.name, *shown))
    text, values, replies = "", None, 0
    while values is None and replies < study.tries:
        request = make_request(
            study.judge, prompt, purpose="judge", seed=draw_seed(study.seed, name, 0, "judge", replies),
            max_tokens=JUDGE_TOKENS, record=task.name,
            temperature=0.0 if replies == 0 else study.judge.temperature,
        )  # fmt: skip
        try:
            text = (await judge.complete(request)).texts[0]
            values = read_reply(study.protocol, text, len(shown))
        except GivenUpError as error:
            text = f"(no reply: {error.reason})"
        replies += 1
    return Judgement(problem=task.name, shown=tuple(shown), values=values, replies=replies, text=text[:2000])
