"""The loop: the weakest prompt is rewritten, and the new one taken only where it is better than noise explains.

    history = optimise(bench, operators, seeds, recipe.evolve.optimise)

Each step shows the optimiser's model trajectories of a first quarter of the seeds, screens its candidates on that quarter, and judges the
best of them on the other three by an exact paired test. The level is shared among all steps, so a whole run in which nothing is to
be gained takes a false step at most once in a hundred. Invariant: a step depends on the recipe, the seeds and the replies alone; a
killed run walks the same steps again, and the journal answers.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoltune.domain import Operator
from evoltune.evaluate.statistics import PairedResult, mcnemar, paired
from evoltune.evolve.optimise.candidates import SLOT, ask
from evoltune.evolve.optimise.trial import Bench, Trial, is_less_diverse, try_out
from evoltune.recipe import Optimise
from evoltune.record import Record
from evoltune.teacher.event_loop import run_to_end

LEVEL = 0.01
"""The probability that a run takes any false step."""
PATIENCE = 2
"""Steps without success after which a prompt is left as it is."""
DEARER = 1.25
"""A prompt may cost at most this many times the tokens of the old one for each unit of score."""
KINDS = ("depth", "breadth", "down")


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One step: what was tried on one prompt, and what came of it."""

    step: int
    operator: str
    before: str
    candidates: tuple[dict[str, Any], ...]
    """Each candidate's prompt and its score on the first quarter, or why it was not tried."""
    prompt: str = ""
    """The best of them, where it was judged."""
    result: PairedResult | None = None
    is_taken: bool = False
    verdict: str = ""


@dataclass(frozen=True, kw_only=True)
class History:
    """A whole optimisation."""

    seeds: int
    first: dict[str, Trial]
    last: dict[str, Trial]
    attempts: tuple[Attempt, ...]

    @property
    def prompts(self) -> dict[str, str]:
        """The prompts that were taken in place of others, by operator."""
        changed = {name: trial.operator.template for name, trial in self.last.items()}
        return {name: text for name, text in changed.items() if text != self.first[name].operator.template}


def optimisable(operators: Sequence[Operator]) -> list[Operator]:
    """The operators whose prompt makes a child of one task by itself: no functions, fusions or turns of a dialogue. Of
    several versions of one name, the first."""
    found = [o for o in operators if o.rewrite is None and o.kind in KINDS and SLOT in o.template]
    return list({o.name: o for o in reversed(found)}.values())[::-1]


def optimise(bench: Bench, operators: Sequence[Operator], seeds: Sequence[Record], settings: Optimise) -> History:
    """Improves the prompts of the operators on these seeds. Raises TeacherError and BudgetError; everything finished is kept."""
    quarter = len(seeds) // 4
    screen, judge = seeds[:quarter], seeds[quarter:]
    screened = {o.name: try_out(bench, o, screen) for o in operators}
    judged = {o.name: try_out(bench, o, judge) for o in operators}
    first = {name: screened[name] + judged[name] for name in screened}
    failures = dict.fromkeys(screened, 0)
    attempts: list[Attempt] = []
    for step in range(1, settings.steps + 1):
        name = min(failures, key=lambda name: (failures[name], (screened[name] + judged[name]).score, name))
        if failures[name] >= PATIENCE:
            break
        attempt, trials = _step(bench, settings, step, (screened[name], judged[name]), (screen, judge))
        attempts.append(attempt)
        _say(attempt)
        if trials is None:
            failures[name] += 1
        else:
            screened[name], judged[name] = trials
            failures[name] = 0
    last = {name: screened[name] + judged[name] for name in screened}
    return History(seeds=len(seeds), first=first, last=last, attempts=tuple(attempts))


def _step(
    bench: Bench,
    settings: Optimise,
    step: int,
    old: tuple[Trial, Trial],
    parts: tuple[Sequence[Record], Sequence[Record]],
) -> tuple[Attempt, tuple[Trial, Trial] | None]:
    """One step on one operator; with the trials of the new prompt where it was taken."""
    operator = old[0].operator
    read: list[tuple[str, str]] = []

    async def asked() -> None:
        texts = (seed.task.instruction for part in parts for seed in part)
        read.extend(await ask(bench, settings, old[0], step, texts))

    run_to_end(asked())
    tried = {
        prompt: try_out(bench, replace(operator, template=f"{prompt}\n"), parts[0])
        for prompt, problem in read
        if not problem
    }
    candidates = tuple({"prompt": p, "score": tried[p].score} if not why else {"problem": why} for p, why in read)
    attempt = Attempt(step=step, operator=operator.name, before=operator.template, candidates=candidates)
    best = max(tried.values(), key=lambda trial: trial.score, default=None)
    if best is None:
        return replace(attempt, verdict="no candidate could be tried"), None
    if best.score <= old[0].score:
        return replace(attempt, verdict=f"no candidate was better on the first {len(parts[0])} seeds"), None
    trial = try_out(bench, best.operator, parts[1])
    result = paired(old[1].scores(parts[1]), trial.scores(parts[1]), bench.recipe.seed)
    verdict = _doubt(bench, old[1], trial, result, LEVEL / settings.steps)
    attempt = replace(
        attempt, prompt=best.operator.template, result=result, is_taken=not verdict, verdict=verdict or "taken"
    )
    return attempt, None if verdict else (best, trial)


def _doubt(bench: Bench, old: Trial, new: Trial, result: PairedResult, level: float) -> str:
    """Why a prompt is not taken, or ""."""
    p = mcnemar(result.only_a, result.only_b)  # exact: chance is as likely to favour either, seed by seed
    if result.difference <= 0 or result.only_b <= result.only_a or p >= level:
        return f"within the noise (p = {p:.2g}, {level:.2g} is needed)"
    if is_less_diverse(old, new, bench.recipe.curate.embeddings):
        return "its children are more alike"
    if old.score and new.tokens / new.score > DEARER * old.tokens / old.score:
        return "dearer for each usable child"
    return ""


def _say(attempt: Attempt) -> None:
    gain = f": {attempt.result.a:.2f} -> {attempt.result.b:.2f}" if attempt.result else ""
    print(f"  step {attempt.step}: {attempt.operator}{gain}, {attempt.verdict}", file=sys.stderr, flush=True)
