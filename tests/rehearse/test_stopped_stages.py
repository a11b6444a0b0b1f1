"""Faults that show only while a rehearsal runs: each stops the stage where it belongs, and the message says what to do."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from extras import needs
from openai_server import serving

from evoltune.recipe import dump_recipe, load_recipe
from evoltune.rehearse.rehearsal import RECIPE_FILE, RUN_FOLDER, StageResult, rehearse, results_of, run_small
from evoltune.rehearse.shrink import KEY_ENV, shrink
from evoltune.run.run import Run

EVOLVES = ["domain: general", "evolve: {rounds: 1, equal_check: false}", "train: {template: alpaca}"]


def own_recipe(folder: Path, base: Path, rows: Path) -> Path:
    """A recipe that trains on rows of its own, which lie beside it."""
    shutil.copy(rows, folder / "rows.jsonl")
    recipe = folder / "own.yaml"
    train = (
        f"{{model_name_or_path: {base}, dataset: rows.jsonl, template: alpaca, finetuning_type: lora, max_steps: 40}}"
    )
    recipe.write_text(f"domain: general\ntrain: {train}\n")
    return recipe


def stopped_by_teacher(folder: Path, **options: object) -> StageResult:
    """The stage that stops where the teacher behaves like this."""
    recipe = folder / "mine.yaml"
    recipe.write_text("\n".join(EVOLVES))
    with serving(**options) as server:
        small, _ = shrink(load_recipe(recipe), teacher_url=f"{server.url}/v1", processes=1)
        (folder / RECIPE_FILE).write_text(dump_recipe(small, folder))
        started = run_small(folder / RECIPE_FILE, folder, os.environ | {KEY_ENV: "x"})
    results = list(results_of(started, Run(recipe=small, folder=folder).stages))
    assert [r.status for r in results[1:]] == ["not reached"] * (len(results) - 1)
    return results[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"error": 401, "message": "no such key"}, "HTTP 401 no such key: check api_key_env"),
        pytest.param({"error": 404, "message": "no such model"}, "check teacher.model", marks=pytest.mark.slow),
        pytest.param(
            {"die_after": 4}, "the teacher does not answer: .*everything finished is kept", marks=pytest.mark.slow
        ),
    ],
)
def test_a_teacher_that_fails_stops_evolve(options: dict[str, object], expected: str, tmp_path: Path) -> None:
    result = stopped_by_teacher(tmp_path, **options)
    assert (result.name, result.status) == ("evolve", "stopped")
    assert re.search(expected, result.message), result.message


def test_the_stages_of_a_recipe_with_rows_of_its_own_begin_at_train(tmp_path: Path) -> None:
    recipe = load_recipe("smoke/math", ["train.dataset=rows.jsonl"])
    assert Run(recipe=recipe, folder=tmp_path).stages == ("train", "eval", "report")


@pytest.mark.slow
def test_own_rows_rehearse_green_and_a_full_disk_stops_training(
    tiny_base: Path, tiny_rows: Path, tmp_path: Path
) -> None:
    recipe = load_recipe(own_recipe(tmp_path, tiny_base, tiny_rows))
    outcome = rehearse(recipe, tmp_path / "green")
    assert outcome.ok and [s.name for s in outcome.stages] == ["train", "eval", "report"], outcome.stages
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("needs root to mount a small file system")
    disk = tmp_path / "full" / RUN_FOLDER
    disk.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]).returncode:
        pytest.skip("cannot mount here")
    try:
        train = rehearse(recipe, tmp_path / "full").stages[0]
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert (
        (train.name, train.status) == ("train", "stopped") and "GB free" in train.message
    ) or "GiB free" in train.message


@pytest.mark.slow
def test_a_second_node_that_dies_stops_training(tiny_base: Path, tiny_rows: Path, tmp_path: Path) -> None:
    needs("deepspeed")
    recipe = load_recipe(own_recipe(tmp_path, tiny_base, tiny_rows), ["compute.hang_timeout_s=20"])
    folder = tmp_path / "two"

    def kill_the_second() -> None:
        note = folder / RUN_FOLDER / "checkpoint" / "metrics.jsonl"
        while not note.is_file() or not note.stat().st_size:
            time.sleep(0.1)
        for process in Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"HF_HOME={folder / 'node-1' / 'hf'}\0".encode() in process.read_bytes():
                    os.kill(int(process.parent.name), signal.SIGKILL)
            except OSError:
                continue

    threading.Thread(target=kill_the_second, daemon=True).start()
    stages = {stage.name: stage for stage in rehearse(recipe, folder, nodes=2).stages}
    assert stages["train"].status == "stopped", stages
    assert "compute." in stages["train"].message, stages["train"].message


def test_a_narrow_base_that_solves_nothing_still_gets_every_prompt_of_rl() -> None:
    recipe = load_recipe("smoke/rleif", ["rl.band=[0.2, 0.8]"])
    small, shrunk = shrink(recipe, teacher_url="http://127.0.0.1:1/v1", processes=1)
    assert small.rl and small.rl.band == (0.0, 1.0) and any("band" in str(line) for line in shrunk)
