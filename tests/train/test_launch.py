"""Whole training jobs on a tiny base: what is written, what is refused, what continues after a stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evoltune.errors import CertificateError, DataError, RecipeError, StoreError, TrainingError
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import load_recipe
from evoltune.run.lock import is_locked, locked
from evoltune.train import job
from evoltune.train.launch import failure, run_trainer, train


def test_a_job_leaves_a_complete_checkpoint_with_its_proof(trained, losses):
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    from evoltune.models.proof import check_golden

    out = trained("full")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["steps"] == 6 and manifest["data"]["kept"] == 48
    files = {"model.safetensors", "tokenizer.json", "template.json", "generation_config.json", "README.md"}
    assert set(manifest["files"]) >= files
    template = check_golden(out, AutoTokenizer.from_pretrained(out))
    assert GenerationConfig.from_pretrained(out).eos_token_id == template.stop.id
    AutoModelForCausalLM.from_pretrained(out)
    steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]
    assert losses(out)[-1] < losses(out)[0] - 0.1
    assert not (out / "steps").exists()


def test_a_finished_job_is_not_trained_again(trained, fine_tune):
    out = trained("full")
    before = (out / "manifest.json").stat().st_mtime_ns
    assert fine_tune(out, "train.finetuning_type=full")["steps"] == 6
    with pytest.raises(RecipeError, match=r"holds a finished checkpoint \(6 steps\) with other settings"):
        fine_tune(out, "train.finetuning_type=full", "train.weight_decay=0.1")
    assert (out / "manifest.json").stat().st_mtime_ns == before


def test_a_dataset_without_certificate_is_refused_with_the_command_that_makes_one(tiny_base, tiny_rows, tmp_path):
    wanted = load_recipe("smoke/math", [f"train.model_name_or_path={tiny_base}"])
    suites = {name: load_suite(name, domain=wanted.domain) for name in wanted.eval.suites}
    with pytest.raises(CertificateError, match=r"evoltune .*decontaminate .*--allow-uncertified"):
        train(wanted, tiny_rows, tmp_path / "out", suites=suites)
    assert not (tmp_path / "out").exists()


def test_a_long_row_stops_the_job_before_the_first_step_with_the_trainers_own_sentence(fine_tune, tmp_path):
    with pytest.raises(DataError, match=r"48 of 48 rows are longer than train.max_length 16"):
        fine_tune(tmp_path / "out", "train.max_length=16", "train.excess_length=raise")
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_an_unknown_base_folder_is_named(fine_tune, tmp_path):
    with pytest.raises(TrainingError, match=r"nowhere/base.: no such folder"):
        fine_tune(tmp_path / "out", "train.model_name_or_path=./nowhere/base")


def test_sigterm_saves_a_checkpoint_and_the_same_command_ends_with_the_uninterrupted_losses(
    trained, fine_tune, driver, overrides, losses, tiny_rows, tmp_path
):
    out = tmp_path / "checkpoint"
    process = subprocess.Popen(
        [sys.executable, str(driver), str(tiny_rows), str(out), *overrides], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (out / "heartbeat").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=120)
    assert process.returncode == 1 and "stopped on request after step 1 of 6, with a checkpoint" in stderr
    with pytest.raises(
        RecipeError, match=r"step 1 of an unfinished training with other settings: train\.learning_rate"
    ):
        fine_tune(out, "train.learning_rate=5e-3")
    assert fine_tune(out, "train.per_device_train_batch_size=2")["steps"] == 6  # after running out of memory, say
    assert losses(out) == pytest.approx(losses(trained("full")), abs=1e-5)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs root to mount a small file system")
def test_a_full_disk_at_save_is_one_sentence(fine_tune, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(TrainingError, match=r"cannot be written: .*GiB free"):
            fine_tune(disk / "out", "train.max_steps=1")
        assert not (disk / "out" / "manifest.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_the_driver_ends_a_silent_job_and_its_children(tmp_path):
    script = "(trap '' TERM; exec sleep 99) & echo $! > child; wait"
    with pytest.raises(TrainingError, match=r"the trainer showed no progress for . s \(last: start\)"):
        run_trainer(["sh", "-c", f"cd {tmp_path}; {script}"], os.environ, tmp_path, hang_timeout_s=-29.5)  # limit: 1 s
    child = Path(f"/proc/{int((tmp_path / 'child').read_text())}/status")
    deadline = time.monotonic() + 20
    while running := child.exists() and "(zombie)" not in child.read_text():
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert not running


def test_a_clock_that_steps_does_not_end_a_healthy_job(tmp_path):
    script = f"touch -d '2 hours ago' {tmp_path / 'heartbeat'}; sleep 0.5; exit 7"
    assert run_trainer(["sh", "-c", script], os.environ, tmp_path, hang_timeout_s=0) == 7


def test_a_suspended_job_is_not_a_silent_one(tmp_path):
    """Twice the limit it stands still, then it goes on as if nothing had been."""
    script = f"(sleep 4; kill -CONT $$) & kill -STOP $$; sleep 0.3; echo step 1 > {tmp_path / 'heartbeat'}; exit 7"
    assert run_trainer(["sh", "-c", script], os.environ, tmp_path, hang_timeout_s=-29) == 7  # limit: 2 s


def test_a_driver_that_stood_still_does_not_blame_the_job(tmp_path):
    """Nothing was silent: this process did not look, as on a laptop that was asleep."""
    code = (
        "import os, sys, threading\nfrom pathlib import Path\nfrom evoltune.train.launch import run_trainer\n"
        "command = ['sh', '-c', f'sleep 0.5; kill -STOP {os.getpid()}; sleep 5; kill -CONT {os.getpid()}; sleep 0.4; exit 7']\n"
        "sys.exit(run_trainer(command, os.environ, Path(sys.argv[1]), -28.5))  # limit: 3 s\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 7, done.stderr


@pytest.mark.slow  # in short: tests/run/test_kills.py, and the test of SIGTERM above
def test_a_killed_drivers_trainer_ends_and_the_same_command_continues(
    trained, fine_tune, driver, overrides, losses, tiny_rows, tmp_path
):
    out = tmp_path / "checkpoint"
    command = [sys.executable, str(driver), str(tiny_rows), str(out), *overrides, "train.save_steps=1"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((out / "steps").glob("*/verified.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert is_locked(out / ".train.lock")
    process.kill()
    process.wait()
    begin = time.monotonic()
    while is_locked(out / ".train.lock") and time.monotonic() - begin < 60:
        time.sleep(0.05)
    assert not is_locked(out / ".train.lock"), "the trainer works on without its driver"
    if not (out / "manifest.json").exists():  # on a fast machine it may have finished
        assert fine_tune(out, "train.save_steps=1")["steps"] == 6
    assert losses(out) == pytest.approx(losses(trained("full")), abs=1e-6)


def test_a_second_trainer_in_one_folder_is_refused_by_name(fine_tune, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "OTHER_ENDS_S", 0.1)
    with (
        locked(tmp_path / "out", ".train.lock"),
        pytest.raises(StoreError, match=rf"another process.*pid {os.getpid()}"),
    ):
        fine_tune(tmp_path / "out")


def test_a_stop_while_the_nodes_wait_is_said_as_a_stop(tmp_path):
    waiting = job.Job(recipe=load_recipe("smoke/math"), rows="", base="", out=str(tmp_path), fingerprint="")
    (waiting.own / "heartbeat").write_text("start")
    (waiting.own / "stop").touch()
    error = failure(waiting, 143, "the other node")
    assert error.exit_code == 130 and str(error).startswith("stopped on request before training began; run the same")
