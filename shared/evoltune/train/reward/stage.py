"""The stage `reward`: labels what the run's checkpoint writes, pairs its instructions, trains the recipe's reward models.

train_rewards(Run(recipe=recipe, folder=folder))

Beside each model stands the file of its rows (`reward-steps.jsonl`). Samples are journalled like those of an evaluation, so a
killed stage goes on where it stopped; a finished model of the same rows and settings is left as it is.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from itertools import islice
from pathlib import Path
from typing import Any

from evoltune.dataset.rl_prompts import as_record, prompts_of_run
from evoltune.domain import Domain
from evoltune.errors import DataError, RecipeError
from evoltune.recipe import StepReward
from evoltune.record import Answer, Record, Task, digest
from evoltune.rows.files import jsonl_writer
from evoltune.run.paths import REWARD_INSTRUCTIONS, REWARD_STEPS
from evoltune.run.run import Run
from evoltune.run.store import Store
from evoltune.teacher.judgements import Judgements
from evoltune.teacher.stack import open_teacher
from evoltune.train.reward.formats import write_solutions
from evoltune.train.reward.labelling import checked
from evoltune.train.reward.launch import replace_train, settings_of, train_reward_model
from evoltune.train.reward.pairs import pairs_of
from evoltune.train.reward.planting import plant
from evoltune.train.reward.siblings import judged_pairs
from evoltune.train.reward.steps import HALF, Label, Solution, hard_labels, split_steps
from evoltune.train.samples import Sampling, sample_answers

VERDICT = "verdict"


def check_rewards(work: Run) -> None:
    """Raises RecipeError for a `reward:` section that cannot be trained."""
    reward = work.recipe.reward
    if reward is None or not (reward.steps or reward.instructions):
        raise RecipeError("reward: names no model: add steps or instructions")
    if reward.fail_share >= 1:
        raise RecipeError(f"reward.fail_share: {reward.fail_share:g}: below 1, so that a fail stays below a pass")
    if reward.steps:
        replace_train(work.recipe, reward.steps, None)
    if reward.instructions:
        replace_train(work.recipe, reward.instructions, None)
    if reward.steps and not reward.steps.rows and reward.steps.labels == "check" and work.domain.check_steps is None:
        raise RecipeError(
            f"reward.steps.labels: check: domain {work.domain.name!r} has no check of steps: use verdict, or give rows"
        )
    if reward.steps and not reward.steps.rows and reward.steps.planted and work.domain.check_steps is None:
        raise RecipeError(
            f"reward.steps.planted: {reward.steps.planted}: domain {work.domain.name!r} has no check of steps that finds planted "
            "errors: use 0, or give rows"
        )


def train_rewards(work: Run) -> None:
    """Trains what `reward:` names, on top of the run's checkpoint."""
    check_rewards(work)
    reward = work.recipe.reward
    assert reward is not None
    if reward.steps:
        rows = Path(reward.steps.rows) if reward.steps.rows else label_samples(work, reward.steps)
        train_reward_model(work.recipe, "steps", rows=rows, out=work.folder / REWARD_STEPS, start=work.checkpoint)
    if reward.instructions:
        rows = Path(reward.instructions.rows) if reward.instructions.rows else pair_instructions(work)
        out = work.folder / REWARD_INSTRUCTIONS
        train_reward_model(work.recipe, "instructions", rows=rows, out=out, start=work.checkpoint)


def pair_instructions(work: Run) -> Path:
    """Writes the pairs of the run's verified records; returns the file."""
    settings = settings_of(work.recipe, "instructions")
    target = work.folder / f"{REWARD_INSTRUCTIONS}.jsonl"
    if not work.has_store:
        raise DataError(f"{work.folder}: no store to pair instructions from: give reward.instructions.rows")
    kinds = getattr(settings, "pairs", ())
    with Store.read(work.folder) as store:
        records = list(islice(store.kept(work.verify_step), settings.limit or None))
    rows = list(pairs_of(records, work.domain, kinds, work.recipe.seed))
    if "judged" in kinds:
        rows += asyncio.run(_judged(work, records))
    with jsonl_writer(target) as write:
        for row in rows:
            write(row)
    told = ", ".join(f"{count} {method}" for method, count in sorted(Counter(row["method"] for row in rows).items()))
    print(f"  reward: {len(rows)} pairs of instructions in {target} ({told or 'none'})", file=sys.stderr)
    return target


async def _judged(work: Run, records: Sequence[Record]) -> list[dict[str, Any]]:
    """Siblings compared by the recipe's teacher; its replies are journalled and within its budget."""
    settings = work.recipe.teacher
    with Store.open(work.folder) as store:
        async with open_teacher(settings, store) as judge:
            return await judged_pairs(records, Judgements(judge, settings, store), settings, work.recipe.seed)


def label_samples(work: Run, settings: StepReward) -> Path:
    """Samples solutions of the run's tasks from its checkpoint, labels their steps, writes them; returns the file."""
    left_out: list[str] = []
    prompts = list(islice(prompts_of_run(work, left_out), settings.limit or None))
    if not prompts:
        raise DataError(
            f"reward.steps: none of the training rows in {work.dataset} has a reference or tests, so that no sample can be judged "
            "and no step labelled: give reward.steps.rows, or seeds with references"
        )
    sampling = Sampling(
        n=settings.samples, temperature=settings.temperature, max_new_tokens=work.recipe.eval.max_new_tokens or 512
    )
    samples = sample_answers(work, prompts, sampling, work.folder / f"{REWARD_STEPS}.samples.jsonl")
    texts = [[sample.text for sample in found] for found in samples]
    records = [as_record(work.domain, prompt, found) for prompt, found in zip(prompts, texts, strict=True)]
    target = work.folder / f"{REWARD_STEPS}.jsonl"
    with work.checker() as checker:
        solutions = [
            labelled(work.domain, record, answer, use_check=settings.labels == "check")
            for record in checker.verify(records)
            for answer in record.answers
        ]
    if settings.from_dataset:
        solutions += dataset_solutions(work, {prompt.id for prompt in prompts})
    if settings.planted:
        solutions += planted_twins(work.domain, solutions, settings.planted, work.recipe.seed)
    count = write_solutions(target, (solution for solution in solutions if solution.steps))
    wrong = sum((solution.first_error or 0) >= 0 and solution.first_error is not None for solution in solutions)
    print(
        f"  reward: {count} solutions with labelled steps in {target}, {wrong} of them with an error", file=sys.stderr
    )
    return target


def dataset_solutions(work: Run, ids: Set[str]) -> list[Solution]:
    """The verified answers of these records of the run's dataset, each step labelled right by the verdict on its end."""
    found = []
    with Store.read(work.folder) as store:
        for record in store.kept(work.verify_step):
            passed = [a for a in record.answers if a.verdict and a.verdict.score == 1] if record.id in ids else []
            found += [labelled(work.domain, record, answer, use_check=False) for answer in passed[:1]]
    return found


def planted_twins(domain: Domain, solutions: Sequence[Solution], each: int, seed: int) -> list[Solution]:
    """Up to `each` wrong twins of every right solution."""
    twins: list[Solution] = []
    for solution in solutions:
        if solution.first_error != -1 or not solution.steps:
            continue
        rng = random.Random(digest([seed, solution.prompt, solution.text]))
        task = Task(instruction=solution.prompt, reference=solution.extra.get("reference"))
        made = (plant(domain, task, solution, rng) for _ in range(each))
        twins += {twin.text: twin for twin in made if twin}.values()
    return twins


def labelled(domain: Domain, record: Record, answer: Answer, *, use_check: bool) -> Solution:
    """The steps of an answer, labelled by its verdict and by the domain's exact check. See `by_verdict`."""
    steps, separator = split_steps(answer.text)
    score = answer.verdict.score if answer.verdict else None
    exact = checked(domain, record.task, steps) if use_check and steps else (Label(),) * len(steps)
    return Solution(
        prompt=record.task.instruction, steps=steps, labels=by_verdict(exact, score), separator=separator,
        name=record.task.name, extra={"reference": record.task.reference} if record.task.reference else {},
    )  # fmt: skip


def by_verdict(exact: Sequence[Label], score: float | None) -> tuple[Label, ...]:
    """Labels of an answer's steps from an exact check of each and the verdict on its end.

    A wrong equation is the first error, whatever the end; else a pass makes every step right, and a fail the last step wrong: the
    error is in what an exact check cannot see, and where is not known. Without a verdict only the wrong equation is kept.
    """
    wrong = next((i for i, label in enumerate(exact) if label.value is not None and label.value < HALF), None)
    if wrong is not None:
        return hard_labels(len(exact), first_error=wrong, method=exact[wrong].method)
    if score is None:
        return (Label(),) * len(exact)
    if score >= 1:
        return hard_labels(len(exact), first_error=-1, method=VERDICT)
    return tuple(_unknown_but_last(len(exact)))


def _unknown_but_last(count: int) -> Iterator[Label]:
    yield from (Label() for _ in range(count - 1))
    if count:
        yield Label(value=0.0, method=VERDICT)
