"""Judging by a model: every comparison in both orders, ties allowed, journalled and budgeted like a teacher's calls.

    result = judge_study(load_study(path), Path("runs/study"))

Three protocols: `scores` (two scores from 1 to 10, as Vicuna's evaluation), `preference` (A, B or TIE, as LIMA 2305.11206
section 4.1), `ranks` (1 to 5 over all systems at once, as WizardLM 2304.12244 section 4.3).
Invariant: a reply that cannot be read is asked for again with another seed, then counted as unreadable; never guessed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from evoltune.arena.standings import standings
from evoltune.arena.study import Answers, Judgement, Study, collect, pairs, suite_of
from evoltune.errors import EvoltuneError
from evoltune.evaluate.suites import Suite
from evoltune.generate.http import first_of
from evoltune.record import Task
from evoltune.rows.files import write_json
from evoltune.rows.journal import Journal
from evoltune.run.store import Store
from evoltune.teacher.protocol import GivenUpError, Teacher, draw_seed, make_request
from evoltune.teacher.stack import open_teacher
from evoltune.terminal import progress
from evoltune.text.ratings import numbers_in
from evoltune.text.slots import fill_slots

JUDGE_TOKENS = 512


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Systems before the judge in one order: two of them, or all (`ranks`)."""

    problem: str
    shown: tuple[str, ...]


@cache
def template(protocol: str) -> str:
    return (files("evoltune.arena") / "prompts" / f"{protocol}.txt").read_text(encoding="utf-8")


def prompt_of(study: Study, task: Task, shown: Sequence[str], answers: Answers) -> str:
    """The judge's prompt. Filled in one pass, so that braces and slots in answers are text."""
    texts = [answers[name][task.name] for name in shown]
    several = "\n\n".join(f"[Answer {i}]\n{text}" for i, text in enumerate(texts, 1))
    return fill_slots(
        template(study.protocol), instruction=task.instruction, answers=several, a=texts[0], b=texts[-1]
    )


def read_reply(protocol: str, text: str, count: int) -> tuple[float, ...] | None:
    """The values of a reply, higher is better, or None: nonsense, a missing number, a number out of range."""
    if protocol == "preference":
        words = re.findall(r"\b(?:A|B|TIE)\b", _last_line(text).upper().replace("*", " "))
        if len(set(words)) != 1:
            return None
        return {"A": (1.0, 0.0), "B": (0.0, 1.0), "TIE": (0.5, 0.5)}[words[0]]
    low, high = (1.0, 10.0) if protocol == "scores" else (1.0, 5.0)
    for line in text.strip().splitlines()[:3]:
        numbers = numbers_in(line)
        if len(numbers) == count and all(low <= n <= high for n in numbers):
            return tuple(numbers) if protocol == "scores" else tuple(-n for n in numbers)
    return None


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def comparisons(study: Study, suite: Suite) -> Iterator[Comparison]:
    """Each pair on each problem in both orders; `ranks`: all systems forwards and backwards."""
    names = tuple(system.name for system in study.systems)
    groups: Sequence[tuple[str, ...]] = [names] if study.protocol == "ranks" else pairs(study)
    for task in suite.tasks:
        for group in groups:
            yield Comparison(problem=task.name, shown=group)
            yield Comparison(problem=task.name, shown=group[::-1])


def judge_study(study: Study, folder: Path) -> dict[str, Any]:
    """Collects answers, judges every comparison, and writes `judgements.jsonl` and `study.json` below `folder`.

    Raises BudgetError when the judge's budget is used up: what was judged is kept, the same command goes on.
    """
    suite = suite_of(study)
    answers = collect(study, suite, folder)
    with Store.open(folder) as store:
        made = asyncio.run(_judge_all(study, suite, answers, store))
        cost = store.spent()
    path = folder / "judgements.jsonl"
    path.unlink(missing_ok=True)
    with Journal(path) as journal:
        for judgement in made:
            journal.append(asdict(judgement))
    result = standings(study, suite, answers, made) | {
        "cost": cost,
        "suite": suite.name,
        "sha256": suite.sha256,
    }
    write_json(folder / "study.json", result)
    return result


async def _judge_all(study: Study, suite: Suite, answers: Answers, store: Store) -> list[Judgement]:
    tasks = {task.name: task for task in suite.tasks}
    wanted = list(comparisons(study, suite))
    with progress(f"judging {suite.name}", len(wanted)) as advance:
        async with open_teacher(study.judge, store) as teacher:
            one = _Judge(study, tasks, answers, teacher, advance)
            try:
                async with asyncio.TaskGroup() as group:
                    started = [group.create_task(one.judge(comparison)) for comparison in wanted]
            except* EvoltuneError as caught:
                raise first_of(caught) from None
    return [task.result() for task in started]


class _Judge:
    def __init__(
        self,
        study: Study,
        tasks: Mapping[str, Task],
        answers: Answers,
        teacher: Teacher,
        advance: Callable[[int], None],
    ) -> None:
        self.study, self.tasks, self.answers, self.teacher, self.advance = (
            study,
            tasks,
            answers,
            teacher,
            advance,
        )

    async def judge(self, comparison: Comparison) -> Judgement:
        """Up to `study.tries` replies until one can be read."""
        prompt = prompt_of(self.study, self.tasks[comparison.problem], comparison.shown, self.answers)
        text, values, asked = "", None, 0
        while values is None and asked < self.study.tries:
            seed = draw_seed(
                self.study.seed, f"{comparison.problem}/{'/'.join(comparison.shown)}", 0, "judge", asked
            )
            request = make_request(
                self.study.judge, prompt, purpose="judge", seed=seed, max_tokens=JUDGE_TOKENS, record=comparison.problem,
                temperature=0.0 if asked == 0 else self.study.judge.temperature,
            )  # fmt: skip
            asked += 1
            try:
                text = (await self.teacher.complete(request))[0]
            except GivenUpError as error:
                text = f"(no reply: {error.reason})"
                continue
            values = read_reply(self.study.protocol, text, len(comparison.shown))
        self.advance(1)
        return Judgement(
            problem=comparison.problem, shown=comparison.shown, values=values, replies=asked, text=text[:2000]
        )
