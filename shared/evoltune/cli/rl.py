"""`evoltune rl RECIPE --trainer verl|openrlhf`: reinforcement learning of a run's checkpoint on many GPUs, by a trainer that is
installed there.

    evoltune rl math/wizardmath-llama2-7b --trainer verl --print-launch
    evoltune rl my.yaml --trainer openrlhf --rows openai/gsm8k:main:train --algorithm grpo

Writes prompts, reward file and launch script into the run's folder, and starts the script where the trainer is installed.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

from evoltune.cli import options
from evoltune.dataset.outside_prompts import outside_prompts
from evoltune.dataset.rl_prompts import export_prompts, prompts_of_run
from evoltune.errors import DataError, WorkError
from evoltune.run.paths import BAND, MANIFEST
from evoltune.run.run import Run
from evoltune.train.rl.external import ALGORITHMS, LAUNCH, PROMPTS, VERSIONS, ExternalRL, write_job
from evoltune.train.rl.sampled import prompts_in_band

SHOWN = 3
"""Rows without reference that are named."""


def add_rl(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    add = parser.add_argument
    algorithms = sorted({name for known in ALGORITHMS.values() for name in known})
    defaults = ExternalRL.__dataclass_fields__
    add("--trainer", choices=sorted(ALGORITHMS), required=True, help="what trains; see docs/rl.md")
    add("--rows", metavar="REF", help="prompts with references or tests (default: the run's own dataset)")
    add("--model", metavar="REF", help="what is trained on (default: the run's checkpoint)")
    add("--algorithm", choices=algorithms, default="ppo", help="default: ppo, as in WizardMath")
    for flag, kind, about in (
        ("--learning-rate", options.positive_float, "WizardMath's for Llama-2"),
        ("--kl", options.share, "weight of the KL penalty; ours, the paper names none"),
        ("--rollouts", options.positive_int, "answers to a prompt; ours"),
        ("--batch", options.positive_int, "prompts in a step; ours"),
        ("--epochs", options.positive_int, "passes over the prompts"),
        ("--max-prompt-length", options.positive_int, "tokens"),
        ("--max-answer-length", options.positive_int, "tokens"),
        ("--tensor-parallel", options.positive_int, "GPUs of one vLLM engine"),
    ):
        default = defaults[flag[2:].replace("-", "_")].default
        add(flag, type=kind, default=default, help=f"{about} (default: {default})")
    add(
        "--service",
        default="",
        metavar="URL",
        help="a verifier service that all nodes reach (default: workers of each node)",
    )
    add("--print-launch", action="store_true", help="write the files, print the script and stop")
    options.finish(parser, _rl)


def _rl(args: argparse.Namespace) -> int:
    recipe, folder = options.recipe_of(args)
    work = Run(recipe=recipe, folder=folder)
    job = ExternalRL(
        trainer=args.trainer, model=_model(args, work), domains=(work.domain.name,), out=folder / f"rl-{args.trainer}",
        algorithm=args.algorithm, learning_rate=args.learning_rate, kl=args.kl, rollouts=args.rollouts, batch=args.batch,
        epochs=args.epochs, max_prompt_length=args.max_prompt_length, max_answer_length=args.max_answer_length,
        nodes=recipe.compute.nodes, gpus_per_node=recipe.compute.gpus_per_node or 8, tensor_parallel=args.tensor_parallel,
        service=args.service, options={"policy": dict(recipe.verify.policy)} if recipe.verify.policy else {},
    )  # fmt: skip
    left_out: list[str] = []
    rows, counts = outside_prompts(args.rows, work) if args.rows else (list(prompts_of_run(work, left_out)), {})
    if recipe.rl and recipe.rl.band:
        if args.model or args.print_launch:
            print(
                "rl.band: not applied: it is of the run's checkpoint, and --print-launch samples nothing",
                file=sys.stderr,
            )
        else:
            rows, _ = prompts_in_band(work, rows, job.out / BAND)
    count = export_prompts(rows, job.out / PROMPTS, job.trainer)
    script = write_job(job)
    print(f"{count} prompts in {job.out / PROMPTS}", file=sys.stderr)
    if left_out:
        print(
            f"left out, as nothing can verify an answer: {len(left_out)} rows",
            *left_out[:SHOWN],
            sep="\n  ",
            file=sys.stderr,
        )
    facts = {
        "prompts": count,
        "left_out": counts.get("in", count) - count + len(left_out),
        "folder": job.out,
        "script": script,
    }
    if args.print_launch:
        options.say(args, facts, [script.read_text(encoding="utf-8").rstrip()])
        return 0
    if importlib.util.find_spec(job.trainer) is None:
        wanted = f"{job.trainer}{VERSIONS[job.trainer]}"
        raise WorkError(
            f"{job.trainer} is not installed here; the files are written: install {wanted} on the GPU machine and start "
            f"`bash {job.out / LAUNCH}` there"
        )
    options.say(args, facts, [f"starting {script}"])
    return subprocess.run(["bash", str(script)]).returncode


def _model(args: argparse.Namespace, work: Run) -> str:
    if args.model:
        return str(Path(args.model).resolve()) if Path(args.model).is_dir() else str(args.model)
    if not (work.checkpoint / MANIFEST).is_file():
        raise DataError(f"{work.checkpoint}: no finished training: run `evoltune train` first, or give --model")
    return str(work.checkpoint.resolve())
