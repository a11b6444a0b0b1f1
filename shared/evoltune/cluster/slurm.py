"""A whole run on Slurm: one batch script per stage, each waiting for the one before.

    submit(recipe, Path("runs/mine"), STAGES)      # sbatch, one after another

Data stages run on the CPU partition (`compute.slurm_cpu`), generation by a local model and evaluation on GPUs
(`compute.slurm`); the train stage is a small job that submits the ranks' own batch script and waits for it
(`evoltune.train.launch_command`). Every stage goes on where it stopped, so a script may be requeued at any moment: before its
time limit it stops the stage and requeues itself.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import yaml

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe

WARNING_S = 300
"""Slurm signals this long before the time limit."""


def uses_gpu(recipe: Recipe, stage: str) -> bool:
    """Whether a stage loads a model itself. Training does so in a job of its own."""
    if stage == "evolve":
        return recipe.teacher.kind in ("transformers", "vllm")
    return stage == "eval" and recipe.eval.engine != "http"


def script(recipe: Recipe, folder: Path, stage: str) -> str:
    """The text that sbatch is given for a stage of the run in `folder`."""
    home = folder.resolve() / "slurm"
    gpu = uses_gpu(recipe, stage)
    own = recipe.compute.slurm if gpu else recipe.compute.slurm_cpu
    options: Mapping[str, str] = {
        "job-name": f"{recipe.name or 'evoltune'}-{stage}",
        "nodes": "1",
        **({"gpus-per-node": str(max(1, recipe.compute.gpus_per_node))} if gpu else {}),
        "chdir": str(Path.cwd()),
        "output": str(home / f"{stage}-%j.log"),
        "open-mode": "append",
        "signal": f"B:USR1@{WARNING_S}",
        **{key.lstrip("-"): value for key, value in own.items()},
    }
    command = [
        sys.executable, "-m", "evoltune", "run", str(home / "recipe.yaml"), "--stages", stage,
        "--out", str(folder.resolve()),
    ]  # fmt: skip
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH --{key}={value}" for key, value in options.items()),
            "#SBATCH --requeue",
            "set -euo pipefail",
            *(f"export {key}={shlex.quote(value)}" for key, value in recipe.compute.env.items()),
            "again=0 work=",
            'trap \'again=1; [ -z "$work" ] || kill -TERM "$work" 2> /dev/null || true\' USR1',
            f"{shlex.join(command)} &",
            "work=$!",
            'if [ "$again" = 1 ]; then kill -TERM "$work" 2> /dev/null || true; fi',
            "status=0",
            'while kill -0 "$work" 2> /dev/null; do',
            '  if wait "$work"; then status=0; else status=$?; fi',
            "done",
            'if [ "$again" = 1 ] && [ "$status" != 0 ]; then',
            '  scontrol requeue "$SLURM_JOB_ID"',
            "fi",
            'exit "$status"',
            "",
        ]
    )


def described(recipe: Recipe, folder: Path, stages: Sequence[str]) -> list[str]:
    """What `submit` would write and call, as text."""
    home = folder.resolve() / "slurm"
    lines = []
    for number, stage in enumerate(stages):
        after = f" --dependency=afterok:$job{number - 1}" if number else ""
        lines += [f"# {home / stage}.sh", script(recipe, folder, stage)]
        lines.append(f"job{number}=$(sbatch --parsable{after} {shlex.quote(str(home / stage))}.sh)\n")
    return lines


def submit(recipe: Recipe, folder: Path, stages: Sequence[str]) -> dict[str, str]:
    """Writes the scripts under `folder/slurm` and submits them, each after the one before. Returns stage -> job id.

    Raises RecipeError where there is no sbatch, or it refuses.
    """
    if shutil.which("sbatch") is None:
        raise RecipeError(
            "--launcher slurm: no sbatch on this machine: run it where jobs are submitted, or add --print-launch to see the scripts"
        )
    home = folder / "slurm"
    home.mkdir(parents=True, exist_ok=True)
    launched = msgspec.structs.replace(
        recipe, compute=msgspec.structs.replace(recipe.compute, launcher="slurm")
    )
    (home / "recipe.yaml").write_text(yaml.safe_dump(msgspec.to_builtins(launched)), encoding="utf-8")
    jobs: dict[str, str] = {}
    for stage in stages:
        path = home / f"{stage}.sh"
        path.write_text(script(recipe, folder, stage), encoding="utf-8")
        after = [f"--dependency=afterok:{[*jobs.values()][-1]}"] if jobs else []
        done = subprocess.run(["sbatch", "--parsable", *after, str(path)], capture_output=True, text=True)
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[:300]
            raise RecipeError(f"sbatch refused {path}: {said}: see compute.slurm and compute.slurm_cpu")
        jobs[stage] = done.stdout.strip().partition(";")[0]
    return jobs
