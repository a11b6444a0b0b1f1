"""Reinforcement learning by several processes under DeepSpeed, killed and continued."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from extras import needs

from evoltune.recipe import dump_recipe

needs("trl", reason="TRL is not installed (pip install evoltune[rl]): RL was not run")
needs("deepspeed", reason="DeepSpeed is not installed (pip install evoltune[deepspeed]): RL was not run")

KILLS = 10
TWO = (
    "train.deepspeed=zero2", "compute.gpus_per_node=2", "rl.per_device_train_batch_size=4", "rl.save_steps=1",
    f"rl.max_steps={KILLS + 2}", "rl.eval_steps=6", "compute.hang_timeout_s=900",
)  # fmt: skip
DRIVER = """
import sys
from pathlib import Path
from evoltune.recipe import load_recipe
from evoltune.train.rl.launch import train_policy
recipe, prompts, start, out = map(Path, sys.argv[1:])
train_policy(load_recipe(recipe), prompts=prompts, start=start, out=out)
"""


def last_step(out: Path) -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(json.loads((out / "metrics.jsonl").read_text().splitlines()[-1])["step"])
    return 0


@pytest.mark.slow
def test_two_ranks_that_are_killed_ten_times_end_in_the_same_adapter(rl_recipe, prompts, policy, tmp_path):
    import torch
    from safetensors.torch import load_file

    recipe, whole, part = tmp_path / "recipe.yaml", tmp_path / "whole", tmp_path / "part"
    recipe.write_text(dump_recipe(rl_recipe(*TWO)))
    command = [sys.executable, "-c", DRIVER, str(recipe), str(prompts), str(policy("lora"))]
    subprocess.run([*command, str(whole)], check=True)
    draw = random.Random(0)
    for step in range(1, KILLS + 1):
        process = subprocess.Popen([*command, str(part)], start_new_session=True)
        until = time.monotonic() + 1800
        while last_step(part) < step and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(draw.random())
        assert process.poll() is None, f"ended before it was killed at step {step}"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (part / "manifest.json").exists()
    subprocess.run([*command, str(part)], check=True)
    one, other = (load_file(folder / "adapter_model.safetensors") for folder in (whole, part))
    assert one.keys() == other.keys()
    for name, weights in one.items():
        torch.testing.assert_close(other[name], weights, atol=1e-3, rtol=1e-3)
    steps = [json.loads(line)["step"] for line in (part / "sampled.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(steps)) == [1, 6, 12]
