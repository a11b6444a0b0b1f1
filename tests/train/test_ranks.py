"""Several ranks: ZeRO on the processes of one machine, another number of ranks, two nodes and a killed rank."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from extras import needs

from evoltune.train.step_checkpoints import damage

needs("deepspeed")


def assert_same_training(out: Path, alone: Path, kind: str, losses) -> None:
    """The losses of every step and the trained weights."""
    import torch
    from safetensors.torch import load_file

    assert losses(out) == pytest.approx(losses(alone), abs=1e-3)
    name = "model.safetensors" if kind == "full" else "adapter_model.safetensors"
    ours, theirs = load_file(out / name), load_file(alone / name)
    assert ours.keys() == theirs.keys() and all(t.numel() for t in ours.values())
    assert all(torch.allclose(ours[n], theirs[n], atol=2e-3) for n in ours)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "lora"])
@pytest.mark.parametrize("stage", ["zero1", "zero2", "zero3", "zero3-offload"])
def test_two_ranks_have_the_losses_and_the_weights_of_one(kind, stage, trained, fine_tune, losses, tmp_path):
    out = tmp_path / "checkpoint"
    two_ranks = (f"train.deepspeed={stage}", "compute.gpus_per_node=2", "train.loss_chunk=16")
    fine_tune(out, f"train.finetuning_type={kind}", *two_ranks)
    assert_same_training(out, trained(kind), kind, losses)


def interrupt(command: list[str], out: Path) -> None:
    """Starts a training and kills it, with all its ranks, once checkpoint-3 is complete."""
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not is_complete(out / "steps" / "checkpoint-3") and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert is_complete(out / "steps" / "checkpoint-3")
    assert not (out / "manifest.json").exists()


def is_complete(step: Path) -> bool:
    return step.is_dir() and not damage(step)


@pytest.mark.parametrize(
    ("stage", "first", "then"),
    [
        pytest.param("zero2", 2, 1, marks=pytest.mark.slow),
        pytest.param("zero3", 2, 1, marks=pytest.mark.slow),
        pytest.param("zero2", 1, 2, marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_goes_on_with_another_number_of_ranks(
    stage, first, then, trained, fine_tune, driver, overrides, losses, tiny_rows, tmp_path
):
    out = tmp_path / "checkpoint"
    how = [f"train.deepspeed={stage}", "train.save_steps=3"]
    command = [sys.executable, str(driver), str(tiny_rows), str(out)]
    interrupt([*command, *overrides, *how, f"compute.gpus_per_node={first}"], out)
    before = (out / "metrics.jsonl").read_text().splitlines()[:3]
    fine_tune(out, *how, f"compute.gpus_per_node={then}")
    # Each line holds measured times: these are the lines of the killed job, not of one that began again.
    assert (out / "metrics.jsonl").read_text().splitlines()[:3] == before
    assert len(losses(out)) == 6
    assert losses(out)[-3:] == pytest.approx(losses(trained("full"))[-3:], abs=1e-3)


@pytest.fixture
def nodes():
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("two nodes need root and iproute2 to make network namespaces")
    names = [f"evt{os.getpid()}n{i}" for i in (0, 1)]
    cable = [f"ev{os.getpid() % 100000}v{i}" for i in (0, 1)]
    script = [f"ip netns add {n}" for n in names] + [f"ip link add {cable[0]} type veth peer name {cable[1]}"]
    for i, name in enumerate(names):
        script += [
            f"ip link set {cable[i]} netns {name}", f"ip -n {name} addr add 10.77.0.{i + 1}/24 dev {cable[i]}",
            f"ip -n {name} link set lo up", f"ip -n {name} link set {cable[i]} up",
        ]  # fmt: skip
    try:
        made = subprocess.run(["sh", "-ec", "\n".join(script)], capture_output=True, text=True)
        if made.returncode:
            pytest.skip(f"no network namespaces here: {made.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def rank_pid(out: Path, rank: int) -> int | None:
    """The trainer process of a rank of this very job."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            jobs = [w for w in words if w.startswith(str(out).encode()) and w.endswith(b"/job.json")]
            mine = jobs and b"torch.distributed.run" not in words
            if mine and f"RANK={rank}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                return int(folder.name)
    return None


def wait_for_step(out: Path, step: int, processes) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if len((out / "metrics.jsonl").read_text().splitlines()) >= step:
                return
        assert all(p.poll() is None for p in processes), "the job ended before it could be disturbed"
        time.sleep(0.02)
    raise AssertionError("the job never reached the step")


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        pytest.param("lora", "zero3", marks=pytest.mark.slow),  # in short: tests/train/test_nodes.py
        pytest.param("full", "zero2", marks=pytest.mark.slow),
        pytest.param("full", "zero3", marks=pytest.mark.slow),
    ],
)
def test_two_nodes_that_lose_a_rank_train_as_one_process(
    kind, stage, nodes, fine_tune, driver, overrides, losses, tiny_rows, tmp_path
):
    out, steps = tmp_path / "cluster" / "checkpoint", 20
    same = (f"train.finetuning_type={kind}", f"train.max_steps={steps}")
    out.parent.mkdir()
    command = [
        sys.executable, str(driver), str(tiny_rows), str(out), *overrides, *same, "compute.nodes=2", "compute.gpus_per_node=1",
        "compute.launcher=torchrun", "compute.rendezvous=10.77.0.1", f"train.deepspeed={stage}", "train.loss_chunk=16",
        "train.save_steps=4",
    ]  # fmt: skip
    log = (out.parent / "nodes.log").open("ab")
    processes = [subprocess.Popen(["ip", "netns", "exec", name, *command], stdout=log, stderr=log) for name in nodes]
    try:
        wait_for_step(out, 6, processes)
        victim = rank_pid(out, 1)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        codes = [p.wait(timeout=300) for p in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], (out.parent / "nodes.log").read_text(errors="replace")[-3000:]
    assert json.loads((out / "manifest.json").read_text())["steps"] == steps
    alone = tmp_path / "alone"
    fine_tune(alone, *same)
    assert_same_training(out, alone, kind, losses)
    assert len(losses(out)) == steps
