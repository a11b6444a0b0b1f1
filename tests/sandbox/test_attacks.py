"""The published attack suite (tests/sandbox/attacks), at every level that this host offers."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from evoltune.sandbox.pool import Pool
from evoltune.sandbox.worker_protocol import WorkerConfig

RUNNER = Path(__file__).parent / "attacks" / "run.py"


@pytest.fixture(scope="module")
def best():
    pool = Pool(WorkerConfig(domain="", require="L0"), workers=1)
    level = pool.level
    pool.close()
    return level


def attack(level, *options, seconds=600):
    """The runner in a session of its own, killed as a whole when it takes too long: a failing sandbox must not take
    the machine down."""
    command = [sys.executable, str(RUNNER), "--level", level, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as runner:
        try:
            said, _ = runner.communicate(timeout=seconds)
        finally:
            try:
                os.killpg(runner.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
    return json.loads(said)


def unharmed(report):
    return not any(report["harm"].values())


def test_no_attack_wins_or_harms_at_the_best_level_of_this_host(best):
    report = attack(best, "--quick")
    assert report["wrong"] == {}
    assert unharmed(report), report["harm"]
    assert report["programs"] > 80


@pytest.mark.slow
@pytest.mark.parametrize("level", ["L3", "L2", "L1"])
def test_every_attack_at_every_level(best, level):
    if level > best:
        pytest.skip(f"this host offers {best}")
    report = attack(level)
    assert report["level"] == level
    reachable = level == "L3" or Path(sys.base_prefix).stat().st_mode & 0o001
    wrong = {k: v for k, v in report["wrong"].items() if reachable or "ModuleNotFoundError" not in v[1]}
    assert wrong == {}
    assert unharmed(report), report["harm"]
