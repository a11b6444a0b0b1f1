"""Trains one reward model, on each rank; started by `python -m evoltune.train JOB.json`, as SFT is.

Steps: cross entropy at the end of each labelled step (docs/reward.md). Instructions: Bradley-Terry on pairs. The rows whose
prompt falls into the held-out share are not trained on; the model is measured on them, and the figures stand in the manifest.
"""

import json
import os
import shutil
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import PrinterCallback, set_seed

from evoltune.errors import DataError, TrainingError
from evoltune.models.load import load_tokenizer, precision_of, prepare_tokenizer
from evoltune.models.proof import attach_chat_template
from evoltune.recipe import Train
from evoltune.rows.files import file_digest, write_json
from evoltune.rows.readers import in_full, read_located
from evoltune.run.paths import MANIFEST, SCORER
from evoltune.train.job import Job, Watchdog
from evoltune.train.reward.encode import Prompting, Scored, encode_instruction, encode_solution
from evoltune.train.reward.formats import read_solutions
from evoltune.train.reward.held_out import is_held_out, pair_quality, step_quality
from evoltune.train.reward.model import collate, load_model, logits_at, merged, pair_loss, step_loss
from evoltune.train.reward.steps import ROLLOUTS
from evoltune.train.schedule import batch_layout, number_of_steps
from evoltune.train.sft.batches import StepBatchSampler
from evoltune.train.sft.callbacks import Metrics, TrainingMonitor
from evoltune.train.sft.checkpoint import agreed_step, compare_saved
from evoltune.train.sft.examples import Counts
from evoltune.train.sft.trainer import EvoltuneTrainer, keep_last_step, refuse_stopped, training_arguments

SCORE_BATCH = 32
Row = list[Scored]
"""One solution, or a pair: the chosen instruction and the rejected one."""


class RewardRows(torch.utils.data.Dataset[Row]):  # type: ignore[misc]
    """Rows in memory, with their lengths."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.lengths = [sum(len(document.ids) for document in row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Row:
        return self._rows[index]


def run(job: Job, watchdog: Watchdog) -> None:
    """Trains and saves. Raises an EvoltuneError for anything that the user can fix."""
    train = job.recipe.train
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    layout, precision = batch_layout(train, world), precision_of(train.precision)
    arguments = training_arguments(job, layout, precision)
    set_seed(job.seed)
    prompting = prompting_of(job)
    tokenizer = prompting.tokenizer
    rows, held_out, counts = read_rows(job, prompting)
    dataset, pad = RewardRows(rows), tokenizer.pad_token_id or 0
    arguments.max_steps = steps = number_of_steps(train, len(dataset), layout)
    model = load_model(job.base, job.start, train, precision, len(tokenizer))
    sampler = StepBatchSampler(dataset.lengths, layout, steps, job.seed, rank, train.group_by_length)
    watchdog.beat("model loaded")
    monitor = TrainingMonitor(job, watchdog)
    trainer = EvoltuneTrainer(
        dataset=dataset, sampler=sampler, collate=partial(collate, pad=pad), recipe=train, monitor=monitor, model=model,
        loss=step_loss if job.kind == "steps" else pair_loss, args=arguments,
        callbacks=[Metrics(job, counts, layout, sampler.step_tokens(), precision)],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    resume = agreed_step(job.steps, world, rank) if train.resume_from_checkpoint else None
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    refuse_stopped(monitor, trainer, steps)
    if rank == 0:
        try:
            publish(trainer, prompting, job, counts, held_out)
        except (OSError, TrainingError) as error:
            raise TrainingError(f"{error}; {keep_last_step(trainer, job)}") from error


def prompting_of(job: Job) -> Prompting:
    """How the checkpoint was prompted, with its tokenizer."""
    train = job.recipe.train
    tokenizer = load_tokenizer(job.start or job.base)
    stop, _ = prepare_tokenizer(tokenizer, train.template)
    attach_chat_template(tokenizer, train.template, train.system_prompt)
    return Prompting(
        template=train.template, tokenizer=tokenizer, stop=stop, system=train.system_prompt, at=datetime.now()
    )


def read_rows(job: Job, prompting: Prompting) -> tuple[list[Row], list[Row], Counts]:
    """(rows to train on, held-out rows, counts). Raises DataError where nothing is left."""
    train, counts = job.recipe.train, Counts()
    rows: list[Row] = []
    held_out: list[Row] = []
    share = validation_of(job)
    for where, group, row in _encoded(job, prompting):
        counts.rows += 1
        counts.longest = max(counts.longest, *(len(document.ids) for document in row))
        fitted = [_fitted(document, train, where, counts) for document in row]
        if any(document is None for document in fitted):
            counts.dropped_too_long += 1
            continue
        (held_out if is_held_out(group, share) else rows).append([document for document in fitted if document])
    counts.kept, counts.tokens = len(rows), sum(len(d.ids) for row in rows for d in row)
    counts.label_tokens = sum(value >= 0 for row in rows for d in row for value in d.values)
    if not rows or not counts.label_tokens:
        raise DataError(
            f"{job.rows}: nothing to train on: {counts.rows} rows, {counts.dropped_too_long} longer than train.max_length "
            f"{train.max_length}, {len(held_out)} held out, {counts.label_tokens} labels"
        )
    return rows, held_out, counts


def validation_of(job: Job) -> float:
    reward = job.recipe.reward
    chosen = reward and (reward.steps if job.kind == "steps" else reward.instructions)
    return chosen.validation if chosen else 0.1


def _encoded(job: Job, prompting: Prompting) -> Any:
    """Yields (position in the file, group that must stay on one side of the split, encoded row)."""
    if job.kind == "steps":
        for solution in read_solutions(job.rows):
            values = [label.value for label in solution.labels]
            if solution.steps and any(value is not None for value in values):
                document = encode_solution(prompting, solution.prompt, solution.steps, values, solution.separator)
                yield solution.name, solution.prompt, [document]
        return
    for where, pair in read_located(job.rows):
        where = in_full(job.rows, where)
        texts = pair.get("chosen"), pair.get("rejected")
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise DataError(f"{where}: needs the texts `chosen` and `rejected`")
        group = str(pair.get("group") or texts[0])
        yield where, group, [encode_instruction(prompting, str(text)) for text in texts]


def _fitted(document: Scored, train: Train, where: str, counts: Counts) -> Scored | None:
    if len(document.ids) <= train.max_length:
        return document
    if train.excess_length == "raise":
        raise DataError(
            f"{where}: {len(document.ids)} tokens, longer than train.max_length {train.max_length}: set excess_length: drop "
            "or truncate, or raise max_length"
        )
    cut = document.cut(train.max_length)
    if train.excess_length == "drop" or not cut.places:
        return None
    counts.truncated += 1
    counts.tokens_cut += len(document.ids) - train.max_length
    return cut


def aggregate_of(job: Job) -> str:
    """`last` where most labels are shares of rollouts, which estimate the end of a solution; else `min`."""
    if job.kind != "steps":
        return "min"
    labels = [label for solution in read_solutions(job.rows) for label in solution.labels if label.value is not None]
    soft = sum(label.method == ROLLOUTS and label.value not in (0.0, 1.0) for label in labels)
    rolled = sum(label.method == ROLLOUTS for label in labels)
    return "last" if soft and 2 * rolled > len(labels) else "min"


def publish(trainer: Any, prompting: Prompting, job: Job, counts: Counts, held_out: Sequence[Row]) -> None:
    """Writes the whole model, its tokenizer, `scorer.json` with the prompt, and the manifest last."""
    staging, train = job.folder / ".saving", job.recipe.train
    shutil.rmtree(staging, ignore_errors=True)
    model = merged(trainer.accelerator.unwrap_model(trainer.model)).eval()
    model.config.num_labels = 1
    model.save_pretrained(staging)
    compare_saved(model, staging, 0)
    prompting.tokenizer.save_pretrained(staging)
    pad = prompting.tokenizer.pad_token_id or 0
    logits = logits_at(model, [d for row in held_out for d in row], pad, SCORE_BATCH)
    if job.kind == "steps":
        quality, centre = step_quality([row[0].values for row in held_out], logits), 0.0
    else:
        known = logits or [[0.0]]
        quality, centre = pair_quality(logits), sum(row[0] for row in known) / len(known)
    scorer = {
        "kind": job.kind, "template": train.template, "system_prompt": train.system_prompt, "centre": centre,
        "max_length": train.max_length, "aggregate": aggregate_of(job),
    }  # fmt: skip
    (staging / SCORER).write_text(json.dumps(scorer), encoding="utf-8")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    files = sorted(path.name for path in staging.iterdir() if path.is_file())
    for name in files:
        (staging / name).replace(job.folder / name)
    shutil.rmtree(staging)
    manifest = {
        "fingerprint": job.fingerprint, "content": job.content, "kind": job.kind, "steps": trainer.state.global_step,
        "final_loss": losses[-1] if losses else None, "data": counts.as_dict(), "dataset": job.rows, "start": job.start,
        "held_out": quality, "recipe": msgspec.to_builtins(job.recipe),
        "files": {name: file_digest(Path(job.folder / name)) for name in files},
    }  # fmt: skip
    write_json(job.folder / MANIFEST, manifest)
