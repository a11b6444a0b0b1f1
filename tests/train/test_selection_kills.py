"""The choice of a checkpoint, killed at each of its steps: it is made once, and ends in the same weights."""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import count
from pathlib import Path

import pytest

from evoltune.rows.files import file_digest, write_json
from evoltune.run.paths import JUDGED
from evoltune.train.step_checkpoints import chosen_by_another, damage, mark_complete, select_checkpoint

OVERRIDES = (
    "train.checkpoint_select=generations", "train.dev_suite=dev", "train.save_steps=2",
    "eval.judge={teacher: {model: first}, protocol: preference}",
)  # fmt: skip
SCORES = {b"two": 0.3, b"four": 0.7, b"six": 0.5}
WATCHED = ("os.rename", "os.remove", "shutil.copyfile")


def write_candidates(folder: Path, job_in):
    """Checkpoints of steps 2, 4 and 6, the last one the final state; step 4 has its weights in two files."""
    job = job_in(folder, *OVERRIDES)
    for step, files in ((2, {"model.safetensors": "two"}), (4, {"a.safetensors": "four", "b.safetensors": "more"})):
        place = job.steps / f"checkpoint-{step}"
        place.mkdir(parents=True)
        for name, content in {**files, "config.json": "of the step"}.items():
            (place / name).write_text(content)
        mark_complete(place)
    for name, content in {"model.safetensors": "six", "config.json": "final", "template.json": "{}"}.items():
        (folder / name).write_text(content)
    (folder / "metrics.jsonl").write_text(json.dumps({"step": 6, "loss": 1.0}) + "\n")
    manifest = {
        "steps": 6,
        "files": {name: file_digest(folder / name) for name in ("model.safetensors", "config.json")},
    }
    write_json(folder / "manifest.json", manifest)
    return job


def select(job):
    """What the driver does: nothing where the manifest names a step already. Calls of `score` are counted in a file."""

    def score(recipe, model, out, reference):
        with (job.folder / "asked").open("a") as file:
            file.write(f"{Path(out).name}\n")
        if out != reference:
            (out / JUDGED).mkdir(parents=True, exist_ok=True)
        assert (Path(model) / "config.json").read_text() == "final"  # completed with what the final state has
        weights = sorted(Path(model).glob("*.safetensors"))
        return SCORES[weights[0].read_bytes()]

    manifest = json.loads((job.folder / "manifest.json").read_text())
    return manifest if "selected_step" in manifest else select_checkpoint(job, manifest, score)


def killed_at(job, number: int) -> bool:
    """Whether a process that selects is ended by SIGKILL at its n-th renaming, removal or copy of a file."""
    child = os.fork()
    if child == 0:
        seen = count(1)
        sys.addaudithook(
            lambda event, args: event in WATCHED and next(seen) == number and os.kill(os.getpid(), signal.SIGKILL)
        )
        try:
            select(job)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_choice_that_is_killed_at_any_step_is_made_once_and_ends_in_the_same_weights(job_in, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda file: None)  # it is for machines that fail: hundreds of them take seconds
    for number in count(1):
        job = write_candidates(tmp_path / str(number), job_in)
        was_killed = killed_at(job, number)
        is_decided = (job.folder / "selection.json").is_file()
        manifest = select(job)
        assert manifest["selected_step"] == 4, number
        weights = {path.name: path.read_text() for path in job.folder.glob("*.safetensors")}
        assert weights == {"a.safetensors": "four", "b.safetensors": "more"}, number
        assert manifest["files"] == {name: file_digest(job.folder / name) for name in (*weights, "config.json")}, number
        if is_decided:
            assert (job.folder / "asked").read_text() == "6\n2\n4\n", number
        if not was_killed:
            break
    assert number > 10  # there is something to be killed in


def test_another_judge_later_chooses_nothing_and_says_so(job_in, tmp_path):
    job = write_candidates(tmp_path, job_in)
    select(job)
    assert json.loads((tmp_path / "selection.json").read_text())["judge"]["model"] == "first"
    assert chosen_by_another(job) == ""
    other = job_in(tmp_path, *OVERRIDES[:-1], "eval.judge={teacher: {model: second}, protocol: preference}")
    assert (
        "step 4 was chosen by the judge 'first' (preference) and is not chosen again by 'second'"
        in chosen_by_another(other)
    )
    assert chosen_by_another(job_in(tmp_path, *OVERRIDES[:-1])) == ""  # no judge, nobody to choose by


@pytest.mark.parametrize(("file", "left_out"), [("a.safetensors", True), ("config.json", False)])
def test_a_candidate_is_left_out_for_its_weights_alone(job_in, tmp_path, file, left_out):
    job = write_candidates(tmp_path, job_in)
    (job.steps / "checkpoint-4" / file).write_text("damaged")
    assert damage(job.steps / "checkpoint-4") == f"{file} is not what was saved"
    assert select(job)["selected_step"] == (6 if left_out else 4)
