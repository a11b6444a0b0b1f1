"""`evoltune rl RECIPE --trainer verl|openrlhf`: reinforcement learning of a run's checkpoint on many GPUs, by a trainer that is
installed there.

    evoltune rl math/wizardmath-llama2-7b --trainer verl --print-launch
    evoltune rl my.yaml --trainer openrlhf --rows openai/gsm8k:main:train --algorithm grpo

Writes prompts, reward file and launch script into the run's folder, and starts the script where the trainer is installed. The reward
is the recipe's: its `reward:` models and its `verify:` limits.
"""

import argparse
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from evoltune.cli import options
from evoltune.dataset.outside_prompts import outside_prompts
from evoltune.dataset.rl_prompts import VerifiablePrompt, export_prompts, prompts_of_run
from evoltune.errors import DataError, WorkError
from evoltune.models.proof import read_template
from evoltune.orphans import run_tethered
from evoltune.run.paths import BAND, MANIFEST
from evoltune.run.run import Run
from evoltune.train.rl.external import ALGORITHMS, LAUNCH, PROMPTS, VERSIONS, ExternalRL, write_job
from evoltune.train.rl.launch import verifier_options
from evoltune.train.rl.sampled import prompts_in_band
from evoltune.train.rl.stage import reward_models

SHOWN = 3
"""Rows without reference that are named."""
KEYS = {
    "learning_rate": "learning_rate", "kl": "strength", "rollouts": "num_generations", "batch": "prompts_per_step",
    "max_answer_length": "max_completion_length",
}  # fmt: skip
"""Options that a recipe's `rl:` has too -> its key there."""


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
        ("--learning-rate", options.positive_float, "else WizardMath's for Llama-2"),
        ("--kl", options.share, "weight of the KL penalty; the paper names none"),
        ("--rollouts", options.positive_int, "answers to a prompt"),
        ("--batch", options.positive_int, "prompts in a step"),
        ("--epochs", options.positive_int, "passes over the prompts"),
        ("--max-prompt-length", options.positive_int, "tokens"),
        ("--max-answer-length", options.positive_int, "tokens"),
        ("--tensor-parallel", options.positive_int, "GPUs of one vLLM engine"),
    ):
        name = flag[2:].replace("-", "_")
        source = "the recipe's `rl:`, else " if name in KEYS else ""
        add(flag, type=kind, help=f"{about} (default: {source}{defaults[name].default})")
    add(
        "--service",
        default="",
        metavar="URL",
        help="a verifier service that all nodes reach; with `reward:` in the recipe it has the models (default: workers, and models, "
        "of each reward process)",
    )
    add("--print-launch", action="store_true", help="write the files, print the script and stop")
    options.finish(parser, _rl)


def _rl(args: argparse.Namespace) -> int:
    recipe, folder = options.recipe_of(args)
    work = Run(recipe=recipe, folder=folder)
    job = ExternalRL(
        trainer=args.trainer, model=_model(args, work), domains=(work.domain.name,), out=folder / f"rl-{args.trainer}",
        algorithm=args.algorithm, nodes=recipe.compute.nodes, gpus_per_node=recipe.compute.gpus_per_node or 8,
        service=args.service, **_reward(args, work), **_numbers(args, work),
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
    count = export_prompts(_with_system(rows, job.model, recipe.train.system_prompt), job.out / PROMPTS, job.trainer)
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
    return run_tethered(["bash", str(script)])


def _numbers(args: argparse.Namespace, work: Run) -> dict[str, Any]:
    """What the command line says, else the recipe's `rl:`; pairs' values are those of another training."""
    rl = work.recipe.rl if work.recipe.rl and work.recipe.rl.algorithm != "dpo" else None
    names = (*KEYS, "epochs", "max_prompt_length", "tensor_parallel")
    given = {name: value for name in names if (value := getattr(args, name)) is not None}
    return {**({name: getattr(rl, key) for name, key in KEYS.items()} if rl else {}), **given}


def _reward(args: argparse.Namespace, work: Run) -> dict[str, Any]:
    """The recipe's reward, as ExternalRL has it: with a service, limits and models are the service's."""
    reward = work.recipe.reward
    verifier = {name: value for name, value in verifier_options(work.recipe).items() if value is not None}
    if args.service:
        verifier = {name: value for name, value in verifier.items() if name == "policy"}
    if not reward or not (reward.steps or reward.instructions):
        return {"options": verifier, "models": None}
    if args.service:
        models: dict[str, Any] = {kind: getattr(reward, kind) is not None for kind in ("steps", "instructions")}
    else:
        models = {kind: str(folder.resolve()) for kind, folder in reward_models(work).items()}
    return {
        "options": verifier,
        "models": {**models, **({"fail_share": reward.fail_share} if reward.fail_share else {})},
    }


def _with_system(rows: Iterable[VerifiablePrompt], model: str, system: str) -> Iterable[VerifiablePrompt]:
    """The prompts under the system prompt that the model was fine-tuned with: its own, else the recipe's."""
    template = read_template(Path(model)) if Path(model).is_dir() else None
    content = template.system_prompt if template else system
    first = ({"role": "system", "content": content},) if content else ()
    return (
        row if row.messages[0]["role"] == "system" else replace(row, messages=(*first, *row.messages)) for row in rows
    )


def _model(args: argparse.Namespace, work: Run) -> str:
    """What is trained. Raises DataError for an adapter: neither trainer loads one as a model."""
    if args.model and not Path(args.model).is_dir():
        return str(args.model)
    folder = Path(args.model) if args.model else work.checkpoint
    if not args.model and not (folder / MANIFEST).is_file():
        raise DataError(f"{folder}: no finished training: run `evoltune train` first, or give --model")
    merged = folder.with_name(f"{folder.name}-merged")
    if (folder / "adapter_config.json").is_file():
        if not (merged / MANIFEST).is_file():
            raise DataError(
                f"{folder}: an adapter, and {args.trainer} loads whole models: run `evoltune model merge {folder}` first"
            )
        folder = merged
    return str(folder.resolve())
