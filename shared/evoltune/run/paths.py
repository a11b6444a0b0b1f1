"""Every file and folder name of a run, once.

    folder / DATASET / TRAIN_ROWS          # runs/smoke-math/dataset/train.parquet

Imports nothing of ours, so that every room may import it.
"""

from os import PathLike
from pathlib import Path

RUNS = Path("runs")
"""Where runs go without --out."""

# ---- in the run's folder
RECIPE = "recipe.yaml"
"""The resolved recipe: a run can be repeated from its own folder."""
ORIGIN = "origin.txt"
"""The recipe file that the run was started from."""
STORE = "store.sqlite"
STORE_LOCK = "store.lock"
STORE_RESERVE = "store.reserve.tmp"
"""Room for replies that are paid when the disk is full: see `run.reserve`."""
RUN_LOCK = "run.lock"
DATASET = "dataset"
CHECKPOINT = "checkpoint"
REWARD_STEPS, REWARD_INSTRUCTIONS = "reward-steps", "reward-instructions"
"""Reward models; beside each the rows that it was trained on, of the same name."""
RL = "rl"
"""The checkpoint that reinforcement learning made of CHECKPOINT."""
EVAL = "eval"
REPORT = "report.html"
ROUNDS = "rounds"
"""Evol-stop: dataset, checkpoint and dev scores of the first N rounds, in ROUNDS/N."""
DEV = "dev"
ABLATION = "ablation"
ABLATION_RESULTS, ABLATION_CHART, ABLATION_PAGE = "ablation.json", "ablation.svg", "ablation.html"
OPTIMISE = "optimise"
"""The optimiser of prompts: a store of its own, PROMPT_FOLDER with the prompts that were taken, and HISTORY."""
PROMPT_FOLDER = "improved"
HISTORY, HISTORY_PAGE = "history.json", "history.html"
SLURM = "slurm"
"""Batch scripts and their logs."""

# ---- in a dataset's and a checkpoint's folder
MANIFEST = "manifest.json"
"""Written last: a folder that holds it is complete."""
CERTIFICATE = "certificate.json"
"""What the dataset was checked against; a copy travels with the checkpoint."""
TRAIN_ROWS = "train.parquet"
DIFFICULTY_CHART = "difficulty.svg"

JOB = "job.json"
JOB_SCRIPT = "job.sh"
METRICS = "metrics.jsonl"
EVENTS = "events.jsonl"
"""Loss spikes, skipped batches and restarts."""
SAMPLED = "sampled.jsonl"
"""Answers of a reinforcement run at some of its steps, each with the parts of its reward."""
PROMPTS = "prompts.jsonl"
"""What RL answers, with the columns that its answers are verified by; beside it a note of where they are from, and their number."""
BAND = "band.jsonl"
"""The checkpoint's samples by which `rl.band` chose prompts."""
PAIRS = "pairs.jsonl"
"""What preference training reads; beside it a note of their number, and the samples that they were made of."""
SCORER = "scorer.json"
"""Of a reward model: what it scores, and how it is prompted."""
EVIDENCE = "evidence.jsonl"
"""Of a reward model by likelihood: what was read of each labelled solution."""
TEMPLATE = "template.json"
"""The prompt template with its proof."""
TRAIN_LOCK = ".train.lock"
"""Held by rank 0 while it works in the folder."""
HEARTBEAT = "heartbeat"
"""Written by rank 0 after each step: what was done last."""
STOP = "stop"
"""While this file exists, the ranks save a checkpoint after the current step and end."""
STEPS = "steps"
"""Checkpoints of an unfinished job, with optimizer state."""
STEP_HASHES = "verified.json"
"""Size and hash of each file of one of these; without it the checkpoint is unfinished."""
SELECTION = "selection.json"
NODES = "nodes"
"""One folder for each node but the first: its job, its heartbeat, its copy of the rows."""

# ---- in EVAL
BEFORE = "before"
AFTER = "after"
TRAINED = "sft"
"""Of the fine-tuned checkpoint, where the final one is RL's."""
SCORES = "scores.json"
JUDGED = "judge"
"""The judge's store, and a folder for each suite of open answers."""
STANDINGS = "study.json"
"""In each of these: who wins against whom, and how far the judge can be trusted."""


def default_folder(name: str) -> Path:
    """The folder of a recipe's run when none is given."""
    return RUNS / name


def scores_path(folder: Path, label: str) -> Path:
    """The scores of a run, `label` BEFORE or AFTER training."""
    return folder / EVAL / label / SCORES


def train_rows(folder: Path) -> Path | None:
    """The training rows of a run's folder or a dataset's; None when neither is there."""
    return next((file for file in (folder / DATASET / TRAIN_ROWS, folder / TRAIN_ROWS) if file.is_file()), None)


def user_path(given: "str | PathLike[str]") -> Path:
    """A path as people write it: `~` is the home directory. Where there is none (`~nobody`, no HOME), the path stays as it is,
    as in a shell, so that what is missing is named."""
    try:
        return Path(given).expanduser()
    except RuntimeError:
        return Path(given)
