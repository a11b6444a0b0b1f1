"""A trial: one child of each development seed by one prompt, evolved and verified as a run would, and what each is worth.

    trial = try_out(bench, operator, seeds)
    mean(trial.scores(ids))                     # verified and harder children for each attempt, 0 to 1

The draws of two prompts for one seed have the same seeds, so trials are compared seed by seed. Everything goes through an evolve
and a verify step of the store: a call is never paid twice, a killed trial resumes, and both ledgers balance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from evoltune.curate.quality import pass_rate
from evoltune.domain import Domain, Operator, source_hash
from evoltune.evolve.diversity import FALL, diversity_by_round
from evoltune.evolve.loop import evolve
from evoltune.evolve.yields import operator_yield
from evoltune.recipe import Recipe, Seeds
from evoltune.record import Record, digest
from evoltune.run.apply import apply_stage
from evoltune.run.queries import decisions, draws
from evoltune.run.store import Step, Store
from evoltune.teacher.protocol import Teacher
from evoltune.text.ratings import median_rating
from evoltune.verification.checker import Checker, limits_of, verify_stage


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all trials share."""

    recipe: Recipe
    domain: Domain
    store: Store
    checker: Checker
    """With `confirm`, as the verify stage has it."""
    teacher: Teacher | None = None
    """Instead of the recipe's."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one attempt."""

    seed: str
    parent: str
    child: str
    reason: str
    """Why it was dropped, by the rule's or the verifier's name; "" for a verified child."""
    lift: float | None
    """By how much it is harder than its seed, -1 to 1; None where that was not measured."""
    score: float
    """0 for a dropped child; else 1 where difficulty was not measured, and what `worth` says where it was."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """The outcomes of one prompt, by seed."""

    operator: Operator
    outcomes: Mapping[str, Outcome]
    tokens: int

    def scores(self, seeds: Sequence[Record]) -> list[float]:
        return [self.outcomes[seed.id].score for seed in seeds]

    @property
    def score(self) -> float:
        return sum(outcome.score for outcome in self.outcomes.values()) / max(1, len(self.outcomes))

    @property
    def lift(self) -> float | None:
        """The mean lift of verified children."""
        lifts = [o.lift for o in self.outcomes.values() if o.lift is not None]
        return sum(lifts) / len(lifts) if lifts else None

    def __add__(self, other: "Trial") -> "Trial":
        """The same prompt on further seeds."""
        return replace(self, outcomes={**self.outcomes, **other.outcomes}, tokens=self.tokens + other.tokens)


def try_out(bench: Bench, operator: Operator, seeds: Sequence[Record]) -> Trial:
    """One child of each seed by one operator. Raises TeacherError and BudgetError; everything finished is kept."""
    recipe = _alone(bench.recipe, operator, len(seeds))
    domain = replace(bench.domain, operators=(operator,), seeds=lambda: seeds)
    step = evolve(recipe, domain, bench.store, teacher=bench.teacher)
    version = digest([step.version, source_hash(domain), limits_of(recipe.verify), recipe.verify.keep])
    judged = Step(name="verify", version=version, before=step, upto=1)
    apply_stage(bench.store, judged, verify_stage(bench.checker, recipe.verify.keep))
    reasons = {decision.record: decision.reason for decision in decisions(bench.store, judged)}
    parents = {seed.id: bench.store.record(seed.id, judged) if seed.id in reasons else seed for seed in seeds}
    outcomes = {}
    for draw in draws(bench.store, step):
        if draw.parent is not None:
            is_kept = not draw.reason
            child = bench.store.record(draw.record, judged if is_kept else step)
            reason = reasons[draw.record] if is_kept else draw.reason
            outcomes[draw.parent] = _outcome(operator, parents[draw.parent], child, reason)
    tokens = sum(row.tokens for row in operator_yield(bench.store, step))
    return Trial(operator=operator, outcomes=outcomes, tokens=tokens)


def _alone(recipe: Recipe, operator: Operator, seeds: int) -> Recipe:
    """The recipe for one round of one operator. Difficulty is rated where nothing measures it: else easy children would win."""
    changes = {
        "rounds": 1, "variants": 1, "chains": 0, "sample": 0, "stop_on": None, "fuse_after": 0, "prompts": None,
        "operators": {operator.name: 1.0}, "optimise": None, "difficulty": recipe.evolve.pass_rate is None,
    }  # fmt: skip
    return msgspec.structs.replace(
        recipe, evolve=msgspec.structs.replace(recipe.evolve, **changes), seeds=Seeds(limit=seeds)
    )


def _outcome(operator: Operator, parent: Record, child: Record, reason: str) -> Outcome:
    lift = None if reason else lift_of(parent, child)
    if lift is not None and operator.kind == "down":
        lift = -lift
    score = 0.0 if reason else 1.0 if lift is None else worth(lift)
    texts = parent.task.instruction, child.task.instruction
    return Outcome(seed=parent.id, parent=texts[0], child=texts[1], reason=reason, lift=lift, score=score)


def worth(lift: float) -> float:
    """What a verified child is worth by its lift: half, and half of the lift; nothing from a quarter of the scale downwards, or a prompt
    for trivial tasks, which always verify, would be worth more than one for hard tasks, which do so now and then."""
    return 0.5 + lift / 2 if lift >= 0 else max(0.0, 0.5 + 2 * lift)


def lift_of(parent: Record, child: Record) -> float | None:
    """By how much a child is harder, -1 to 1: the fall of the measured pass rate, else the rise of the teacher's rating; both by the
    same measure, else None."""
    rates = pass_rate(parent), pass_rate(child)
    if rates[0] is not None and rates[1] is not None:
        return rates[0] - rates[1]
    ratings = [median_rating(record.evidence.get("difficulty", ())) for record in (parent, child)]
    return (ratings[1] - ratings[0]) / 9 if ratings[0] is not None and ratings[1] is not None else None


def is_less_diverse(old: Trial, new: Trial, model: str) -> bool:
    """Whether the verified children of a new prompt are markedly more alike than those of the old; False where either has too few."""
    rows = [
        (outcome.seed, round, outcome.child)
        for round, trial in enumerate((old, new))
        for outcome in trial.outcomes.values()
        if not outcome.reason
    ]
    found = {row["round"]: row["effective"] for row in diversity_by_round(rows, model)}
    return len(found) == 2 and found[1] < FALL * found[0]
