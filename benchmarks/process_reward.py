"""How well a process reward model finds planted errors, and whether its votes beat the majority: after the quickstart, on two cores.

    make quickstart && python benchmarks/process_reward.py               # half an hour
    python benchmarks/process_reward.py --steps 0 --problems 100         # ten minutes: the likelihood alone

The checkpoint's own likelihood (`reward.steps.method: likelihood`) is fitted on solutions of the evolved seeds and wrong twins of
them; a head is trained on some thousand more of them. Both are tested on held-out problems, which share no template and no
equation with the seeds: as many right solutions (half of them the checkpoint's own, passed by the verifier) as solutions with a
planted error. Printed: ProcessBench's F1 of each model alone, of the domain's exact check alone, and of both, as the reward uses
them; then majority vote, votes weighted by the model, and best-of-N over the checkpoint's own samples. `--steps 0` trains no head.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from evoltune.domain import Domain, load_domain
from evoltune.evaluate.suites import Suite, load_suite
from evoltune.generate.completions import finished_samples, generate
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model
from evoltune.models.proof import read_template
from evoltune.pipeline import run
from evoltune.recipe import load_recipe
from evoltune.record import Answer, Record, Task
from evoltune.run.run import Run
from evoltune.train.reward.formats import write_solutions
from evoltune.train.reward.labelling import checked
from evoltune.train.reward.launch import train_reward_model
from evoltune.train.reward.metrics import Sampled, compare_votes, predicted_error, process_bench
from evoltune.train.reward.planting import plant
from evoltune.train.reward.product import solution_score
from evoltune.train.reward.scorer import Scorer
from evoltune.train.reward.stage import dataset_solutions, planted_twins
from evoltune.train.reward.steps import HALF, Solution, hard_labels, split_steps
from evoltune.verification.checker import open_checker

SEED, N = 7, 8
CHOSEN = 300
"""Right solutions of the seeds, and as many wrong ones, on which the threshold is chosen."""
EVOLUTION = ("evolve.chains=3000", "evolve.rounds=2", "evolve.variants=6", "evolve.operators.renumber=8")
"""4,000 distinct right solutions: numbers teach arithmetic, so `renumber` is drawn most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/quickstart"), help="a finished quickstart")
    parser.add_argument("--out", type=Path, default=Path("runs/process-reward"))
    parser.add_argument(
        "--train", default="learning_rate: 5e-4, max_steps: 500, per_device_train_batch_size: 16, warmup_steps: 20"
    )
    parser.add_argument("--steps", type=int, help="fewer steps of training; 0: no head")
    parser.add_argument("--tests", type=int, default=500, help="right solutions, and as many wrong ones")
    parser.add_argument("--problems", type=int, default=282, help=f"held-out problems of which {N} answers are sampled")
    args = parser.parse_args()
    settings = args.train + (f", max_steps: {args.steps}" if args.steps else "")
    domain, checkpoint = load_domain("math"), args.run / "checkpoint"
    is_trained = args.steps != 0
    suite = load_suite("gradeschool-heldout", None, domain="math")
    judged = own_answers(suite, checkpoint, args.out / "samples.jsonl", args.problems)
    tests = planted_tests(domain, suite, judged, args.tests)
    truth = [-1 if test.first_error is None else test.first_error for test in tests]
    exact = [exact_check(domain, test) for test in tests]
    report("exact check alone", exact, truth)
    right, twins = labelled_solutions(domain, args.out / "few", [])
    write_solutions(rows := args.out / "few.jsonl", [*right[:CHOSEN], *twins[:CHOSEN]])
    with by_likelihood(rows, checkpoint, args.out / "likelihood") as scorer:
        report_all("likelihood", scorer, domain, tests, exact, truth, judged)
    if not is_trained:
        return
    settings = args.train + (f", max_steps: {args.steps}" if args.steps else "")
    recipe = load_recipe("smoke/math", [f"reward.steps={{validation: 0.03, train: {{{settings}}}}}"])
    right, twins = labelled_solutions(domain, args.out, EVOLUTION)
    write_solutions(rows := args.out / "rows.jsonl", [*right, *twins])
    train_reward_model(recipe, "steps", rows=rows, start=checkpoint, out=args.out / "model")
    with Scorer(args.out / "model") as scorer:
        report_all("head", scorer, domain, tests, exact, truth, judged)


def labelled_solutions(domain: Domain, folder: Path, evolution: Sequence[str]) -> tuple[list[Solution], list[Solution]]:
    """(right solutions of the evolved seeds, a wrong twin of each)."""
    recipe = load_recipe("smoke/math", evolution)
    work = Run(recipe=recipe, folder=folder)
    run(recipe, folder, ("evolve", "verify", "build"))
    ids = {json.loads(line)["id"] for line in (work.dataset / "alpaca" / "train.jsonl").read_text().splitlines()}
    right = dataset_solutions(work, ids)
    random.Random(SEED).shuffle(right)
    return right, planted_twins(domain, right, 1, SEED)


def report_all(
    name: str, scorer: Scorer, domain: Domain, tests: Sequence[Solution], exact: Sequence[Sequence[float]],
    truth: Sequence[int], judged: Sequence[Record],
) -> None:  # fmt: skip
    """F1 of the model with and without the exact check, and its votes."""
    scores = scorer.solutions([t.prompt for t in tests], [t.text for t in tests])
    report(f"{name} alone", scores, truth)
    report(f"{name} and check", [list(map(min, a, b)) for a, b in zip(scores, exact, strict=True)], truth)
    report_votes(name, domain, judged, scorer)


def by_likelihood(rows: Path, checkpoint: Path, out: Path) -> Scorer:
    """The checkpoint's own likelihood as a step reward, its threshold fitted on labelled solutions of the seeds."""
    recipe = load_recipe("smoke/math", ["reward.steps={method: likelihood, validation: 0.1}"])
    train_reward_model(recipe, "steps", rows=rows, start=checkpoint, out=out)
    return Scorer(out)


def own_answers(suite: Suite, checkpoint: Path, file: Path, limit: int) -> list[Record]:
    """N judged answers of the checkpoint to each problem."""
    source, template = find_model(str(checkpoint)), read_template(checkpoint)
    assert template is not None
    settings = GenerationSettings(
        model=str(checkpoint),
        weights=source.fingerprint,
        template=template.template,
        n=N,
        temperature=0.8,
        max_new_tokens=96,
        seed=SEED,
    )
    tasks = suite.tasks[:limit]
    wanted = [
        SampleRequest(suite=suite.name, problem=t.name, sample=i, prompt=t.instruction) for t in tasks for i in range(N)
    ]
    generate(wanted, settings, source, file, batch_size=144)
    done = finished_samples(file, settings.key)
    records = [
        Record(
            domain="math", task=t, answers=tuple(Answer(text=done[t.name, i]["text"], model="own") for i in range(N))
        )
        for t in tasks
    ]
    with open_checker("math", workers=2) as checker:
        return list(checker.verify(records))


def planted_tests(domain: Domain, suite: Suite, judged: Sequence[Record], count: int) -> list[Solution]:
    """Right solutions, half of them own ones where there are so many, and solutions with one planted error."""
    rng = random.Random(SEED)
    own = [solution_of(r.task, a.text) for r in judged for a in r.answers if a.verdict and a.verdict.status == "pass"]
    own = [s for s in own if s.steps and 0.0 not in exact_check(domain, s)]
    worked = (files("evoltune_math") / "seeds" / "gradeschool_heldout.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {row["name"]: row["answer"] for row in map(json.loads, worked)}
    written = [solution_of(task, answers[task.name]) for task in suite.tasks]
    rng.shuffle(own)
    own = own[: count // 2]
    print(f"{len(own)} of {count} right solutions are the checkpoint's own")
    right = own + [written[i % len(written)] for i in range(count - len(own))]
    return right + list(_twins(domain, written, count, rng))


def _twins(domain: Domain, written: Sequence[Solution], count: int, rng: random.Random) -> Iterator[Solution]:
    made = 0
    while made < count:
        for solution in rng.sample(written, len(written)):
            twin = plant(domain, Task(instruction=solution.prompt), solution, rng)
            if twin and made < count:
                made += 1
                yield twin


def solution_of(task: Task, text: str) -> Solution:
    steps, separator = split_steps(text)
    return Solution(
        prompt=task.instruction,
        steps=steps,
        separator=separator,
        labels=hard_labels(len(steps), first_error=-1, method="test"),
    )


def exact_check(domain: Domain, solution: Solution) -> list[float]:
    """0 where the domain's check finds the first wrong equation, 1 elsewhere."""
    labels = checked(domain, Task(instruction=solution.prompt), solution.steps)
    return [0.0 if label.value is not None and label.value < HALF else 1.0 for label in labels]


def report(name: str, scores: Sequence[Sequence[float]], truth: Sequence[int]) -> None:
    bench = process_bench([predicted_error(steps) for steps in scores], truth)
    parts = ", ".join(f"{kind} {bench[kind].value:.1%}" for kind in ("wrong", "right"))
    print(f"{name}: F1 {bench['f1']:.3f} ({parts}; {len(truth)} solutions)", flush=True)


def report_votes(model: str, domain: Domain, judged: Sequence[Record], scorer: Scorer) -> None:
    prompts = [record.task.instruction for record in judged for _ in record.answers]
    scored = iter(scorer.solutions(prompts, [a.text for record in judged for a in record.answers]))
    groups: dict[str, list[list[Sampled]]] = defaultdict(list)
    for record in judged:
        found = [
            (answer, next(scored), exact_check(domain, solution_of(record.task, answer.text)))
            for answer in record.answers
        ]
        for name, is_checked in ((f"{model} alone", False), (f"{model} and check", True)):
            groups[name].append(
                [
                    Sampled(
                        answer=str(answer.verdict.evidence.get("extracted") or "") if answer.verdict else "",
                        passed=bool(answer.verdict and answer.verdict.status == "pass"),
                        score=solution_score([min(p) for p in zip(steps, exact, strict=True)] if is_checked else steps),
                    )
                    for answer, steps, exact in found
                ]
            )
    for name, votes in groups.items():
        result = compare_votes(votes)
        values = ", ".join(f"{key} {value.value:.1%}" for key, value in result.items() if hasattr(value, "value"))
        print(f"{name}, N = {N}, {len(votes)} problems: {values}; {result['gain'].sentence}")


if __name__ == "__main__":
    sys.exit(main())
