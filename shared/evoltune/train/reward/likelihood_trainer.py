"""Makes a process reward model of the checkpoint's own likelihood; started by `python -m evoltune.train JOB.json`, as training is.

The evidence of every labelled solution is computed once and journalled, so that a killed job goes on where it stopped; the weights
are fitted on the rows that are not held out, and measured on those that are. Nothing of the model is trained. One process.
"""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch

from evoltune.errors import DataError, TrainingError
from evoltune.models.load import precision_of, torch_dtype
from evoltune.rows.files import Journal, file_digest, read_journal, write_json
from evoltune.run.paths import EVIDENCE, MANIFEST, SCORER, STOP
from evoltune.train.job import Job, Watchdog
from evoltune.train.reward.encode import UNLABELLED, Prompting
from evoltune.train.reward.evidence import Evidence, Written, fit, logit, write_out
from evoltune.train.reward.formats import read_solutions
from evoltune.train.reward.held_out import is_held_out, sigmoid, step_quality
from evoltune.train.reward.likelihood import by_prompt, load_language_model, step_evidence
from evoltune.train.reward.trainer import SCORE_BATCH, aggregate_of, prompting_of, validation_of
from evoltune.train.sft.checkpoint import compare_saved
from evoltune.train.sft.examples import Counts


def run(job: Job, watchdog: Watchdog) -> None:
    """Fits and saves. Raises an EvoltuneError for anything that the user can fix."""
    train = job.recipe.train
    prompting = prompting_of(job)
    tokenizer = prompting.tokenizer
    names, solutions, counts = read_rows(job, prompting)
    model = load_language_model(job.base, job.start, len(tokenizer)).eval()
    saved = _save(model, tokenizer, job.folder)
    model = model.to(torch_dtype(precision_of(train.precision)))
    if torch.cuda.is_available():
        model = model.to("cuda")
    watchdog.beat("model loaded")
    evidence = journalled(job, model, solutions, watchdog)
    share = validation_of(job)
    held_out = [is_held_out(name, share) for name in names]
    both = [(found, written.values) for found, written in zip(evidence, solutions, strict=True)]
    fitted_on = [pair for pair, is_out in zip(both, held_out, strict=True) if not is_out]
    labels = [value for _, values in fitted_on for value in values if value != UNLABELLED]
    if not any(value < 1 for value in labels) or not any(value > 0 for value in labels):
        raise DataError(
            f"{job.rows}: {len(labels)} labels to fit on, all of them {'right' if labels else 'held out'}: a threshold needs right "
            "and wrong steps: set reward.steps.planted or from_dataset, or give rows"
        )
    weights = fit(fitted_on)
    counts.kept, counts.label_tokens = len(fitted_on), len(labels)
    measured_on = [pair for pair, is_out in zip(both, held_out, strict=True) if is_out]
    _publish(job, saved, weights, fitted_on, measured_on, counts)


def read_rows(job: Job, prompting: Prompting) -> tuple[list[str], list[Written], Counts]:
    """(the prompts, the solutions with a label that fits into `train.max_length`, counts)."""
    counts, limit = Counts(), job.recipe.train.max_length
    prompts, found = [], []
    for solution in read_solutions(job.rows):
        values = [label.value for label in solution.labels]
        if not solution.steps or not any(value is not None for value in values):
            continue
        counts.rows += 1
        written = write_out(prompting, solution.prompt, solution.steps, values, solution.separator, limit)
        labelled = written.values[: len(written.ends)]
        if all(value == UNLABELLED for value in labelled):
            counts.dropped_too_long += 1
            continue
        counts.truncated += len(written.ends) < len(solution.steps)
        counts.tokens += len(written.prompt) + len(written.ids)
        counts.longest = max(counts.longest, len(written.prompt) + len(written.ids))
        prompts.append(solution.prompt)
        found.append(replace(written, values=labelled))
    if not found:
        raise DataError(
            f"{job.rows}: nothing to fit on: {counts.rows} rows with labels, {counts.dropped_too_long} of them longer than "
            f"train.max_length {limit}"
        )
    return prompts, found, counts


def journalled(job: Job, model: Any, solutions: Sequence[Written], watchdog: Watchdog) -> list[list[Evidence]]:
    """The evidence of each solution; what an interrupted job has computed is read. Raises TrainingError when asked to stop."""
    path = job.folder / EVIDENCE
    done = {row["group"]: row["evidence"] for row in read_journal(path) if row.get("fingerprint") == job.fingerprint}
    found: list[list[Evidence]] = [[]] * len(solutions)
    groups = by_prompt(solutions)
    with Journal(path) as journal:
        for number, group in enumerate(groups):
            if number not in done:
                if (job.own / STOP).exists():
                    raise TrainingError(
                        f"stopped after {number} of {len(groups)} prompts: run the same command again to continue"
                    )
                rows = step_evidence(model, [solutions[i] for i in group], SCORE_BATCH)
                journal.append({"fingerprint": job.fingerprint, "group": number, "evidence": rows})
                done[number] = rows
                watchdog.beat(f"prompt {number + 1} of {len(groups)}")
            for i, rows in zip(group, done[number], strict=True):
                found[i] = [tuple(row) for row in rows]
    return found


def _save(model: Any, tokenizer: Any, folder: Path) -> list[str]:
    """The whole model and its tokenizer, each file complete under its name; returns the names."""
    staging = folder / ".saving"
    shutil.rmtree(staging, ignore_errors=True)
    model.save_pretrained(staging)
    compare_saved(model, staging, 0)
    tokenizer.save_pretrained(staging)
    names = [path.name for path in staging.iterdir()]
    for name in names:
        (staging / name).replace(folder / name)
    shutil.rmtree(staging)
    return names


Labelled = tuple[Sequence[Evidence], Sequence[float]]
"""A solution's evidence and labels."""


def _publish(
    job: Job, saved: Sequence[str], weights: Sequence[float], fitted_on: Sequence[Labelled], held_out: Sequence[Labelled],
    counts: Counts,
) -> None:  # fmt: skip
    """Writes `scorer.json` with the prompt and the weights, and the manifest last."""
    train = job.recipe.train
    scorer = {
        "kind": "steps", "method": "likelihood", "template": train.template, "system_prompt": train.system_prompt,
        "weights": list(weights), "max_length": train.max_length, "aggregate": aggregate_of(job),
    }  # fmt: skip
    (job.folder / SCORER).write_text(json.dumps(scorer), encoding="utf-8")
    logits, labels = _logits(held_out, weights)
    manifest = {
        "fingerprint": job.fingerprint, "content": job.content, "kind": job.kind, "method": "likelihood", "steps": 0,
        "final_loss": _loss(*_logits(fitted_on, weights)), "data": counts.as_dict(), "dataset": job.rows, "start": job.start,
        "held_out": step_quality(labels, logits), "recipe": msgspec.to_builtins(job.recipe),
        "files": {name: file_digest(job.folder / name) for name in sorted([*saved, SCORER])},
    }  # fmt: skip
    write_json(job.folder / MANIFEST, manifest)


def _logits(solutions: Sequence[Labelled], weights: Sequence[float]) -> tuple[list[list[float]], list[list[float]]]:
    """(logits, labels) of the steps of each solution."""
    logits = [[logit(row, weights) for row in evidence] for evidence, _ in solutions]
    return logits, [list(values) for _, values in solutions]


def _loss(logits: Sequence[Sequence[float]], labels: Sequence[Sequence[float]]) -> float:
    """Mean cross entropy of the labelled steps."""
    pairs = [
        (sigmoid(found), value)
        for row, values in zip(logits, labels, strict=True)
        for found, value in zip(row, values, strict=True)
        if value != UNLABELLED
    ]
    return sum(-value * _log(score) - (1 - value) * _log(1 - score) for score, value in pairs) / len(pairs)


def _log(value: float) -> float:
    return math.log(max(value, 1e-9))
