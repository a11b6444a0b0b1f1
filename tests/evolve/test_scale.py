"""A long run on a teacher without latency: memory, bytes in the store, and no slow-down (the paper's 624k calls)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "generation.py"


def simulated(calls):
    code = f"""
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("generation", {str(BENCHMARK)!r})
module = importlib.util.module_from_spec(spec); sys.modules["generation"] = module; spec.loader.exec_module(module)
print(json.dumps(module.simulate({calls})))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_the_store_and_the_memory_stay_small():
    found = simulated(6_000)
    assert found["calls"] >= 6_000
    assert found["store_bytes_per_call_beyond_texts"] < 2_000
    assert found["peak_mb"] < 150


@pytest.mark.slow
def test_the_papers_624_thousand_calls_stay_flat():
    found = simulated(624_000)
    assert found["store_bytes_per_call_beyond_texts"] < 2_000
    assert found["peak_mb"] < 500
    assert found["last_tenth_to_first"] <= 1.2
