"""`evoltune run RECIPE [key.path=value ...]` and its stages evolve, build, train; plan before them, report after them.

    evoltune run smoke/math train.max_steps=10
    evoltune run smoke/math --launcher slurm --print-launch

A stopped stage continues where it stopped.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from evoltune import pipeline
from evoltune.cli import options
from evoltune.cluster import engine, slurm
from evoltune.errors import DataError, RecipeError, nearest
from evoltune.evolve.optimise.stage import optimise_prompts
from evoltune.recipe import Optimise, fingerprint
from evoltune.report.optimise_page import write_history
from evoltune.report.pages import write_report
from evoltune.rows.columns import layout
from evoltune.rows.readers import left_out, read_rows
from evoltune.rows.records import seed_records
from evoltune.rows.storage import is_address
from evoltune.run.lock import locked
from evoltune.run.paths import (
    AFTER,
    BEFORE,
    CHECKPOINT,
    DATASET,
    MANIFEST,
    OPTIMISE,
    PROMPT_FOLDER,
    REPORT,
    RL,
    RUN_LOCK,
    TRAINED,
    scores_path,
    user_path,
)
from evoltune.run.run import STAGES, Run
from evoltune.train.deepspeed import zero_name
from evoltune.train.job import rows_of
from evoltune.train.launch_command import launch_text
from evoltune.train.nodes import is_first_node
from evoltune.train.plan import as_json, describe, make_plan, most_calls
from evoltune.train.reward import siblings
from evoltune.train.reward.stage import check_rewards


def add_run(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    add = parser.add_argument
    slurm_help = "slurm: submit one batch job per stage, each waiting for the one before"
    add("--launcher", choices=("local", "slurm"), default="local", help=slurm_help)
    add("--print-launch", action="store_true", help="print the batch scripts and stop; needs no Slurm")
    add("--stages", help="comma-separated (default: all; from train on where the recipe names train.dataset)")
    _add_common(parser)
    parser.set_defaults(execute=_run)


def add_evolve(parser: argparse.ArgumentParser) -> None:
    add_build(parser)
    parser.add_argument(
        "--optimise",
        action="store_true",
        help="improve the prompts instead, on a development set (evolve.optimise); into OUT/optimise",
    )
    parser.set_defaults(execute=lambda args: _optimise(args) if args.optimise else execute(args, (args.verb,)))


def add_build(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    _add_common(parser)
    parser.set_defaults(execute=lambda args: execute(args, (args.verb,)))


def _optimise(args: argparse.Namespace) -> None:
    """Improves the prompts of the recipe; evolves nothing."""
    recipe, folder = options.recipe_of(args)
    if args.out and is_address(args.out):
        raise RecipeError(f"--out {args.out}: --optimise works in a folder: `evoltune runs publish` uploads it later")
    work = Run(recipe=recipe, folder=folder)
    work.check(("evolve",))
    settings = recipe.evolve.optimise or Optimise()
    plan = f"optimise: at most {settings.steps} steps of {settings.candidates} prompts on {settings.seeds} seeds, into {folder / OPTIMISE}"
    if args.dry_run:
        options.say(args, {"folder": folder / OPTIMISE, **msgspec.to_builtins(settings)}, [plan])
        return
    print(plan, file=sys.stderr, flush=True)
    with locked(folder, RUN_LOCK), engine.using(recipe.compute.engine, recipe.compute.ray_address):
        history = optimise_prompts(work)
    page = write_history(folder / OPTIMISE)
    lines = [
        f"{name}: {found['before']['score']:.3f} -> {found['after']['score']:.3f}{'' if found['changed'] else ', unchanged'}"
        for name, found in history["operators"].items()
    ]
    options.say(
        args, history, [*lines, f"prompts for evolve.prompts: {folder / OPTIMISE / PROMPT_FOLDER}", f"history: {page}"]
    )


def add_train(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    _add_common(parser)
    add = parser.add_argument
    add("--dataset", metavar="REF", help="file, folder, hub id or run to train on (train.dataset)")
    add("--nodes", type=options.positive_int, metavar="N", help="number of machines (compute.nodes)")
    add("--launcher", metavar="L", help="local, torchrun, deepspeed or slurm (compute.launcher)")
    add("--print-launch", action="store_true", help="print the launch command or batch script and stop")
    parser.set_defaults(execute=_train)


def _add_common(parser: argparse.ArgumentParser) -> None:
    options.add_json(parser)
    options.add_engine(parser)
    uncertified = "train on a dataset without a certificate (the report says so)"
    parser.add_argument("--dry-run", action="store_true", help="print what would be done and stop")
    parser.add_argument("--allow-uncertified", action="store_true", help=uncertified)


def _run(args: argparse.Namespace) -> None:
    stages = tuple(options.words(args.stages)) if args.stages is not None else _stages_of(args)
    if not stages:
        raise RecipeError(f"--stages: names no stage: allowed: {', '.join(STAGES)}")
    for stage in stages:
        if stage not in STAGES:
            raise RecipeError(f"--stages: unknown stage {stage!r}: {nearest(stage, STAGES)}")
    if args.print_launch or args.launcher == "slurm":
        _slurm(args, stages)
    else:
        execute(args, stages)


def _stages_of(args: argparse.Namespace) -> tuple[str, ...]:
    """All stages of the recipe."""
    recipe, folder = options.recipe_of(args)
    if recipe.train.dataset:
        print(f"train.dataset is {recipe.train.dataset}: starting at train (--stages for others)", file=sys.stderr)
    return Run(recipe=recipe, folder=folder).stages


def _slurm(args: argparse.Namespace, stages: tuple[str, ...]) -> None:
    recipe, folder = options.recipe_of(args)
    if args.out and is_address(args.out):
        raise RecipeError(f"--out {args.out}: Slurm's jobs share a run directory: give a folder that all nodes see")
    Run(recipe=recipe, folder=folder).check(stages)
    if args.print_launch:
        scripts = {stage: slurm.stage_script(recipe, folder, stage) for stage in stages}
        options.say(args, scripts, slurm.preview(recipe, folder, stages))
        return
    jobs = slurm.submit(recipe, folder, stages)
    options.say(args, jobs, (f"{stage}: job {job}" for stage, job in jobs.items()))


def _train(args: argparse.Namespace) -> None:
    chosen = {"train.dataset": args.dataset, "compute.nodes": args.nodes, "compute.launcher": args.launcher}
    args.overrides += [f"{key}={json.dumps(value)}" for key, value in chosen.items() if value]
    if args.print_launch:
        recipe, folder = options.recipe_of(args)
        print(launch_text(recipe, folder / CHECKPOINT))
    else:
        execute(args, ("train",))


def execute(args: argparse.Namespace, stages: tuple[str, ...]) -> None:
    """Runs the stages; `run` and the commands of single stages share it."""
    recipe, folder = options.recipe_of(args)
    if args.dry_run:
        work = Run(recipe=recipe, folder=folder)
        work.check(stages)
        lines = preview(work, stages)
        options.say(args, {"folder": folder, "stages": stages, "plan": lines}, lines)
        return
    # Other nodes write nothing that could be published.
    place = options.published(args, recipe, folder) if is_first_node(recipe) else nullcontext(lambda: None)
    with place as publish:
        pipeline.run(recipe, folder, stages, allow_uncertified=args.allow_uncertified, after=publish)
    options.say(args, outcome(folder), outcome_lines(folder))


def preview(work: Run, stages: Sequence[str]) -> list[str]:
    """What the stages would do: their size, and where they write. Changes nothing."""
    recipe = work.recipe
    lines = [f"recipe {recipe.name} ({fingerprint(recipe)}), domain {work.domain.name}, run {work.folder}"]
    if "evolve" in stages:
        seeds = sum(1 for _ in seed_records(recipe, work.domain))
        draws = recipe.evolve.draws(seeds)
        calls = most_calls(recipe, seeds)
        teacher = (
            f"at most {calls} calls to {recipe.teacher.kind} {recipe.teacher.model}" if calls else "no teacher is asked"
        )
        lines.append(f"evolve: {seeds} seeds, {draws} draws, {teacher}")
    if "verify" in stages:
        keep, level = ", ".join(recipe.verify.keep), recipe.verify.sandbox.require
        lines.append(f"verify: keep {keep}; isolation at least {level}")
    if "build" in stages:
        targets = ", ".join(f"{name} ({len(tasks)})" for name, tasks in work.targets.items()) or "nothing"
        lines.append(f"build: decontaminate against {targets}; dataset in {work.dataset}")
    if "train" in stages:
        model = f"{recipe.train.finetuning_type} of {recipe.train.model_name_or_path}"
        lines.append(f"train: {model}, DeepSpeed {recipe.train.deepspeed}, into {work.checkpoint}")
        if recipe.train.dataset or ("build" not in stages and work.dataset.is_dir()):
            rows = rows_of(work.training_data)
            known = ("reasoning",) if recipe.train.reasoning else ()
            lines += [
                f"  first rows of {Path(rows).name}: {layout(read_rows(rows), known)}",
                *filter(None, [left_out(rows)]),
            ]
    if "reward" in stages:
        check_rewards(work)
        models = [name for name in ("steps", "instructions") if recipe.reward and getattr(recipe.reward, name)]
        judgements = siblings.most_calls(recipe, recipe.evolve.draws(sum(1 for _ in seed_records(recipe, work.domain))))
        judged = f", at most {judgements} calls to the teacher as judge" if judgements else ""
        lines.append(f"reward: models of {' and '.join(models)} on the checkpoint, into {work.folder}{judged}")
    if "rl" in stages and recipe.rl:
        rl = recipe.rl
        answers = f"{rl.prompts_per_step * rl.num_generations} answers"
        each = f"{rl.prompts_per_step} pairs" if rl.algorithm == "dpo" else answers
        size = f"{rl.max_steps} steps of {each}, up to {rl.max_completion_length} tokens each"
        lines.append(f"rl: {recipe.rl.algorithm}, {size}, into {work.final}")
    if "eval" in stages:
        when = " before and after" if recipe.eval.baseline else ""
        lines.append(f"eval: {', '.join(recipe.eval.suites) or 'no suite'}{when}")
    if "report" in stages:
        lines.append(f"report: {work.folder / REPORT}")
    return lines


def outcome(folder: Path) -> dict[str, Any]:
    """Scores before and after, and where the results are. Parts that do not exist are left out."""
    found: dict[str, Any] = {}
    for label in (BEFORE, TRAINED, AFTER):
        path = scores_path(folder, label)
        if path.is_file():
            found[label] = json.loads(path.read_text(encoding="utf-8"))
    for name in (DATASET, CHECKPOINT, RL):
        if (folder / name / MANIFEST).is_file():
            found[name] = str(folder / name)
    if (folder / REPORT).is_file():
        found["report"] = str(folder / REPORT)
    return found


def outcome_lines(folder: Path) -> Iterator[str]:
    """`outcome` as the lines that end a run."""
    for name, value in outcome(folder).items():
        if name in (BEFORE, TRAINED, AFTER):
            yield from (f"{name:6} {line}" for line in _score_lines(value))
        else:
            yield f"{name}: {value}"


def _score_lines(scores: Mapping[str, Any]) -> Iterator[str]:
    for suite, entry in scores.get("suites", {}).items():
        if note := entry.get("not_judged"):
            yield f"{suite}: not judged ({entry['n']} problems): {note}"
        for measure, value in entry.get("measures", {}).items():
            low, high = value["interval"]
            yield f"{suite} {measure}: {value['value']:.1%} (95% {low:.1%} to {high:.1%}, n={entry['n']})"


def add_plan(parser: argparse.ArgumentParser) -> None:
    options.add_recipe(parser)
    add = parser.add_argument
    add("--gpu-gib", type=options.positive_float, default=80.0, help="memory of one device in GiB (default: 80)")
    add("--rows", type=options.positive_int, default=0, help="number of training rows, where there is no dataset")
    options.add_json(parser, "print JSON")
    parser.set_defaults(execute=_plan)


def _plan(args: argparse.Namespace) -> None:
    recipe, folder = options.recipe_of(args)
    dataset = Path(recipe.train.dataset) if recipe.train.dataset else folder / DATASET
    expected = make_plan(recipe, gpu_gib=args.gpu_gib, rows=args.rows, dataset=dataset)
    if args.json:
        print(json.dumps(as_json(expected), indent=2))
    else:
        print("\n".join(describe(expected, zero_name(recipe.train))))


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=user_path, help="run directory")
    parser.add_argument(
        "--out", type=user_path, metavar="FILE", help="where to write the page (default: report.html in the run)"
    )
    options.finish(parser, _report)


def _report(args: argparse.Namespace) -> None:
    if not args.run.is_dir():
        raise DataError(f"{args.run}: no such run directory")
    page = write_report(args.run, args.out)
    options.say(args, {"page": page}, [str(page)])
