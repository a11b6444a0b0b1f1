"""Judging as a part of a run: the answers of its evaluation, before and after training, before the judge of `eval.judge`.

    judge_run(recipe, Path("runs/lima"))      ->  runs/lima/eval/judge/wizardlm/study.json

Invariant: the judge sees the very texts that the evaluation scored; its replies are kept in one store for all suites, so that
a killed run pays for none twice and its budget counts them all.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.arena.dialogues import turn_by_turn
from evoltune.arena.judge import judge_study
from evoltune.arena.standings import report
from evoltune.arena.study import Study, check_systems
from evoltune.errors import DataError
from evoltune.evaluate.suites import ROWS_FILE, Suite, load_suite
from evoltune.generate.completions import finished_samples
from evoltune.recipe import Judge, Recipe, System
from evoltune.rows.files import jsonl_writer, read_json
from evoltune.run.paths import AFTER, BEFORE, EVAL, JUDGED, TRAINED, scores_path


def judge_run(recipe: Recipe, folder: Path) -> list[dict[str, Any]]:
    """Judges each open suite of an evaluated run, and returns the standings, which are written beside the judgements.

    Raises DataError when nothing is there to compare with, and BudgetError as `judge_study` does.
    """
    judge = recipe.eval.judge
    if judge is None:
        return []
    scores = {label: read_json(scores_path(folder, label)) or {} for label in (AFTER, TRAINED, BEFORE)}
    found = []
    for name, suite in _judged_suites(recipe, judge, scores[AFTER]):
        place = folder / EVAL / JUDGED / suite.name
        systems = [*_own_systems(folder, place, suite, scores), *judge.baselines]
        check_systems(systems, "eval.judge.baselines")
        if len(systems) < 2:
            raise DataError(
                f"eval.judge: {name}: only {systems[0].name if systems else 'nothing'} has answers: set eval.baseline: true, or "
                "name eval.judge.baselines"
            )
        study = study_of(recipe, judge, name, systems, repeats=judge.repeats)
        result = judge_study(study, place, journal=folder / EVAL / JUDGED)
        print("\n".join(f"  {line}" for line in report(result)), file=sys.stderr, flush=True)
        found.append(result)
    return found


def _judged_suites(recipe: Recipe, judge: Judge, after: Mapping[str, Any]) -> Iterator[tuple[str, Suite]]:
    """The suites to judge, as (full name, suite): those that the recipe names, otherwise all that no verifier can score."""
    data = Path(recipe.eval.data) if recipe.eval.data else None
    wanted = {name.rpartition("/")[2] for name in judge.suites}
    for name in recipe.eval.suites:
        suite = load_suite(name, data, domain=recipe.domain).first(recipe.eval.limit)
        entry = after.get("suites", {}).get(suite.name, {})
        if suite.name in wanted if wanted else entry.get("statuses", {}).get("unverifiable", 0):
            yield full_name(name, suite), suite


def full_name(name: str, suite: Suite) -> str:
    """The name under which a suite is found without the recipe's domain."""
    own = name if ":" in name else f"{suite.domain}:{name}"
    return own if ROWS_FILE.search(name) else f"{suite.domain}/{suite.name}"


def study_of(
    recipe: Recipe,
    judge: Judge,
    suite: str,
    systems: Sequence[System],
    *,
    repeats: int,
    planted_from: tuple[str, ...] = (),
) -> Study:
    """The study of a recipe's own answers; the first system is compared with each other one."""
    return Study(
        suite=suite, systems=tuple(systems), judge=judge.teacher, protocol=judge.protocol, ours=systems[0].name,
        limit=recipe.eval.limit, seed=recipe.seed, tries=judge.tries, planted=judge.planted, planted_from=planted_from, repeats=repeats, trust=judge.trust,
        data=recipe.eval.data,
    )  # fmt: skip


def _own_systems(folder: Path, place: Path, suite: Suite, scores: Mapping[str, Mapping[str, Any]]) -> list[System]:
    """The run's own models that answered the suite."""
    entries = {label: found.get("suites", {}).get(suite.name) for label, found in scores.items()}
    return [own_system(place, suite, label, folder / EVAL / label, entry) for label, entry in entries.items() if entry]


def own_system(place: Path, suite: Suite, label: str, folder: Path, entry: Mapping[str, Any]) -> System:
    """Writes the answers in an evaluation's folder as a file below `place`, and returns it as a system. Of each turn of each problem
    the first sample is taken. `entry`: the suite's part of `scores.json`."""
    texts = finished_samples(folder / f"{suite.name}.jsonl", entry["settings_key"])
    path = place / "texts" / f"{label}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with jsonl_writer(path) as write:
        for task in turn_by_turn(suite).tasks:
            if (task.name, 0) in texts:
                write({"problem": task.name, "text": texts[task.name, 0]["text"]})
    return System(name=label, answers=str(path))
