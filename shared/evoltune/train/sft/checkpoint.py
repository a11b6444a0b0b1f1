"""Which checkpoint a job resumes from, and the final one, which is published whole or not at all.

Intermediate checkpoints (`steps/checkpoint-N`, with optimizer state) are written by the Trainer.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from torch import distributed

from evoltune.errors import EvoltuneError, TrainingError
from evoltune.models.card import write_card
from evoltune.models.load import gathered
from evoltune.models.template import Stop
from evoltune.rows.files import file_digest, write_json
from evoltune.run.paths import CERTIFICATE, MANIFEST, TEMPLATE, user_path
from evoltune.train.job import Job
from evoltune.train.sft.examples import Counts
from evoltune.train.step_checkpoints import latest_step

UNIVERSAL = "latest_universal"
"""Names the universal copy of a DeepSpeed checkpoint, which any number of ranks can read."""
ReadTensor = Callable[[], torch.Tensor]


def agreed_step(folder: Path, world: int, rank: int) -> Path | None:
    """Rank 0's `latest_step`, on every rank; made readable for `world` ranks if another number wrote it."""
    chosen = [str(latest_step(folder) or "") if rank == 0 else ""]
    if world > 1:
        distributed.broadcast_object_list(chosen, src=0)
    if not chosen[0]:
        return None
    step = Path(chosen[0])
    if _writers(step) not in (0, world):
        _on_all_ranks(world, step, lambda: _make_universal(step) if rank == 0 else None)
    return step


def _writers(step: Path) -> int:
    """How many ranks wrote a checkpoint of DeepSpeed, which splits optimizer states by rank; 0: not DeepSpeed's."""
    return len(list(step.glob("global_step*[0-9]/*_optim_states.pt")))


def _make_universal(step: Path) -> None:
    """Writes DeepSpeed's universal form of a checkpoint beside it. Raises TrainingError with the converter's last words."""
    source = next(step.glob("global_step*[0-9]"))
    target = source.with_name(f"{source.name}_universal")
    if (step / UNIVERSAL).is_file():
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
            f"{step} was written by {_writers(step)} ranks, and DeepSpeed could not convert it for another number ({last}): "
            f"continue with {_writers(step)} ranks, or start again with train.resume_from_checkpoint=false"
        )


def save_final(trainer: Any, tokenizer: Any, stop: Stop, job: Job, counts: Counts, proof: dict[str, Any]) -> None:
    """Writes the checkpoint to `job.out`: weights or adapter, tokenizer, generation_config.json, template.json, card, manifest.

    Everything is written to a staging folder, read back and compared before it is moved. All ranks must call this; all
    raise TrainingError if the save is wrong or the disk is full.
    """
    staging = job.folder / ".saving"
    rank, world = trainer.args.process_index, trainer.args.world_size
    if rank == 0:
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    _on_all_ranks(world, staging, lambda: trainer.save_model(str(staging)))
    model = trainer.accelerator.unwrap_model(trainer.model)
    _on_all_ranks(world, staging, lambda: compare_saved(model, staging, rank))
    publish = partial(_publish, trainer, tokenizer, stop, job, counts, proof, staging)
    _on_all_ranks(world, staging, publish if rank == 0 else lambda: None)


def _on_all_ranks(world: int, staging: Path, work: Callable[[], object]) -> None:
    """Runs `work` on all ranks; if it fails on any, all raise the same TrainingError, so that none waits for the others."""
    problem = ""
    try:
        work()
    except EvoltuneError as error:
        problem = str(error)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as its own error
        free = shutil.disk_usage(staging.parent).free / 2**30
        problem = f"{staging.parent}: cannot be written: {error} ({free:.1f} GiB free)"
    except (
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
    ) as error:  # a library that refuses: the other ranks must know
        problem = f"{staging.parent}: cannot be written: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    problems: list[str] = [problem] * world
    if world > 1:
        distributed.all_gather_object(problems, problem)
    if first := next(filter(None, problems), ""):
        raise TrainingError(first)


def _publish(
    trainer: Any, tokenizer: Any, stop: Stop, job: Job, counts: Counts, proof: dict[str, Any], staging: Path
) -> None:
    train = job.recipe.train
    (staging / "training_args.bin").unlink(missing_ok=True)
    tokenizer.save_pretrained(staging)
    _write_generation_config(trainer.model, staging, stop, tokenizer)
    template = {
        "template": train.template,
        "system_prompt": train.system_prompt,
        **proof,
        "base": train.model_name_or_path,
        "base_revision": train.model_revision,
        "finetuning_type": train.finetuning_type,
    }
    (staging / TEMPLATE).write_text(json.dumps(template), encoding="utf-8")
    adapter = staging / "adapter_config.json"
    if adapter.is_file():  # it names its base as the recipe does, not as a folder of the hub's cache
        config = json.loads(adapter.read_text(encoding="utf-8"))
        own = user_path(train.model_name_or_path)
        config["base_model_name_or_path"] = str(own.absolute()) if own.is_dir() else train.model_name_or_path
        adapter.write_text(json.dumps(config, indent=1), encoding="utf-8")
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    manifest = {
        "fingerprint": job.fingerprint,
        "content": job.content,
        "steps": trainer.state.global_step,
        "final_loss": losses[-1] if losses else None,
        "data": counts.as_dict(),
        "dataset": job.rows,
        "certificate": job.certificate,
        "recipe": msgspec.to_builtins(job.recipe),
    }
    if job.certificate and Path(job.certificate).is_file():
        shutil.copyfile(job.certificate, staging / CERTIFICATE)
    write_card(staging, manifest)
    files = sorted(p.name for p in staging.iterdir() if p.is_file())
    for name in files:
        (staging / name).replace(job.folder / name)
    shutil.rmtree(staging)
    digests = {name: file_digest(job.folder / name) for name in files}
    write_json(job.folder / MANIFEST, manifest | {"files": digests})


def _write_generation_config(model: Any, folder: Path, stop: Stop, tokenizer: Any) -> None:
    """Servers must stop at the stop token that was trained. The base's sampling settings stay."""
    from transformers import GenerationConfig

    config = getattr(model, "generation_config", None) or GenerationConfig()
    config.eos_token_id = stop.id
    config.pad_token_id = tokenizer.pad_token_id
    config.save_pretrained(folder)
    if GenerationConfig.from_pretrained(folder).eos_token_id != stop.id:
        raise TrainingError(
            f"{folder}/generation_config.json does not name the stop token {stop.token!r} ({stop.id}), so servers would not stop "
            "there: this transformers release writes another token; reinstall the extra `train`"
        )


def compare_saved(model: torch.nn.Module, folder: Path, rank: int) -> int:
    """Compares each saved tensor with the parameter in memory; under ZeRO-3 all ranks must call it.

    It catches an adapter that ZeRO-3 saved empty, a truncated shard, a full disk. Returns how many were compared (0 on
    other ranks than the first). Raises TrainingError on rank 0, if a tensor is missing, different, not finite or not
    the model's.
    """
    adapter = (folder / "adapter_config.json").is_file()
    saved, problems = _tensors(folder) if rank == 0 else ({}, [])
    seen: set[str] = set()
    for name, parameter in model.named_parameters(remove_duplicate=False):  # a tied matrix is saved under both names
        if adapter and not parameter.requires_grad:
            continue
        with gathered(parameter, change=False):
            if rank == 0:
                if adapter:
                    name = name.replace(".modules_to_save.default.", ".").replace(".default.", ".")
                problems += _compare(name, parameter, saved, seen)
    if rank:
        return 0
    if adapter and not saved:
        problems.insert(0, "the adapter holds no tensor at all")
    problems += [f"{name} is in the file but not in the model" for name in sorted(set(saved) - seen)]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise TrainingError(f"{folder}: the save is wrong: {'; '.join(problems[:3])}{more}: nothing was published")
    return len(seen)


def _compare(name: str, live: torch.Tensor, saved: Mapping[str, ReadTensor], seen: set[str]) -> list[str]:
    if name not in saved:
        return [] if _is_tied(name, live, saved) else [f"{name} is missing"]
    seen.add(name)
    tensor = saved[name]()
    if tuple(tensor.shape) != tuple(live.shape):
        return [f"{name} has shape {tuple(tensor.shape)}, the model {tuple(live.shape)}"]
    if not torch.isfinite(tensor).all():
        return [f"{name} has values that are not finite"]
    if not torch.equal(tensor, live.detach().to("cpu", tensor.dtype)):
        return [f"{name} differs from the model"]
    return []


def _is_tied(name: str, live: torch.Tensor, saved: Mapping[str, ReadTensor]) -> bool:
    """Tied weights are saved once: the head's under the name of the embeddings, or the other way round."""
    if "embed" not in name and "head" not in name and "wte" not in name:
        return False
    others = (read() for other, read in saved.items() if "embed" in other or "head" in other or "wte" in other)
    return any(t.shape == live.shape and torch.equal(t, live.detach().to("cpu", t.dtype)) for t in others)


def _tensors(folder: Path) -> tuple[dict[str, ReadTensor], list[str]]:
    """Readers of the saved tensors by name (one tensor in memory at a time), and the files that do not open."""
    readers: dict[str, ReadTensor] = {}
    problems = []
    for path in sorted(folder.glob("*.safetensors")):
        try:
            file = safe_open(path, framework="pt")
            readers |= {name: partial(file.get_tensor, name) for name in file.keys()}  # type: ignore[no-untyped-call]  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            problems.append(f"{path.name} cannot be read back: {error}")
    return readers, problems
