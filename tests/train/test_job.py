"""Jobs: what makes two of them the same, what is in the way of a new one, and a rank that hangs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from evoltune.errors import RecipeError
from evoltune.train.job import make_job, refuse_replacement, write_job


def test_a_rank_that_hangs_ends_itself_with_stacks_and_a_reason(job_in, tmp_path):
    write_job(job_in(tmp_path, "compute.hang_timeout_s=0.5"))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evoltune.train.job import read_job\n"
        "from evoltune.train.job import Watchdog\n"
        "dog = Watchdog(read_job(Path(sys.argv[1]))); dog.start(); dog.beat('step 4'); time.sleep(60)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "job.json")], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 75
    assert "most recent call first" in done.stderr
    assert "no progress for 0.5 s after 'step 4'" in json.loads((tmp_path / "error-0.json").read_text())["message"]


def test_a_rank_that_was_suspended_goes_on(job_in, tmp_path):
    """It works for a third of the limit between two reports, and in the midst of that stands still for twice the limit."""
    write_job(job_in(tmp_path, "compute.hang_timeout_s=2"))
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom evoltune.train.job import Watchdog, read_job\n"
        "dog = Watchdog(read_job(Path(sys.argv[1]))); dog.start()\n"
        "for step in range(3):\n"
        "    dog.beat(f'step {step}'); print(step, flush=True); end = time.process_time() + 0.7\n"
        "    while time.process_time() < end: pass\n"
    )
    rank = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "job.json")], stdout=subprocess.PIPE, text=True)
    assert rank.stdout and rank.stdout.readline() == "0\n"
    rank.send_signal(signal.SIGSTOP)
    time.sleep(4)
    rank.send_signal(signal.SIGCONT)
    assert (rank.communicate(timeout=60)[0], rank.returncode) == ("1\n2\n", 0)


def job_of(recipe, rows, out):
    job = make_job(recipe, str(rows), "base", out, None)
    write_job(job)
    return job


def test_how_a_batch_is_divided_is_no_other_training_and_the_rows_are(recipe, tiny_rows, tmp_path):
    whole = job_of(recipe(), tiny_rows, tmp_path)
    same = ("train.per_device_train_batch_size=1", "train.save_steps=9", "train.gradient_checkpointing=true")
    assert job_of(recipe(*same), tiny_rows, tmp_path).fingerprint == whole.fingerprint
    for other in ("train.global_batch_size=16", "train.learning_rate=1e-4", "seed=8"):
        assert job_of(recipe(other), tiny_rows, tmp_path).fingerprint != whole.fingerprint
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(tiny_rows.read_bytes())
    before = job_of(recipe(), folder, tmp_path).fingerprint
    (folder / "test.jsonl").write_text("{}")  # is not read
    assert job_of(recipe(), folder, tmp_path).fingerprint == before
    (folder / "b.jsonl").write_text("{}")
    assert job_of(recipe(), folder, tmp_path).fingerprint != before


def test_what_another_training_made_is_never_replaced(recipe, tiny_rows, tmp_path):
    job = job_of(recipe(), tiny_rows, tmp_path)
    other = recipe("train.learning_rate=5e-3")
    refuse_replacement(other, tmp_path, job.content)  # nothing was trained yet
    (tmp_path / "steps" / "checkpoint-5").mkdir(parents=True)
    refuse_replacement(recipe("train.per_device_train_batch_size=1"), tmp_path, job.content)
    with pytest.raises(
        RecipeError, match=r"step 5 of an unfinished .*train.learning_rate was 0.001, is 0.005.*set this back"
    ):
        refuse_replacement(other, tmp_path, job.content)
    manifest = {"steps": 6, "content": job.content, "recipe": msgspec.to_builtins(recipe())}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    refuse_replacement(recipe(), tmp_path, None)
    with pytest.raises(RecipeError, match=r"a finished checkpoint \(6 steps\).*give another --out"):
        refuse_replacement(other, tmp_path, None)
    with pytest.raises(RecipeError, match="the training rows have changed"):
        refuse_replacement(recipe(), tmp_path, "others")
