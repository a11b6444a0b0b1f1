"""Checkpoints: which one to resume from, and the final one, whole or not at all; its manifest stands last.

Intermediate ones (`steps/checkpoint-N`, with optimizer state) are the Trainer's; each is marked when all ranks have written.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from torch import distributed

from evoltune.errors import EvoltuneError, TrainingError
from evoltune.models.proof import FILE as TEMPLATE
from evoltune.models.template import Stop
from evoltune.rows.files import file_digest, write_json
from evoltune.train.card import write_card
from evoltune.train.job import CERTIFICATE, MANIFEST, Job
from evoltune.train.sft.data import Counts
from evoltune.train.sft.saved import damage, mark, verify_weights


def latest_step(folder: Path) -> Path | None:
    """The newest checkpoint whose files are as they were written; a damaged one is named and passed over."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]), reverse=True)
    for path in found:
        wrong = damage(path)
        if not wrong:
            return path
        print(f"  train: {path} is not used: {wrong}", file=sys.stderr)
    return None


def writers(step: Path) -> int:
    """How many ranks wrote a checkpoint under DeepSpeed, which cuts optimizer states up by rank; 0: not DeepSpeed's."""
    return len(list(step.glob("global_step*[0-9]/*_optim_states.pt")))


def for_any_world(step: Path) -> None:
    """Rewrites DeepSpeed's states as a universal checkpoint beside them, which any number of ranks can read.

    What is there already is kept. Raises TrainingError with the converter's last words.
    """
    source = next(step.glob("global_step*[0-9]"))
    target = source.with_name(f"{source.name}_universal")
    if (step / "latest_universal").is_file():
        return
    shutil.rmtree(target, ignore_errors=True)
    command = [
        sys.executable, "-m", "deepspeed.checkpoint.ds_to_universal", "--input_folder", str(source),
        "--output_folder", str(target), "--num_extract_workers", "1", "--num_merge_workers", "1", "--inject_missing_state",
    ]  # fmt: skip
    alone = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    done = subprocess.run(command, capture_output=True, text=True, env=alone)
    if done.returncode:
        last = " ".join((done.stderr or done.stdout).split())[-300:]
        raise TrainingError(
            f"{step} was written by {writers(step)} ranks, and DeepSpeed could not convert it for another number ({last}): "
            f"continue with {writers(step)} ranks, or start anew with train.resume_from_checkpoint=false"
        )


def agreed_step(folder: Path, world: int, rank: int) -> Path | None:
    """`latest_step` of rank 0, on every rank."""
    chosen = [str(latest_step(folder) or "") if rank == 0 else ""]
    if world > 1:
        distributed.broadcast_object_list(chosen, src=0)
    if not chosen[0]:
        return None
    step = Path(chosen[0])
    if writers(step) not in (0, world):
        _together(world, step, lambda: for_any_world(step) if rank == 0 else None)
    return step


def mark_step(folder: Path, step: int, world: int, rank: int) -> None:
    """Called by all ranks after the Trainer saved `checkpoint-STEP`."""
    if world > 1:
        distributed.barrier()
    if rank == 0:
        mark(folder / f"checkpoint-{step}")


def save_final(
    tuner: Any, tokenizer: Any, stop: Stop, job: Job, counts: Counts, proof: dict[str, Any]
) -> None:
    """Weights or adapter, tokenizer, generation_config.json, template.json, card into `job.out`, manifest last.

    Everything is written aside, read back and compared first. Raises TrainingError on all ranks alike.
    """
    staging = job.folder / ".saving"
    rank = tuner.args.process_index
    if rank == 0:
        shutil.rmtree(staging, ignore_errors=True)
    tuner.accelerator.wait_for_everyone()
    world = tuner.args.world_size
    _together(world, staging, lambda: tuner.save_model(str(staging)))
    _together(
        world, staging, lambda: verify_weights(tuner.accelerator.unwrap_model(tuner.model), staging, rank)
    )
    publish = partial(_publish, tuner, tokenizer, stop, job, counts, proof, staging)
    _together(world, staging, publish if rank == 0 else lambda: None)


def _together(world: int, staging: Path, work: Callable[[], object]) -> None:
    """Runs it on all ranks; if it fails on any, all raise the same TrainingError, so that none waits for the others."""
    problem = ""
    try:
        work()
    except EvoltuneError as error:
        problem = str(error)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as its own error
        free = shutil.disk_usage(staging.parent).free / 2**30
        problem = (
            f"{staging.parent}: cannot be written: {error} ({free:.1f} GiB free); the last checkpoint is kept"
        )
    found: list[str] = [problem]
    if world > 1:
        found = [""] * world
        distributed.all_gather_object(found, problem)
    for reason in found:
        if reason:
            raise TrainingError(reason)


def _publish(
    tuner: Any, tokenizer: Any, stop: Stop, job: Job, counts: Counts, proof: dict[str, Any], staging: Path
) -> None:
    train = job.recipe.train
    (staging / "training_args.bin").unlink(missing_ok=True)
    tokenizer.save_pretrained(staging)
    _write_generation_config(tuner.model, staging, stop, tokenizer)
    template = {
        "template": train.template,
        "system_prompt": train.system_prompt,
        **proof,
        "base": train.model_name_or_path,
        "base_revision": train.model_revision,
        "finetuning_type": train.finetuning_type,
    }
    (staging / TEMPLATE).write_text(json.dumps(template), encoding="utf-8")
    _name_base(staging / "adapter_config.json", train.model_name_or_path)
    log = [h for h in tuner.state.log_history if "loss" in h]
    manifest = {
        "fingerprint": job.fingerprint,
        "steps": tuner.state.global_step,
        "final_loss": log[-1]["loss"] if log else None,
        "data": counts.as_dict(),
        "dataset": job.rows,
        "certificate": job.certificate,
        "recipe": msgspec.to_builtins(job.recipe),
    }
    if job.certificate and Path(job.certificate).is_file():  # it goes where the weights go
        shutil.copyfile(job.certificate, staging / CERTIFICATE)
    write_card(staging, manifest, template)
    files = sorted(p.name for p in staging.iterdir() if p.is_file())
    for name in files:
        (staging / name).replace(job.folder / name)
    shutil.rmtree(staging)
    manifest["files"] = {name: file_digest(job.folder / name) for name in files}
    write_json(job.folder / MANIFEST, manifest)


def _write_generation_config(model: Any, folder: Path, stop: Stop, tokenizer: Any) -> None:
    """The stop token that was trained is the one at which servers stop. Sampling settings of the base stay."""
    from transformers import GenerationConfig

    config = getattr(model, "generation_config", None) or GenerationConfig()
    config.eos_token_id = stop.id
    config.pad_token_id = tokenizer.pad_token_id
    config.save_pretrained(folder)
    if GenerationConfig.from_pretrained(folder).eos_token_id != stop.id:
        raise TrainingError(
            f"{folder}/generation_config.json does not name the stop token {stop.token!r} ({stop.id})"
        )


def _name_base(path: Path, name: str) -> None:
    """The adapter names its base as the recipe does, not as a folder of this machine."""
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "base_model_name_or_path": name}, indent=1), encoding="utf-8")
