"""`evoltune ablate RECIPE`: trains and scores one recipe with diversity, quality, quantity, task mix and round mix varied.

    evoltune ablate smoke/math --out runs/smoke-math --axes quality,quantity --size 200 --repeats 3

Needs the run of the recipe up to `build`. Everything goes to RUN/ablation/AXIS/VARIANT/SEED; a stopped ablation goes on
where it was. Prints a table with 95% intervals (bootstrap over problems) and writes ablation.json and ablation.svg.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from evoltune import pipeline
from evoltune.cli import options
from evoltune.curate.certificate import build_certificate, methods_of
from evoltune.curate.decontaminate.stage import decontaminate, domain_overlap, overlap_methods
from evoltune.curate.select.ablations import AXES, Pool, variants
from evoltune.dataset.write import write_dataset
from evoltune.errors import DataError, nearest
from evoltune.recipe import Recipe
from evoltune.record import Record
from evoltune.report.svg import scores_svg
from evoltune.rows.files import write_file, write_json
from evoltune.rows.storage import is_address
from evoltune.run.store import Step, Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    parser.add_argument("--axes", default=",".join(AXES), help=f"default: {','.join(AXES)}")
    parser.add_argument(
        "--size", type=int, default=0, metavar="ROWS", help="rows per variant (default: all that fit)"
    )
    parser.add_argument("--repeats", type=int, default=1, help="seeds per variant (default: 1)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained and stop")
    options.add_json(parser)


def run(args: argparse.Namespace) -> int:
    axes = [axis for axis in args.axes.split(",") if axis]
    for axis in axes:
        if axis not in AXES:
            raise DataError(f"--axes: unknown axis {axis!r}: {nearest(axis, AXES)}")
    if args.repeats < 1 or args.size < 0:
        raise DataError(f"--repeats {args.repeats} --size {args.size}: repeats from 1, size from 0 (0: all)")
    if args.out and is_address(args.out):
        raise DataError(f"--out {args.out}: ablate works in a folder: `evoltune publish` takes it elsewhere")
    recipe, folder = options.recipe_of(args)
    if not recipe.eval.suites:
        raise DataError("ablate: the recipe names no eval.suites: there is nothing to score by")
    work = pipeline.Run(recipe=recipe, folder=folder)
    pool = read_pool(work)
    size = args.size or len(pool.kept)
    jobs = [
        (axis, label, seed, rows)
        for axis in axes
        for seed in range(recipe.seed, recipe.seed + args.repeats)
        for label, rows in variants(pool, axis, size, seed).items()
    ]
    print(f"ablate: {len(jobs)} trainings over {', '.join(axes)} into {folder / 'ablation'}", file=sys.stderr)
    if args.dry_run:
        plan = [
            {"axis": a, "variant": label, "seed": seed, "rows": len(rows)} for a, label, seed, rows in jobs
        ]
        options.say(args, plan, ("{axis}: {variant}, seed {seed}: {rows} rows".format(**job) for job in plan))
        return 0
    for axis, label, seed, rows in jobs:
        train_and_score(work, place(folder, axis, label, seed), rows, seed)
    results = [
        summed(folder, axis, label, recipe, [j for j in jobs if j[:2] == (axis, label)])
        for axis, label in _pairs(jobs)
    ]
    write_results(folder / "ablation", results)
    options.say(args, results, lines(results))
    return 0


Job = tuple[str, str, int, list[Record]]


def _pairs(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((axis, label) for axis, label, _, _ in jobs))


def place(folder: Path, axis: str, label: str, seed: int) -> Path:
    return folder / "ablation" / axis / re.sub(r"\W+", "-", label) / str(seed)


def read_pool(work: pipeline.Run) -> Pool:
    """The run's kept rows, and those that its verifier refused, checked against the suites like the others."""
    with Store.read(work.folder) as store:
        keys = store.noted("steps")
        if not keys:
            raise DataError(
                f"{work.folder}: no finished build there: run `evoltune build` on this recipe first"
            )
        kept = list(store.kept(_step(keys["select"], _step(keys["verify"], None))))
        judged = _step(keys["verify"], _step(keys["evolve"], None))
        ids = [
            i
            for (i,) in store.sql(
                "SELECT record FROM decisions WHERE step=? AND reason<>'' ORDER BY record", judged.key
            )
        ]
        refused = [record for i in ids if (record := store.record(i, judged)).answers]
    with ExitStack() as stack:
        curate, overlap = work.recipe.curate, None
        if overlap_methods(work.domain, curate) and work.targets and refused:
            checker = stack.enter_context(work.checker())
            overlap = domain_overlap(work.domain, curate, work.targets, checker)
        checked = decontaminate(work.targets, curate, overlap)(refused)
        return Pool(kept=kept, rejected=[r for r in checked if isinstance(r, Record)])


def _step(key: str, before: Step | None) -> Step:
    name, _, rest = key.partition("@")
    version, _, upto = rest.partition("#")
    return Step(name=name, version=version, before=before, upto=int(upto or 0))


def train_and_score(work: pipeline.Run, out: Path, rows: Sequence[Record], seed: int) -> None:
    """One variant: dataset, training, scores, all under `out`. What is finished is not done again."""
    from evoltune.evaluate.measure import evaluate
    from evoltune.train.launch import train

    recipe = msgspec.structs.replace(
        work.recipe, train=msgspec.structs.replace(work.recipe.train, seed=seed, dataset=None)
    )
    proof = build_certificate(
        work.suites,
        methods_of(recipe.curate, work.domain.overlap),
        rows={"in": len(rows), "kept": len(rows)},
        hits=[],
    )
    whole = msgspec.structs.replace(recipe, curate=msgspec.structs.replace(recipe.curate, validation=0.0))
    write_dataset(rows, out / "dataset", whole, proof, {"variant": {"in": len(rows), "kept": len(rows)}})
    train(
        recipe, out / "dataset", out / "checkpoint", suites=work.suites,
        score=partial(evaluate, baseline=False, allow_uncertified=True),
    )  # fmt: skip
    evaluate(recipe, str(out / "checkpoint"), out / "eval" / "after", baseline=False)


def summed(folder: Path, axis: str, label: str, recipe: Recipe, jobs: Sequence[Job]) -> dict[str, Any]:
    """Mean over seeds and problems for each suite, with the bootstrap interval over problems."""
    from evoltune.evaluate.compare import solved
    from evoltune.evaluate.statistics import mean

    found: dict[str, dict[str, list[float]]] = {}
    for _, _, seed, _ in jobs:
        after = place(folder, axis, label, seed) / "eval" / "after"
        scores = json.loads((after / "scores.json").read_text(encoding="utf-8"))
        for suite, entry in scores["suites"].items():
            for problem, value in solved(after, suite, entry).items():
                found.setdefault(suite, {}).setdefault(problem, []).append(value)
    suites = {
        suite: asdict(mean([sum(values) / len(values) for _, values in sorted(by.items())], recipe.seed))
        for suite, by in found.items()
    }
    return {"axis": axis, "variant": label, "rows": len(jobs[0][3]), "seeds": len(jobs), "suites": suites}


def write_results(folder: Path, results: Sequence[dict[str, Any]]) -> None:
    bars = [
        {
            "label": f"{entry['variant']} ({entry['rows']})", "suite": f"{entry['axis']}: {suite}", "measure": "mean",
            "value": m["value"], "low": m["interval"][0], "high": m["interval"][1],
        }
        for entry in results
        for suite, m in entry["suites"].items()
    ]  # fmt: skip
    write_json(folder / "ablation.json", results)
    write_file(folder / "ablation.svg", scores_svg(bars))


def lines(results: Sequence[dict[str, Any]]) -> list[str]:
    head = f"{'axis':10} {'variant':24} {'rows':>6} {'seeds':>5}  suite                 score  95% interval"
    out = [head]
    for entry in results:
        for suite, m in entry["suites"].items():
            low, high = m["interval"]
            out.append(
                f"{entry['axis']:10} {entry['variant']:24} {entry['rows']:6} {entry['seeds']:5}  {suite:20} "
                f"{m['value']:6.1%}  {low:.1%} to {high:.1%}"
            )
    return out
