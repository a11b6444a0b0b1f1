"""Saving: the final checkpoint, whole or not at all; its manifest stands last."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from evoltune.train.data import Counts
from evoltune.train.job import Job, file_digest, write_file
from evoltune.train.template import Stop

MANIFEST = "manifest.json"


def latest_step(folder: Path) -> Path | None:
    """The newest complete `checkpoint-N`; the Trainer writes trainer_state.json after weights and optimizer."""
    found = [p for p in folder.glob("checkpoint-*") if (p / "trainer_state.json").is_file()]
    return max(found, key=lambda p: int(p.name.rpartition("-")[2]), default=None)


def save_final(
    tuner: Any, tokenizer: Any, stop: Stop, job: Job, counts: Counts, proof: dict[str, Any]
) -> None:
    """Weights or adapter, tokenizer, generation_config.json and template.json into `job.out`, manifest last."""
    staging = job.folder / ".saving"
    if tuner.is_world_process_zero():
        shutil.rmtree(staging, ignore_errors=True)
    tuner.accelerator.wait_for_everyone()
    tuner.save_model(str(staging))
    if not tuner.is_world_process_zero():
        return
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
    (staging / "template.json").write_text(json.dumps(template, indent=1), encoding="utf-8")
    _name_base(staging / "adapter_config.json", train.model_name_or_path)
    files = sorted(p.name for p in staging.iterdir() if p.is_file())
    for name in files:
        (staging / name).replace(job.folder / name)
    shutil.rmtree(staging)
    log = [h for h in tuner.state.log_history if "loss" in h]
    manifest = {
        "fingerprint": job.fingerprint,
        "steps": tuner.state.global_step,
        "final_loss": log[-1]["loss"] if log else None,
        "data": counts.as_dict(),
        "dataset": job.rows,
        "certificate": job.certificate,
        "files": {name: file_digest(job.folder / name) for name in files},
    }
    write_file(job.folder / MANIFEST, json.dumps(manifest, indent=1).encode())


def _write_generation_config(model: Any, folder: Path, stop: Stop, tokenizer: Any) -> None:
    """The stop token that was trained is the one at which servers stop. Sampling settings of the base stay."""
    from transformers import GenerationConfig

    config = getattr(model, "generation_config", None) or GenerationConfig()
    config.eos_token_id = stop.id
    config.pad_token_id = tokenizer.pad_token_id
    config.save_pretrained(folder)


def _name_base(path: Path, name: str) -> None:
    """The adapter names its base as the recipe does, not as a folder of this machine."""
    if path.is_file():
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**config, "base_model_name_or_path": name}, indent=1), encoding="utf-8")
