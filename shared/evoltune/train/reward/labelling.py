"""Labels for the steps of solutions: by the domain's exact check, by rollouts that the verifier judges, by a judge.

    labels = checked(domain, task, steps)                                        # costs nothing
    async with open_teacher(recipe.teacher, store) as teacher:
        labeller = Labeller(teacher=teacher, config=recipe.teacher, checker=checker, seed=recipe.seed)
        labels = await labeller.rollouts(task, steps)
        labels = consensus(labels, await labeller.judged(task, steps))

A rollout (2312.08935) completes the solution from the end of a step; a step is right when a completion still reaches an answer
that passes. The first error is found by binary search (2406.06592): for 8 steps 3 prefixes of `tries` rollouts each, not 8.
Invariants: every call is one of the teacher's, so it is journalled and budgeted like any other, and seeded by what it asks; a
rollout that the verifier could not judge counts neither way.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from evoltune import recipe as recipes
from evoltune.domain import Domain, author_code
from evoltune.errors import DomainError
from evoltune.record import Answer, Record, Task, digest
from evoltune.teacher.protocol import GivenUpError, Teacher, draw_seed, make_request
from evoltune.text.prompts import fill_slots
from evoltune.train.reward.steps import CHECK, JUDGE, ROLLOUTS, Label, hard_labels, until_first_error
from evoltune.verification.checker import Checker

JUDGE_TOKENS = 1024


def checked(domain: Domain, task: Task, steps: Sequence[str]) -> tuple[Label, ...]:
    """Labels by `Domain.check_steps`. True there is the arithmetic alone: agree it with another method for a hard label.

    Raises DomainError if the domain has no such check, or it does not answer for each step.
    """
    if domain.check_steps is None:
        raise DomainError(f"{domain.name!r} has no check_steps: label steps by rollouts or by a judge")
    with author_code(domain, "check_steps"):
        verdicts = domain.check_steps(task, steps)
    if len(verdicts) != len(steps):
        raise DomainError(f"{domain.name!r}: check_steps returned {len(verdicts)} verdicts for {len(steps)} steps")
    values = (None if verdict is None else float(verdict) for verdict in verdicts)
    return until_first_error([Label(value=v, method=CHECK if v is not None else "") for v in values])


@cache
def _prompt(name: str) -> str:
    return (files("evoltune.train.reward") / "prompts" / f"{name}.txt").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Labeller:
    """Labels steps with a teacher. `tries`: rollouts of a prefix, and replies of a judge until one can be read."""

    teacher: Teacher
    config: recipes.Teacher
    checker: Checker
    seed: int = 0
    tries: int = 8

    async def rollouts(self, task: Task, steps: Sequence[str], separator: str = "\n") -> tuple[Label, ...]:
        """Labels up to the first error: 1 where a completion of the prefix passes, 0 at the first prefix where none does.

        Only prefixes that the search visits have counts; the steps before a live prefix are taken as right, those after the
        first error have no label. A solution whose prefixes could not be judged has none at all.
        """
        known: dict[int, Label] = {}

        async def is_alive(length: int) -> bool | None:
            is_whole = length == len(steps)
            known[length] = label = await self._prefix(task, steps[:length], separator, is_whole=is_whole)
            return None if label.value is None else label.value > 0

        low, high = 0, len(steps) + 1  # prefixes of up to `low` steps are alive; those of `high` or more are not
        while high - low > 1:
            middle = (low + high) // 2
            if (alive := await is_alive(middle)) is None:
                return (Label(method=ROLLOUTS),) * len(steps)
            low, high = (middle, high) if alive else (low, middle)
        first_error = low if low < len(steps) else -1
        labels = hard_labels(len(steps), first_error=first_error, method=ROLLOUTS)
        counts = [known.get(length) for length in range(1, len(steps) + 1)]
        return tuple(
            replace(label, tried=count.tried, passed=count.passed) if count else label
            for label, count in zip(labels, counts, strict=True)
        )

    async def soft(self, task: Task, steps: Sequence[str], separator: str = "\n") -> tuple[Label, ...]:
        """For each step the share of its rollouts that pass: soft labels, `tries` calls a step."""
        ends = range(1, len(steps) + 1)
        prefixes = (self._prefix(task, steps[:end], separator, is_whole=end == len(steps)) for end in ends)
        return tuple(await asyncio.gather(*prefixes))

    async def _prefix(self, task: Task, steps: Sequence[str], separator: str, *, is_whole: bool) -> Label:
        """The share of completions of a prefix that pass. A whole solution is its own completion, and asks nobody."""
        beginning = separator.join(steps)
        texts = [beginning] if is_whole else await self._completions(task, beginning, separator)
        answers = tuple(Answer(text=text, model=self.config.model) for text in texts)
        record = Record(domain=self.checker.domain.name, task=task, answers=answers)
        (judged,) = await asyncio.to_thread(lambda: list(self.checker.verify([record])))
        scores = [answer.verdict.score for answer in judged.answers if answer.verdict]
        known = [score for score in scores if score is not None]
        share = sum(known) / len(known) if known else None
        return Label(value=share, method=ROLLOUTS, tried=len(known), passed=sum(score == 1.0 for score in known))

    async def _completions(self, task: Task, beginning: str, separator: str) -> list[str]:
        """Solutions that begin so; fewer than `tries` where the teacher gave up."""
        prompt = fill_slots(_prompt("continue"), instruction=task.instruction, beginning=beginning)
        name = digest([task.instruction, beginning])

        async def one(sample: int) -> str | None:
            seed = draw_seed(self.seed, name, 0, "rollout", sample)
            request = make_request(self.config, prompt, purpose="rollout", seed=seed, record=task.name)
            try:
                return (await self.teacher.complete(request)).texts[0]
            except GivenUpError:
                return None

        texts = await asyncio.gather(*(one(sample) for sample in range(self.tries)))
        return [f"{beginning}{separator}{text.strip()}" for text in texts if text is not None]

    async def judged(self, task: Task, steps: Sequence[str]) -> tuple[Label, ...]:
        """Labels by a judge that names the first wrong step; without one, after `tries` replies that cannot be read, none."""
        numbered = "\n".join(f"Step {number}: {step}" for number, step in enumerate(steps, 1))
        prompt = fill_slots(_prompt("first_error"), instruction=task.instruction, steps=numbered)
        name = digest([task.instruction, *steps])
        for sample in range(self.tries):
            request = make_request(
                self.config, prompt, purpose="judge", seed=draw_seed(self.seed, name, 0, "step judge", sample),
                max_tokens=JUDGE_TOKENS, record=task.name, temperature=0.0 if sample == 0 else self.config.temperature,
            )  # fmt: skip
            try:
                text = (await self.teacher.complete(request)).texts[0]
            except GivenUpError:
                continue
            if (number := read_first_error(text, len(steps))) is not None:
                labels = hard_labels(len(steps), first_error=number - 1, method=JUDGE)
                return tuple(replace(label, tried=1, passed=int(label.value == 1.0)) for label in labels)
        return (Label(method=JUDGE),) * len(steps)


def read_first_error(text: str, steps: int) -> int | None:
    """The number in a judge's last line: of the first wrong step from 1, or 0 for none. None: no such number."""
    lines = [line for line in text.splitlines() if line.strip()]
    numbers = re.findall(r"\d+", lines[-1]) if lines else []
    found = int(numbers[0]) if len(numbers) == 1 and len(numbers[0]) < 6 else None
    return found if found is not None and found <= steps else None
