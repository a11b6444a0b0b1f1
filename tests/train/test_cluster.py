"""Several ranks and nodes: DeepSpeed's configuration, launch commands, ZeRO on CPU processes, two nodes and a killed rank."""

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

from evoltune.errors import RecipeError, TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.deepspeed import deepspeed_config, refuse_stale_locks, stage_of
from evoltune.train.launch_command import launch_command, slurm_script
from evoltune.train.step_checkpoints import damage

STAGES = ("zero1", "zero2", "zero3", "zero3-offload")
COMMON = (
    "eval.suites=[]", "train.max_length=256", "train.per_device_train_batch_size=4", "train.global_batch_size=8",
    "train.learning_rate=1e-3", "train.warmup_steps=5", "train.precision=fp32", "compute.hang_timeout_s=120",
)  # fmt: skip
DRIVER = """
import sys
from pathlib import Path
from evoltune.recipe import load_recipe
from evoltune.train.launch import train
train(load_recipe("smoke/math", sys.argv[3:]), sys.argv[1], Path(sys.argv[2]), suites={})
"""


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def run(rows, out, base, *overrides):
    from evoltune.train.launch import train

    pytest.importorskip("deepspeed")
    wanted = load_recipe("smoke/math", [f"train.model_name_or_path={base}", *COMMON, *overrides])
    return train(wanted, rows, out, suites={})


# ---- configuration


@pytest.mark.parametrize("name", STAGES)
def test_the_json_is_generated_from_the_recipe(name):
    recipe = load_recipe("smoke/math", [f"train.deepspeed={name}", "train.global_batch_size=64"])
    config = deepspeed_config(recipe, "bf16", world=4)
    assert config["zero_optimization"]["stage"] == stage_of(recipe.train) == int(name[4])
    assert config["train_micro_batch_size_per_gpu"] == 8 and config["gradient_accumulation_steps"] == 2
    assert config["bf16"]["enabled"] and not config["fp16"]["enabled"]
    assert ("offload_param" in config["zero_optimization"]) == name.endswith("offload")
    assert json.loads(json.dumps(config)) == config


def test_without_deepspeed_there_is_no_json():
    assert deepspeed_config(load_recipe("smoke/math")) is None


def test_a_users_json_is_compared_with_the_recipe_and_each_conflict_named():
    theirs = {
        "train_micro_batch_size_per_gpu": 4, "bf16": {"enabled": "auto"}, "gradient_clipping": 0.5,
        "zero_optimization": {"stage": 2},
    }  # fmt: skip
    recipe = load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"])
    with pytest.raises(RecipeError) as caught:
        deepspeed_config(recipe, "bf16", world=2)
    assert "train_micro_batch_size_per_gpu: 4, the recipe says 8" in str(caught.value)
    assert "gradient_clipping: 0.5, the recipe says 1.0" in str(caught.value)
    assert "bf16" not in str(caught.value)


def test_a_users_json_that_agrees_is_kept_with_its_own_keys():
    theirs = {"zero_optimization": {"stage": 2, "reduce_bucket_size": 5}, "comms_logger": {"enabled": True}}
    config = deepspeed_config(
        load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"]), "bf16", world=2
    )
    assert config["zero_optimization"]["reduce_bucket_size"] == 5 and config["comms_logger"]["enabled"]
    assert config["train_micro_batch_size_per_gpu"] == 8


def test_a_users_optimizer_section_is_refused():
    theirs = {"zero_optimization": {"stage": 2}, "optimizer": {"type": "AdamW"}}
    with pytest.raises(RecipeError, match="the recipe's own keys"):
        deepspeed_config(load_recipe("smoke/math", [f"train.deepspeed={json.dumps(theirs)}"]))


def test_a_stale_compile_lock_is_named_with_the_command_that_removes_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path))
    lock = tmp_path / "py311_cpu" / "deepspeed_shm_comm" / "lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    refuse_stale_locks()
    with pytest.raises(TrainingError, match=r"stale compile lock .*: remove it with `rm "):
        refuse_stale_locks(now=time.time() + 3600)


# ---- launch commands


def test_one_process_needs_no_launcher(tmp_path):
    recipe = load_recipe("smoke/math", ["compute.gpus_per_node=1"])
    assert launch_command(tmp_path / "job.json", recipe)[1:3] == ["-m", "evoltune.train"]


def test_several_nodes_need_a_launcher_that_can_do_it(tmp_path):
    with pytest.raises(RecipeError, match="use torchrun, deepspeed or slurm"):
        launch_command(tmp_path / "job.json", load_recipe("smoke/math", ["compute.nodes=4"]))


def test_torchrun_meets_elastically_within_the_restart_budget(tmp_path):
    how = [
        "compute.nodes=4",
        "compute.launcher=torchrun",
        "compute.rendezvous=127.0.0.1",
        "compute.gpus_per_node=8",
    ]
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
    command = launch_command(
        tmp_path / "job.json", load_recipe("smoke/math", [*how, f"compute.hostfile={tmp_path}/hosts"])
    )
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
    recipe = load_recipe(
        "smoke/math", ["compute.nodes=2", "compute.launcher=slurm", "compute.gpus_per_node=8"]
    )
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
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=20) == 3
    assert (tmp_path / "scontrol.log").read_text().splitlines()[-1] == "requeue 7"
    assert not stop.exists()


# ---- ZeRO on two processes of this machine


@pytest.fixture(scope="module")
def single(tiny_base, tiny_rows, tmp_path_factory):
    """Losses of one process, full and LoRA."""
    found = {}

    def of(kind: str) -> Path:
        if kind not in found:
            found[kind] = tmp_path_factory.mktemp(kind) / "checkpoint"
            run(tiny_rows, found[kind], tiny_base, f"train.finetuning_type={kind}", "train.max_steps=6")
        return found[kind]

    return of


CASES = [
    pytest.param(kind, stage, marks=[] if (kind, stage) == ("lora", "zero3") else pytest.mark.slow)
    for kind in ("full", "lora")
    for stage in STAGES
]


@pytest.mark.parametrize(("kind", "stage"), CASES)
def test_two_ranks_have_the_losses_and_the_weights_of_one(
    kind, stage, single, tiny_base, tiny_rows, tmp_path
):
    import torch
    from safetensors.torch import load_file

    out = tmp_path / "checkpoint"
    run(tiny_rows, out, tiny_base, f"train.finetuning_type={kind}", "train.max_steps=6", f"train.deepspeed={stage}",
        "compute.gpus_per_node=2", "train.loss_chunk=16")  # fmt: skip
    assert losses(out) == pytest.approx(losses(single(kind)), abs=1e-3)
    name = "model.safetensors" if kind == "full" else "adapter_model.safetensors"
    ours, theirs = load_file(out / name), load_file(single(kind) / name)
    assert ours.keys() == theirs.keys() and all(t.numel() for t in ours.values())
    assert all(torch.allclose(ours[n], theirs[n], atol=2e-3) for n in ours)


def interrupted(rows: Path, out: Path, base: Path, *overrides: str) -> None:
    """A training that is killed, with all its ranks, once checkpoint-3 is whole."""
    how = [f"train.model_name_or_path={base}", *COMMON, "train.max_steps=6", "train.save_steps=3", *overrides]
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(rows), str(out), *how],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 240
    while (
        not damage_free(out / "steps" / "checkpoint-3")
        and process.poll() is None
        and time.monotonic() < until
    ):
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert damage_free(out / "steps" / "checkpoint-3")
    assert not (out / "manifest.json").exists()


def damage_free(step: Path) -> bool:
    return step.is_dir() and not damage(step)


@pytest.mark.parametrize(
    ("stage", "first", "then"),
    [
        ("zero2", 2, 1),
        pytest.param("zero3", 2, 1, marks=pytest.mark.slow),
        pytest.param("zero2", 1, 2, marks=pytest.mark.slow),
    ],
)
def test_a_checkpoint_goes_on_with_another_number_of_ranks(
    stage, first, then, single, tiny_base, tiny_rows, tmp_path
):
    pytest.importorskip("deepspeed")
    out = tmp_path / "checkpoint"
    how = [f"train.deepspeed={stage}", "train.finetuning_type=full"]
    interrupted(tiny_rows, out, tiny_base, *how, f"compute.gpus_per_node={first}")
    before = (out / "metrics.jsonl").read_text().splitlines()[:3]
    run(
        tiny_rows,
        out,
        tiny_base,
        *how,
        "train.max_steps=6",
        "train.save_steps=3",
        f"compute.gpus_per_node={then}",
    )
    # Measured times stand in each line: these are the lines of the killed job, not of a job that began anew.
    assert (out / "metrics.jsonl").read_text().splitlines()[:3] == before
    assert len(losses(out)) == 6
    assert losses(out)[-3:] == pytest.approx(losses(single("full"))[-3:], abs=1e-3)


# ---- two nodes: network namespaces joined by a cable


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
            mine = str(out / "job.json").encode() in words and b"torch.distributed.run" not in words
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


def two_nodes(nodes, rows, out, base, *overrides) -> list[subprocess.Popen]:
    how = [
        f"train.model_name_or_path={base}", *COMMON, "train.finetuning_type=full", "compute.nodes=2",
        "compute.gpus_per_node=1", "compute.launcher=torchrun", "compute.rendezvous=10.77.0.1", *overrides,
    ]  # fmt: skip
    log = (out.parent / "nodes.log").open("ab")
    return [
        subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-c", DRIVER, str(rows), str(out), *how],
            stdout=log,
            stderr=log,
        )
        for name in nodes
    ]


@pytest.mark.parametrize("stage", [pytest.param("zero2", marks=pytest.mark.slow), "zero3"])
def test_two_nodes_survive_the_loss_of_a_rank_with_the_uninterrupted_losses(
    stage, nodes, tiny_base, tiny_rows, tmp_path
):
    pytest.importorskip("deepspeed")
    out, steps = tmp_path / "cluster" / "checkpoint", 40
    out.parent.mkdir()
    processes = two_nodes(
        nodes,
        tiny_rows,
        out,
        tiny_base,
        f"train.deepspeed={stage}",
        f"train.max_steps={steps}",
        "train.save_steps=5",
    )
    try:
        wait_for_step(out, 12, processes)
        victim = rank_pid(out, 1)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        codes = [p.wait(timeout=300) for p in processes]
    finally:
        for process in processes:
            process.kill()
    said = (out.parent / "nodes.log").read_text(errors="replace")
    assert codes == [0, 0], said[-3000:]
    assert json.loads((out / "manifest.json").read_text())["steps"] == steps
    alone = tmp_path / "alone"
    run(tiny_rows, alone, tiny_base, "train.finetuning_type=full", f"train.max_steps={steps}")
    assert losses(out) == pytest.approx(losses(alone), abs=1e-3)
    assert len(losses(out)) == steps
