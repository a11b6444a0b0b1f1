"""What is printed before a run (`--dry-run`) and at its end."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.recipe import fingerprint
from evoltune.rows.records import seed_records
from evoltune.run.paths import AFTER, BEFORE, CHECKPOINT, DATASET, MANIFEST, REPORT, scores_path
from evoltune.run.run import Run


def plan(work: Run, stages: Sequence[str]) -> list[str]:
    """What the stages would do: their size, and where they write. Changes nothing."""
    recipe = work.recipe
    lines = [f"recipe {recipe.name} ({fingerprint(recipe)}), domain {work.domain.name}, run {work.folder}"]
    if "evolve" in stages:
        seeds = sum(1 for _ in seed_records(recipe, work.domain))
        draws = seeds * recipe.evolve.rounds * recipe.evolve.variants
        calls = draws * (1 + int(recipe.evolve.equal_check) + 1)
        teacher = f"{recipe.teacher.kind} {recipe.teacher.model}"
        lines.append(f"evolve: {seeds} seeds, {draws} draws, at most {calls} calls + evidence to {teacher}")
    if "verify" in stages:
        keep, level = ", ".join(recipe.verify.keep), recipe.verify.sandbox.require
        lines.append(f"verify: keep {keep}; isolation at least {level}")
    if "build" in stages:
        targets = ", ".join(f"{name} ({len(tasks)})" for name, tasks in work.targets.items()) or "nothing"
        lines.append(f"build: decontaminate against {targets}; dataset in {work.dataset}")
    if "train" in stages:
        model = f"{recipe.train.finetuning_type} of {recipe.train.model_name_or_path}"
        lines.append(f"train: {model}, DeepSpeed {recipe.train.deepspeed}, into {work.checkpoint}")
    if "eval" in stages:
        when = " before and after" if recipe.eval.baseline else ""
        lines.append(f"eval: {', '.join(recipe.eval.suites) or 'no suite'}{when}")
    if "report" in stages:
        lines.append(f"report: {work.folder / REPORT}")
    return lines


def outcome(folder: Path) -> dict[str, Any]:
    """Scores before and after, and where the results are. Parts that do not exist are left out."""
    found: dict[str, Any] = {}
    for label in (BEFORE, AFTER):
        path = scores_path(folder, label)
        if path.is_file():
            found[label] = json.loads(path.read_text(encoding="utf-8"))
    for name in (DATASET, CHECKPOINT):
        if (folder / name / MANIFEST).is_file():
            found[name] = str(folder / name)
    if (folder / REPORT).is_file():
        found["report"] = str(folder / REPORT)
    return found


def outcome_lines(folder: Path) -> Iterator[str]:
    """`outcome` as the lines that end a run."""
    for name, value in outcome(folder).items():
        if name in (BEFORE, AFTER):
            yield from (f"{name:6} {line}" for line in _score_lines(value))
        else:
            yield f"{name}: {value}"


def _score_lines(scores: Mapping[str, Any]) -> Iterator[str]:
    for suite, entry in scores.get("suites", {}).items():
        for measure, value in entry.get("measures", {}).items():
            low, high = value["interval"]
            yield f"{suite} {measure}: {value['value']:.1%} (95% {low:.1%} to {high:.1%}, n={entry['n']})"
