"""Ablations of a recipe: train and score it on datasets that differ in one thing, each with several seeds.

    plan = planned(work, read_pool(work), ["quality", "quantity"], size=200, repeats=3)
    results = run_all(work, plan)          # mean over seeds with 95% intervals; a stopped ablation resumes

Everything is written to RUN/ablation/AXIS/VARIANT/SEED; the results and the chart come last.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec

from evoltune.arena.choosing import is_for_judge, points_against, score_candidate
from evoltune.curate.ablations import EVOLUTION, Pool, variants
from evoltune.curate.certificate import build_certificate, methods_of
from evoltune.curate.decontaminate import decontaminate, domain_overlap, overlap_methods, seed_texts
from evoltune.curate.select import LIMA_RULE
from evoltune.dataset.write import write_dataset
from evoltune.errors import DataError, RecipeError
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.results import load_scores, percent, percent_interval, solved_problems
from evoltune.evaluate.score import NOT_JUDGED, is_open
from evoltune.evaluate.statistics import mean, paired
from evoltune.recipe import Recipe
from evoltune.record import Record
from evoltune.report.charts import scores_svg
from evoltune.rows.files import write_file, write_json
from evoltune.rows.records import seed_records
from evoltune.run.paths import (
    ABLATION,
    ABLATION_CHART,
    ABLATION_RESULTS,
    AFTER,
    CHECKPOINT,
    DATASET,
    EVAL,
    JUDGED,
    MANIFEST,
)
from evoltune.run.queries import decisions
from evoltune.run.run import Run
from evoltune.run.store import Step, Store
from evoltune.teacher.reachable import check_reachable
from evoltune.terminal import table
from evoltune.train.launch import train
from evoltune.train.plan import row_lengths


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
    if EVOLUTION in axes and work.recipe.train.max_steps <= 0:
        raise RecipeError(
            f"train.max_steps: the axis {EVOLUTION!r} trains at equal tokens, so it needs a number of steps"
        )
    trainings = [
        Training(axis=axis, variant=variant, seed=seed, rows=rows)
        for axis in axes
        for seed in range(work.recipe.seed, work.recipe.seed + repeats)
        for variant, rows in variants(pool, axis, size or len(pool.kept), seed).items()
    ]
    return distinct(trainings)


def distinct(trainings: Sequence[Training]) -> list[Training]:
    """Without the variants of evolution that have, with every seed, the rows of an earlier one: they would train the same again."""
    rows_of: dict[tuple[str, str], list[Sequence[Record]]] = {}
    for training in trainings:
        rows_of.setdefault((training.axis, training.variant), []).append(training.rows)
    same: dict[tuple[str, str], str] = {}
    for (axis, variant), rows in rows_of.items():
        earlier = next(name for (other, name), found in rows_of.items() if other == axis and found == rows)
        if axis == EVOLUTION and earlier != variant:
            same[axis, variant] = earlier
            print(f"  ablate: {axis}: {variant!r} has the rows of {earlier!r}: left out", file=sys.stderr)
    return [training for training in trainings if (training.axis, training.variant) not in same]


def check_scored(work: Run) -> None:
    """Raises when the judge of open suites cannot be asked, and DataError when nothing could score a single suite."""
    judge = work.recipe.eval.judge
    open_suites = [name for name, suite in work.suites.items() if is_open(suite, work.recipe.verify)]
    if judge and (open_suites or judge.suites):
        check_reachable(judge.teacher, "eval.judge.teacher")
    elif len(open_suites) == len(work.suites):
        raise DataError(
            f"eval.suites: no verifier can judge answers to {', '.join(open_suites)}, so there is nothing to score by: name a judge (eval.judge), "
            "or another suite"
        )


def read_pool(work: Run) -> Pool:
    """The rows that the run kept, and those that its verifier or LIMA's rules rejected, decontaminated as the others were."""
    with Store.read(work.folder) as store:
        keys = store.noted("steps")
        if not keys:
            raise DataError(f"{work.folder}: no finished build there: run `evoltune build` on this recipe first")
        selected = Step.from_keys(keys.values(), work.limit)
        kept = list(store.kept(selected))
        judged = next(step for step in selected.chain() if step.name == "verify")
        ids = [d.record for d in decisions(store, judged) if d.reason]
        rejected = [record for i in ids if (record := store.record(i, judged)).answers]
        ruled_out = [d.record for d in decisions(store, selected) if d.reason.startswith(LIMA_RULE)]
        rejected += [store.record(i, selected) for i in ruled_out]
        verified, roots = list(store.kept(judged)), _roots(store, selected.origin)
    with ExitStack() as stack:
        curate, overlap = work.recipe.curate, None
        if overlap_methods(work.domain, curate) and work.targets and (rejected or verified):
            checker = stack.enter_context(work.checker())
            overlap = domain_overlap(work.domain, curate, work.targets, checker)
        seeds = seed_texts(seed_records(work.recipe, work.domain))
        stage = decontaminate(work.targets, curate, overlap, seeds=seeds)
        rejected, verified = ([r for r in stage(rows) if isinstance(r, Record)] for rows in (rejected, verified))
        return Pool(kept=kept, rejected=rejected, verified=verified, roots=roots)


def _roots(store: Store, evolved: Step) -> dict[str, frozenset[str]]:
    """The seeds that each kept draw comes from."""
    parents = {record.id: record.parents for record in store.kept(evolved) if record.parents}
    found: dict[str, frozenset[str]] = {}

    def roots(record: str) -> frozenset[str]:
        if record not in found:
            found[record] = (
                frozenset().union(*map(roots, parents[record])) if record in parents else frozenset({record})
            )
        return found[record]

    return {record: roots(record) for record in parents}


def run_all(work: Run, trainings: Sequence[Training]) -> list[dict[str, Any]]:
    """Trains and scores everything that is not finished; returns and writes the mean results of each variant."""
    for training in trainings:
        _train_and_score(work, training, _first(trainings, training))
    groups: dict[tuple[str, str], list[Training]] = {}
    for training in trainings:
        groups.setdefault((training.axis, training.variant), []).append(training)
    solved = {t.folder(work.folder): _solved(work, t, _first(trainings, t)) for t in trainings}
    results = [_mean_over_seeds(work, group, _first(trainings, group[0]), solved) for group in groups.values()]
    for entry, group in zip(results, groups.values(), strict=True):
        first_group = next(found for (axis, _), found in groups.items() if axis == entry["axis"])
        if entry["axis"] == EVOLUTION and group is not first_group:
            entry["against"] = {"variant": first_group[0].variant, "suites": _against(work, first_group, group, solved)}
    write_json(work.folder / ABLATION / ABLATION_RESULTS, results)
    write_file(work.folder / ABLATION / ABLATION_CHART, scores_svg(bars(results)))
    return results


def _first(trainings: Sequence[Training], training: Training) -> Training:
    """The first variant of the same axis and seed, with which the others are compared."""
    return next(t for t in trainings if (t.axis, t.seed) == (training.axis, training.seed))


def bars(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the chart."""
    return [
        {
            "label": f"{entry['variant']} ({entry['rows']})", "suite": f"{entry['axis']}: {judged_by(suite, m)}", "measure": "mean",
            "value": m["value"], "low": m["interval"][0], "high": m["interval"][1],
        }
        for entry in results
        for suite, m in entry["suites"].items()
    ]  # fmt: skip


def _train_and_score(work: Run, training: Training, first: Training) -> None:
    """`first`: the variant of the same axis and seed whose tokens the others are trained on, where tokens are to be equal."""
    out, rows, suites = training.folder(work.folder), training.rows, work.suites
    replace = msgspec.structs.replace
    recipe = replace(work.recipe, train=replace(work.recipe.train, seed=training.seed, dataset=None))
    methods = methods_of(recipe.curate, work.domain.overlap)
    proof = build_certificate(suites, methods, rows={"in": len(rows), "kept": len(rows)}, hits=[])
    no_validation = replace(recipe, curate=replace(recipe.curate, validation=0.0))
    counts = {"variant": {"in": len(rows), "kept": len(rows)}}
    write_dataset(rows, out / DATASET, no_validation, proof, counts)
    if training.axis == EVOLUTION:
        steps = _equal_steps(recipe, out / DATASET, first.folder(work.folder) / DATASET)
        recipe = replace(recipe, train=replace(recipe.train, max_steps=steps))
    train(recipe, out / DATASET, out / CHECKPOINT, suites=suites, score=partial(score_candidate, work.folder))
    evaluate(recipe, str(out / CHECKPOINT), out / EVAL / AFTER, baseline=False)


def _equal_steps(recipe: Recipe, dataset: Path, first: Path) -> int:
    """The steps in which a dataset gives as many tokens as the first does in `train.max_steps`."""
    if recipe.train.max_steps <= 0:
        raise RecipeError(
            f"train.max_steps: the axis {EVOLUTION!r} trains at equal tokens, so it needs a number of steps"
        )
    mean_of_first, own = (fmean(row_lengths(place, recipe.train.template)) for place in (first, dataset))
    return max(1, round(recipe.train.max_steps * mean_of_first / own))


def _tokens_trained(work: Run, training: Training) -> int:
    """The tokens of all steps of a finished training."""
    manifest = json.loads((training.folder(work.folder) / CHECKPOINT / MANIFEST).read_text(encoding="utf-8"))
    train, data = work.recipe.train, manifest["data"]
    batch = train.global_batch_size or train.per_device_train_batch_size * train.gradient_accumulation_steps
    rows: int = manifest["steps"] * batch
    tokens_a_row = float(data["tokens"]) / float(data["kept"])
    return round(rows * tokens_a_row)


Solved = Mapping[Path, Mapping[str, Mapping[str, float]]]
"""folder of a training -> suite -> problem -> pass@1, or points before the judge"""


def _solved(work: Run, training: Training, first: Training) -> dict[str, dict[str, float]]:
    """suite -> problem -> pass@1; of a suite that the judge compares, the points against the first variant's answers. A suite that
    nothing judged is left out."""
    after, reference = (found.folder(work.folder) / EVAL / AFTER for found in (training, first))
    entries, found = load_scores(after)["suites"], {}
    for name, suite in work.suites.items():
        entry = entries[suite.name]
        if is_for_judge(work.recipe, suite.name, entry):
            found[suite.name] = points_against(work.recipe, name, after, reference, work.folder / EVAL / JUDGED)
        elif entry["measures"]:
            found[suite.name] = solved_problems(after, suite.name, entry)
    return found


def _against(work: Run, first: Sequence[Training], others: Sequence[Training], solved: Solved) -> dict[str, Any]:
    """The paired comparison with the first variant, suite by suite: of the means over seeds, and of each seed by itself."""
    found: dict[str, Any] = {}
    pairs = [(solved[a.folder(work.folder)], solved[b.folder(work.folder)]) for a, b in zip(first, others, strict=True)]
    for suite in pairs[0][0]:
        problems = sorted(set.intersection(*(set(one[suite]) for pair in pairs for one in pair)))
        a, b = ([fmean(pair[i][suite][p] for pair in pairs) for p in problems] for i in (0, 1))
        if not problems:
            continue
        each = [fmean(pair[1][suite][p] - pair[0][suite][p] for p in problems) for pair in pairs]
        found[suite] = {**asdict(paired(a, b, work.recipe.seed)), "each_seed": each}
    return found


def _mean_over_seeds(work: Run, trainings: Sequence[Training], reference: Training, solved: Solved) -> dict[str, Any]:
    """The mean of each suite over seeds and problems, with the bootstrap interval over problems."""
    found: dict[str, dict[str, list[float]]] = {}
    for training in trainings:
        for suite, problems in solved[training.folder(work.folder)].items():
            for problem, value in problems.items():
                found.setdefault(suite, {}).setdefault(problem, []).append(value)
    suites = {
        suite: asdict(mean([sum(v) / len(v) for _, v in sorted(problems.items())], work.recipe.seed))
        for suite, problems in found.items()
    }
    entries = load_scores(trainings[0].folder(work.folder) / EVAL / AFTER)["suites"]
    for suite, measure in suites.items():
        if is_for_judge(work.recipe, suite, entries[suite]):
            measure["won_against"] = reference.variant
    first, seeds = trainings[0], len(trainings)
    rows = round(fmean(len(training.rows) for training in trainings))
    tokens = round(fmean(_tokens_trained(work, training) for training in trainings))
    return {
        "axis": first.axis, "variant": first.variant, "rows": rows, "seeds": seeds, "tokens": tokens, "suites": suites,
        "not_judged": [suite for suite in entries if suite not in suites],
    }  # fmt: skip


def report(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table with one line per variant and suite."""
    head = [
        "axis",
        "variant",
        "rows",
        "seeds",
        "tokens",
        "suite",
        "score",
        "95% interval",
        "against the first",
        "each seed",
    ]
    body = [
        [
            *(entry[key] for key in head[:5]),
            judged_by(suite, m),
            percent(m["value"]),
            percent_interval(m["interval"]),
            *_gain(entry, suite),
        ]
        for entry in results
        for suite, m in entry["suites"].items()
    ]
    yield from table(head, body)
    for suite in dict.fromkeys(suite for entry in results for suite in entry.get("not_judged", ())):
        yield f"{suite}: not judged: {NOT_JUDGED}"


def judged_by(suite: str, measure: Mapping[str, Any]) -> str:
    """The suite, and what its score is where the judge gave it."""
    return f"{suite}, won against {measure['won_against']}" if "won_against" in measure else suite


def _gain(entry: dict[str, Any], suite: str) -> tuple[str, str]:
    """The paired difference to the axis's first variant, with its interval over problems; and that of each seed."""
    if suite not in entry.get("against", {}).get("suites", {}):
        return "", ""
    found = entry["against"]["suites"][suite]
    low, high = found["interval"]
    each = ", ".join(f"{difference:+.1%}" for difference in found["each_seed"])
    return f"{found['difference']:+.1%} ({low:+.1%} to {high:+.1%})", each
