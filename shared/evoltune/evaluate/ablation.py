"""Ablations of a recipe: train and score it on datasets that differ in one thing, each with several seeds.

    plan = planned(work, read_pool(work), ["quality", "quantity"], size=200, repeats=3)
    results = run_all(work, plan)          # mean over seeds with 95% intervals; a stopped ablation resumes

Everything is written to RUN/ablation/AXIS/VARIANT/SEED; `ablation.json` and `ablation.svg` come last.
"""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from evoltune.curate.ablations import Pool, variants
from evoltune.curate.certificate import build_certificate, methods_of
from evoltune.curate.decontaminate import decontaminate, domain_overlap, overlap_methods, seed_texts
from evoltune.dataset.write import write_dataset
from evoltune.errors import DataError
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.results import percent, percent_interval, solved_problems
from evoltune.evaluate.statistics import mean
from evoltune.record import Record
from evoltune.report.charts import scores_svg
from evoltune.rows.files import write_file, write_json
from evoltune.rows.records import seed_records
from evoltune.run.paths import ABLATION, AFTER, CHECKPOINT, DATASET, EVAL, SCORES
from evoltune.run.queries import decisions
from evoltune.run.run import Run
from evoltune.run.store import Step, Store
from evoltune.terminal import table
from evoltune.train.launch import train


@dataclass(frozen=True, kw_only=True)
class Training:
    """One dataset variant, trained with one seed."""

    axis: str
    variant: str
    seed: int
    rows: Sequence[Record]

    def folder(self, run: Path) -> Path:
        return run / ABLATION / self.axis / re.sub(r"\W+", "-", self.variant) / str(self.seed)


def planned(work: Run, pool: Pool, axes: Sequence[str], size: int, repeats: int) -> list[Training]:
    """All trainings of an ablation.

    `size`: rows per variant; 0: as many as the dataset has. `repeats`: seeds per variant, counted up from the recipe's.
    """
    return [
        Training(axis=axis, variant=variant, seed=seed, rows=rows)
        for axis in axes
        for seed in range(work.recipe.seed, work.recipe.seed + repeats)
        for variant, rows in variants(pool, axis, size or len(pool.kept), seed).items()
    ]


def read_pool(work: Run) -> Pool:
    """The rows that the run kept, and those that its verifier rejected, decontaminated as the others were."""
    with Store.read(work.folder) as store:
        keys = store.noted("steps")
        if not keys:
            raise DataError(f"{work.folder}: no finished build there: run `evoltune build` on this recipe first")
        selected = Step.from_keys(keys.values(), work.limit)
        kept = list(store.kept(selected))
        judged = next(step for step in selected.chain() if step.name == "verify")
        ids = [d.record for d in decisions(store, judged) if d.reason]
        rejected = [record for i in ids if (record := store.record(i, judged)).answers]
    with ExitStack() as stack:
        curate, overlap = work.recipe.curate, None
        if overlap_methods(work.domain, curate) and work.targets and rejected:
            checker = stack.enter_context(work.checker())
            overlap = domain_overlap(work.domain, curate, work.targets, checker)
        seeds = seed_texts(seed_records(work.recipe, work.domain))
        checked = decontaminate(work.targets, curate, overlap, seeds=seeds)(rejected)
        return Pool(kept=kept, rejected=[r for r in checked if isinstance(r, Record)])


def run_all(work: Run, trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """Trains and scores everything that is not finished; returns and writes the mean results of each variant."""
    for training in trainings:
        _train_and_score(work, training)
    names = dict.fromkeys((t.axis, t.variant) for t in trainings)
    results = [_mean_over_seeds(work, [t for t in trainings if (t.axis, t.variant) == name]) for name in names]
    bars = [
        {
            "label": f"{entry['variant']} ({entry['rows']})", "suite": f"{entry['axis']}: {suite}", "measure": "mean",
            "value": m["value"], "low": m["interval"][0], "high": m["interval"][1],
        }
        for entry in results
        for suite, m in entry["suites"].items()
    ]  # fmt: skip
    write_json(work.folder / ABLATION / "ablation.json", results)
    write_file(work.folder / ABLATION / "ablation.svg", scores_svg(bars))
    return results


def _train_and_score(work: Run, training: Training) -> None:
    out, rows, suites = training.folder(work.folder), training.rows, work.suites
    replace = msgspec.structs.replace
    recipe = replace(work.recipe, train=replace(work.recipe.train, seed=training.seed, dataset=None))
    methods = methods_of(recipe.curate, work.domain.overlap)
    proof = build_certificate(suites, methods, rows={"in": len(rows), "kept": len(rows)}, hits=[])
    no_validation = replace(recipe, curate=replace(recipe.curate, validation=0.0))
    counts = {"variant": {"in": len(rows), "kept": len(rows)}}
    write_dataset(rows, out / DATASET, no_validation, proof, counts)
    score = partial(evaluate, baseline=False, allow_uncertified=True)
    train(recipe, out / DATASET, out / CHECKPOINT, suites=suites, score=score)
    evaluate(recipe, str(out / CHECKPOINT), out / EVAL / AFTER, baseline=False)


def _mean_over_seeds(work: Run, trainings: Sequence[Training]) -> dict[str, Any]:
    """The mean of each suite over seeds and problems, with the bootstrap interval over problems."""
    found: dict[str, dict[str, list[float]]] = {}
    for training in trainings:
        after = training.folder(work.folder) / EVAL / AFTER
        scores = json.loads((after / SCORES).read_text(encoding="utf-8"))
        for suite, entry in scores["suites"].items():
            for problem, value in solved_problems(after, suite, entry).items():
                found.setdefault(suite, {}).setdefault(problem, []).append(value)
    suites = {
        suite: asdict(mean([sum(v) / len(v) for _, v in sorted(problems.items())], work.recipe.seed))
        for suite, problems in found.items()
    }
    first = trainings[0]
    seeds = len(trainings)
    return {"axis": first.axis, "variant": first.variant, "rows": len(first.rows), "seeds": seeds, "suites": suites}


def report(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table with one line per variant and suite."""
    head = ["axis", "variant", "rows", "seeds", "suite", "score", "95% interval"]
    body = [
        [*(entry[key] for key in head[:4]), suite, percent(m["value"]), percent_interval(m["interval"])]
        for entry in results
        for suite, m in entry["suites"].items()
    ]
    return table(head, body)
