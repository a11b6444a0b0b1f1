"""The script that shows on a GPU what no other test can: its verdicts, and a run of what a CPU can do."""

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu_check.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        ([10.0, 9.0, 8.0, 7.0, 6.0, 5.0], "ok"), ([10.04, 9.04, 8.03, 7.03, 6.02, 5.02], "ok"),
        ([10.0, 9.0, 8.0, 7.0, 6.0, 5.1], "WRONG"), ([10.0, 9.0, 8.0, 7.0, 6.0], "WRONG"), ([float("nan")] * 6, "WRONG"), ([], "WRONG"),
    ],
)  # fmt: skip
def test_losses_beside_a_reference_agree_step_by_step(script, losses, verdict):
    check = script.Check("bf16")
    found = script.judged(script.Line("bf16", losses=losses), check, [10.0, 9.0, 8.0, 7.0, 6.0, 5.0])
    assert found.verdict == verdict and "fp32" in found.expected


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [([3.0, 2.9, 2.8, 2.7, 2.6, 2.5], "ok"), ([3.0] * 6, "WRONG"), ([3.0, 2.0], "WRONG"), ([float("inf"), 2, 2, 2, 2, 1.0], "WRONG")],
)  # fmt: skip
def test_losses_without_a_reference_are_finite_and_fall(script, losses, verdict):
    check = script.Check("fp32")
    assert script.judged(script.Line("fp32", losses=losses), check, []).verdict == verdict


def test_what_cannot_be_run_here_says_why(script, tmp_path):
    check = script.Check("odd", needs=("no_such_package", "json"), on_cpu=True)
    assert script.missing(check, gpu=False) == "no_such_package not installed"
    assert script.missing(replace(check, on_cpu=False), gpu=False) == "needs a GPU"
    alone = script.checked(script.Check("bf16", on_cpu=True), None, tmp_path, tmp_path, tmp_path, gpu=False)
    assert alone.verdict == "not run: fp32 gave nothing to compare with"


def test_every_check_is_compared_with_an_earlier_one(script):
    names = [check.name for check in script.CHECKS]
    assert len(set(names)) == len(names)
    assert all(names.index(check.against) <= names.index(check.name) for check in script.CHECKS if not check.unlike)


@pytest.mark.slow
def test_what_a_cpu_can_do_agrees(script):
    command = [sys.executable, str(SCRIPT), "--tiny", "--only", "bf16,zero3,checkpointing,packed sdpa,lora"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok\n") == 7  # with fp32 and packed eager, which they are compared to
