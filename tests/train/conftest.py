"""A tiny base and 48 rows, trained for six steps by the launcher."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from extras import needs

from evoltune.recipe import load_recipe

OVERRIDES = (
    "eval.suites=[]", "train.max_length=256", "train.per_device_train_batch_size=4", "train.global_batch_size=8",
    "train.learning_rate=1e-3", "train.warmup_steps=5", "train.precision=fp32", "train.finetuning_type=full",
    "train.max_steps=6", "compute.hang_timeout_s=120",
)  # fmt: skip
DRIVER = """
import sys
from pathlib import Path
from evoltune.errors import TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.launch import train
try:
    train(load_recipe("smoke/math", sys.argv[3:]), sys.argv[1], Path(sys.argv[2]), suites={})
except TrainingError as error:
    sys.exit(str(error))
"""


@pytest.fixture(scope="session")
def overrides(tiny_base: Path) -> list[str]:
    """Of the recipe smoke/math: six steps of full fine-tuning of the tiny base."""
    return [f"train.model_name_or_path={tiny_base}", *OVERRIDES]


@pytest.fixture(scope="session")
def recipe(overrides: list[str]) -> Callable[..., Any]:
    return lambda *more: load_recipe("smoke/math", [*overrides, *more])


@pytest.fixture(scope="session")
def fine_tune(recipe: Callable[..., Any], tiny_rows: Path) -> Callable[..., Any]:
    """Trains into a folder under more overrides; returns the manifest."""
    needs("torch")
    from evoltune.train.launch import train

    return lambda out, *more: train(recipe(*more), tiny_rows, out, suites={})


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that trains in a process of its own: `driver ROWS OUT OVERRIDE ...`."""
    path = tmp_path_factory.mktemp("driver") / "driver.py"
    path.write_text(DRIVER)
    return path


@pytest.fixture(scope="session")
def losses() -> Callable[[Path], list[float]]:
    """The losses of a finished or interrupted job, by step."""
    return lambda folder: [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def trained(fine_tune: Callable[..., Any], made_once) -> Callable[[str], Path]:
    """The checkpoint of six steps in one process, for a finetuning type."""
    return lambda kind: made_once(f"trained-{kind}", lambda out: fine_tune(out, f"train.finetuning_type={kind}"))


@pytest.fixture
def job_in(recipe: Callable[..., Any]) -> Callable[..., Any]:
    """A job in a folder, not started."""
    from evoltune.train.job import Job

    return lambda folder, *more: Job(
        recipe=recipe(*more), rows="rows.jsonl", base="base", out=str(folder), fingerprint="f"
    )
