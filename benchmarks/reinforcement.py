"""What reinforcement brings over SFT, reward by reward: after `evoltune run smoke/rleif`, on two cores.

    evoltune run smoke/rleif --out runs/rleif
    python benchmarks/reinforcement.py --run runs/rleif                          # nine trainings
    python benchmarks/reinforcement.py --run runs/rleif --rewards verifier --seeds 1

The run's SFT checkpoint is trained on the run's own tasks by three rewards: the verifier alone, the verifier times the least step
reward, and both times the instruction reward; each with several seeds. Each result is scored on the held-out problems of the run,
which share no template and no equation with its tasks, and compared with the SFT checkpoint problem by problem: the mean over
seeds, with the interval over problems. Twice: by `--answers` answers to each problem at the temperature of the training, whose expected
reward is what the policy was optimised for, and by the greedy answer. With `rl.algorithm=dpo reward=null` the seeds share their pairs. What is finished is not trained
again, so that two processes can share the work: a model as small as this one trains fastest with a thread a process (OMP_NUM_THREADS=1).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import fmean

import msgspec

from evoltune.dataset.rl_prompts import export_prompts, prompts_of_run
from evoltune.errors import TrainingError
from evoltune.evaluate.measure import evaluate
from evoltune.evaluate.results import load_scores, solved_problems
from evoltune.evaluate.statistics import paired
from evoltune.recipe import Recipe, load_recipe
from evoltune.run.paths import BAND, METRICS, PAIRS, PROMPTS, REWARD_INSTRUCTIONS, REWARD_STEPS, RL
from evoltune.run.run import Run
from evoltune.train.rl.launch import summary, train_policy
from evoltune.train.rl.pairs import write_pairs
from evoltune.train.rl.sampled import prompts_in_band

REWARDS = {"verifier": (), "steps": (REWARD_STEPS,), "instructions": (REWARD_STEPS, REWARD_INSTRUCTIONS)}
"""Name of a reward -> the folders of its models; the verifier is a factor of each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", nargs="*", help="key.path=value, as of `evoltune run`")
    parser.add_argument("--recipe", default="smoke/rleif")
    parser.add_argument("--run", type=Path, default=Path("runs/rleif"), help="a run that has its reward models")
    parser.add_argument("--out", type=Path, help="default: RUN/reinforcement")
    parser.add_argument("--rewards", nargs="+", choices=REWARDS, default=list(REWARDS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--answers", type=int, default=4, help="sampled to each problem, beside the greedy one")
    args = parser.parse_args()
    recipe, out = load_recipe(args.recipe, args.settings), args.out or args.run / "reinforcement"
    assert recipe.rl is not None
    work, prompts, pairs = Run(recipe=recipe, folder=args.run), out / PROMPTS, None
    rows = list(prompts_of_run(work, []))
    if recipe.rl.band:
        rows, _ = prompts_in_band(work, rows, out / BAND)
    export_prompts(rows, prompts, "trl")
    if recipe.rl.algorithm == "dpo":
        write_pairs(work, rows, pairs := out / PAIRS)
    sampled = {
        "greedy": (1, 0.0),
        **({f"{args.answers} sampled": (args.answers, recipe.rl.temperature)} if args.answers else {}),
    }
    ways = {
        way: msgspec.structs.replace(recipe, eval=msgspec.structs.replace(recipe.eval, n=n, temperature=temperature))
        for way, (n, temperature) in sampled.items()
    }
    score(ways, work.checkpoint, out / "sft")
    for reward in args.rewards:
        for seed in args.seeds:
            train_and_score(work, ways, reward, seed, (prompts, pairs), out / reward / str(seed))
    print(
        "| reward | answers | seeds | SFT | after RL | gain (95% over problems) | of each seed |\n|---|---|---:|---:|---:|---:|---|"
    )
    for reward in args.rewards:
        for way in ways:
            print(row(recipe, reward, way, out, args.seeds), flush=True)


def score(ways: dict[str, Recipe], model: Path, out: Path) -> None:
    """Scores a checkpoint in each way of answering."""
    for way, recipe in ways.items():
        evaluate(recipe, str(model), out / way.replace(" ", "-"), baseline=False)


def train_and_score(
    work: Run, ways: dict[str, Recipe], reward: str, seed: int, rows: tuple[Path, Path | None], out: Path
) -> None:
    """Trains the policy by this reward and scores it, where that is not done yet. A run that a guard stops has no score."""
    parts = REWARDS[reward]
    models = {folder.removeprefix("reward-"): work.folder / folder for folder in parts}
    settings = work.recipe.reward
    if settings and reward != "instructions":
        settings = msgspec.structs.replace(settings, instructions=None) if parts else None
    recipe = msgspec.structs.replace(work.recipe, seed=seed, reward=settings)
    try:
        prompts, pairs = rows
        train_policy(recipe, prompts=prompts, start=work.checkpoint, out=out / RL, rewards=models, pairs=pairs)
        score(ways, out / RL, out)
    except TrainingError as error:
        print(f"{reward}, seed {seed}: {error}", file=sys.stderr)
    print(f"{reward}, seed {seed}: {summary(out / RL / METRICS)}", file=sys.stderr, flush=True)


def row(recipe: Recipe, reward: str, way: str, out: Path, seeds: list[int]) -> str:
    """The line of the table for a reward and a way of answering."""
    folder = way.replace(" ", "-")
    places = [place for seed in seeds if (place := out / reward / str(seed) / folder).is_dir()]
    if not places:
        return f"| {reward} | {way} | 0 of {len(seeds)} | | | | |"
    before, *after = (solved(place) for place in (out / "sft" / folder, *places))
    problems = sorted(before)
    means = [fmean(found[p] for found in after) for p in problems]
    result = paired([before[p] for p in problems], means, recipe.seed)
    each = ", ".join(f"{100 * fmean(found[p] - before[p] for p in problems):+.1f}" for found in after)
    low, high = (100 * bound for bound in result.interval)
    return (
        f"| {reward} | {way} | {len(after)} of {len(seeds)} | {result.a:.1%} | {result.b:.1%} "
        f"| {100 * result.difference:+.1f} points ({low:+.1f} to {high:+.1f}) | {each} |"
    )


def solved(place: Path) -> dict[str, float]:
    """Problem -> share of its answers that solve it, of all suites."""
    scores = load_scores(place)["suites"]
    return {f"{name} {p}": v for name, entry in scores.items() for p, v in solved_problems(place, name, entry).items()}


if __name__ == "__main__":
    main()
