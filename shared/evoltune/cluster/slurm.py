"""Slurm: the form of a batch script, and a whole run as one job per stage, each waiting for the one before.

    submit(recipe, Path("runs/mine"), STAGES)      # sbatch, one after another

Data stages run on the CPU partition (`compute.slurm_cpu`), generation by a local model and evaluation on GPUs
(`compute.slurm`). The train stage is a small job that submits the ranks' own script and waits for it
(`train.launch_command`). Every stage continues where it stopped, so a script may be requeued at any moment.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from evoltune.cluster.variables import chosen_variables, written_variables
from evoltune.errors import RecipeError
from evoltune.recipe import Recipe, dump_recipe
from evoltune.rows.files import write_file
from evoltune.run.paths import RECIPE, SLURM
from evoltune.text.credentials import cuts_in, masked

WARNING_S = 300
"""Slurm signals this long before the time limit: enough to write a checkpoint of tens of gigabytes."""


def batch_script(
    options: Mapping[str, str],
    environment: Mapping[str, str],
    command: str,
    *,
    stop: str,
    requeue_if: str,
    setup: Sequence[str] = (),
) -> str:
    """A script that stops its command before the time limit and requeues itself.

    Args:
        options: sbatch options without dashes; they replace the defaults of the same name.
        environment: Variables to export, without secrets.
        command: One line of shell.
        stop: Shell that makes the command end early; `$work` is its process id, or empty.
        requeue_if: Shell condition; may use `$again` (1: the warning came) and `$status` (the command's exit code).
        setup: Lines before the command.
    """
    chosen = {"open-mode": "append", "signal": f"B:USR1@{WARNING_S}"}
    chosen |= {key.lstrip("-"): value for key, value in options.items()}
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={value}" for key, value in chosen.items()),
        "#SBATCH --requeue",
        "set -euo pipefail",
        *(f"export {key}={shlex.quote(value)}" for key, value in environment.items()),
        *setup,
        "again=0 work=",
        f"stop_work() {{ {stop}; }}",
        "trap 'again=1; stop_work' USR1",
        f"{command} &",
        "work=$!",
        'if [ "$again" = 1 ]; then stop_work; fi',
        "status=0",
        'while kill -0 "$work" 2> /dev/null; do',
        '  if wait "$work"; then status=0; else status=$?; fi',
        "done",
        f"if {requeue_if}; then",
        '  scontrol requeue "$SLURM_JOB_ID"',
        "fi",
        'exit "$status"',
    ]
    return "\n".join(lines) + "\n"


def uses_gpu(recipe: Recipe, stage: str) -> bool:
    """Whether a stage loads a model itself. Training does so in a job of its own."""
    if stage == "evolve":
        return recipe.teacher.kind in ("transformers", "vllm")
    return stage == "eval" and recipe.eval.engine != "http"


def stage_script(recipe: Recipe, folder: Path, stage: str) -> str:
    """The script of one stage of the run in `folder`."""
    home, gpu = folder.resolve() / SLURM, uses_gpu(recipe, stage)
    options = {
        "job-name": f"{recipe.name or 'evoltune'}-{stage}",
        "nodes": "1",
        **({"gpus-per-node": str(max(1, recipe.compute.gpus_per_node))} if gpu else {}),
        "chdir": str(Path.cwd()),
        "output": str(home / f"{stage}-%j.log"),
        **(recipe.compute.slurm if gpu else recipe.compute.slurm_cpu),
    }
    command = [
        sys.executable, "-m", "evoltune", "run", str(home / RECIPE), "--stages", stage, "--out", str(folder.resolve()),
    ]  # fmt: skip
    return batch_script(
        options,
        written_variables(recipe),
        shlex.join(command),
        stop='[ -z "$work" ] || kill -TERM "$work" 2> /dev/null || true',
        requeue_if='[ "$again" = 1 ] && [ "$status" != 0 ]',
    )


def preview(recipe: Recipe, folder: Path, stages: Sequence[str]) -> list[str]:
    """The scripts and commands of `submit`, as text; needs no Slurm."""
    home = folder.resolve() / SLURM
    lines = []
    for number, stage in enumerate(stages):
        after = f" --dependency=afterok:$job{number - 1}" if number else ""
        lines += [f"# {home / stage}.sh", stage_script(recipe, folder, stage)]
        lines.append(f"job{number}=$(sbatch --parsable{after} {shlex.quote(str(home / stage))}.sh)\n")
    return lines


def submit(recipe: Recipe, folder: Path, stages: Sequence[str]) -> dict[str, str]:
    """Writes the scripts under `folder/slurm` and submits them, each after the one before.

    Returns:
        The job id of each stage.

    Raises:
        RecipeError: There is no sbatch, or it refuses a script.
    """
    if shutil.which("sbatch") is None:
        raise RecipeError(
            "--launcher slurm: no sbatch on this machine: run it where jobs are submitted, or add --print-launch to see the scripts"
        )
    _refuse_secrets(recipe)
    variables = chosen_variables(recipe)
    on_slurm = msgspec.structs.replace(recipe.compute, launcher="slurm")
    submitted = msgspec.structs.replace(recipe, compute=on_slurm)
    write_file(folder / SLURM / RECIPE, dump_recipe(submitted, folder / SLURM))
    jobs: dict[str, str] = {}
    for stage in stages:
        path = folder / SLURM / f"{stage}.sh"
        write_file(path, stage_script(recipe, folder, stage))
        after = [f"--dependency=afterok:{[*jobs.values()][-1]}"] if jobs else []
        command = ["sbatch", "--parsable", *after, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | variables)
        if done.returncode:
            message = " ".join((done.stderr or done.stdout).split())[:300]
            raise RecipeError(f"sbatch refused {path}: {message}: see compute.slurm and compute.slurm_cpu")
        jobs[stage] = done.stdout.strip().partition(";")[0]
    return jobs


def _refuse_secrets(recipe: Recipe) -> None:
    """Raises RecipeError for a secret that stands in the recipe itself: the jobs read it from a file, from which it is cut."""
    for where in cuts_in(masked(msgspec.to_builtins(recipe)), ""):
        if not where.startswith("compute.env."):
            raise RecipeError(
                f"{where}: holds a secret, which is never written into the file that Slurm's jobs read: name an environment variable "
                "(${NAME}, or api_key_env); sbatch passes the environment on"
            )
