"""The commands and the batch script that start a job's ranks."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import load_recipe
from evoltune.train.launch_command import launch_command, slurm_script


def test_one_process_needs_no_launcher(tmp_path):
    recipe = load_recipe("smoke/math", ["compute.gpus_per_node=1"])
    assert launch_command(tmp_path / "job.json", recipe)[1:3] == ["-m", "evoltune.train"]


def test_several_nodes_need_a_launcher_that_can_do_it(tmp_path):
    with pytest.raises(RecipeError, match="use torchrun, deepspeed or slurm"):
        launch_command(tmp_path / "job.json", load_recipe("smoke/math", ["compute.nodes=4"]))


def test_torchrun_meets_elastically_within_the_restart_budget(tmp_path):
    how = ["compute.nodes=4", "compute.launcher=torchrun", "compute.rendezvous=127.0.0.1", "compute.gpus_per_node=8"]
    command = " ".join(launch_command(tmp_path / "job.json", load_recipe("smoke/math", how)))
    for part in (
        "--nnodes 4", "--nproc-per-node 8", "--max-restarts 6", "--rdzv-backend c10d", "127.0.0.1:29500", "is_host=1",
        "--local-addr 127.0.0.1",
    ):  # fmt: skip
        assert part in command


def test_torchrun_without_a_rendezvous_says_what_to_give(tmp_path):
    how = ["compute.nodes=4", "compute.launcher=torchrun", "compute.gpus_per_node=8"]
    with pytest.raises(RecipeError, match=r"compute.rendezvous: '' must be HOST or HOST:PORT"):
        launch_command(tmp_path / "job.json", load_recipe("smoke/math", how))


def test_deepspeed_takes_a_hostfile(tmp_path):
    how = ["compute.nodes=2", "compute.launcher=deepspeed", "compute.gpus_per_node=8"]
    with pytest.raises(RecipeError, match="hostfile"):
        launch_command(tmp_path / "job.json", load_recipe("smoke/math", how))
    recipe = load_recipe("smoke/math", [*how, f"compute.hostfile={tmp_path}/hosts"])
    for text, problem in (
        (None, "cannot be read"), ("one slots=8\n", "names 1 hosts, compute.nodes is 2"),
        ("one slots=8\ntwo slots=4\n", "gives two 4 slots, compute.gpus_per_node is 8"),
    ):  # fmt: skip
        if text:
            (tmp_path / "hosts").write_text(text)
        with pytest.raises(RecipeError, match=rf"compute.hostfile: .*{problem}"):
            launch_command(tmp_path / "job.json", recipe)
    (tmp_path / "hosts").write_text("one slots=8\ntwo slots=8\n")
    command = launch_command(tmp_path / "job.json", recipe)
    assert command[1:5] == ["-m", "deepspeed.launcher.runner", "--hostfile", str(tmp_path / "hosts")]


def test_the_slurm_script_is_sound_bash_and_stops_before_the_time_limit(tmp_path):
    how = [
        "compute.nodes=4", "compute.launcher=slurm", "compute.gpus_per_node=8", "compute.slurm={partition: a100, time: '24:00:00'}",
        "compute.env={NCCL_IB_DISABLE: '1'}",
    ]  # fmt: skip
    recipe = load_recipe("smoke/math", how)
    folder = tmp_path / "a run"
    folder.mkdir()
    script = slurm_script(folder / "job.json", recipe)
    path = folder / "job.sh"
    path.write_text(script)
    subprocess.run(["bash", "-n", str(path)], check=True)
    for line in (
        "#SBATCH --nodes=4",
        "#SBATCH --partition=a100",
        "#SBATCH --signal=B:USR1@300",
        "export NCCL_IB_DISABLE=1",
    ):
        assert line in script.splitlines()
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", str(path)], check=True)
    assert launch_command(folder / "job.json", recipe) == ["sbatch", "--wait", str(path)]


def test_the_slurm_script_requeues_after_a_graceful_stop(tmp_path):
    """Run for real, with stand-ins for Slurm's commands: srun waits for the stop file, as the trainer does."""
    recipe = load_recipe("smoke/math", ["compute.nodes=2", "compute.launcher=slurm", "compute.gpus_per_node=8"])
    tools = tmp_path / "bin"
    tools.mkdir()
    stop = tmp_path / "stop"
    fakes = {
        "scontrol": f'echo "$@" >> {tmp_path}/scontrol.log; echo node1',
        "srun": f"touch {tmp_path}/started; for i in $(seq 100); do [ -e {stop} ] && exit 3; sleep 0.1; done; exit 9",
    }
    for name, body in fakes.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    path = tmp_path / "job.sh"
    path.write_text(slurm_script(tmp_path / "job.json", recipe))
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_ID": "7"}
    process = subprocess.Popen(["bash", str(path)], env=env)
    deadline = time.monotonic() + 120
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=120) == 3
    assert (tmp_path / "scontrol.log").read_text().splitlines()[-1] == "requeue 7"
    assert not stop.exists()
