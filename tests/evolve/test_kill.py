"""kill -9 at random moments: the same dataset, no call paid twice but those in flight, and the ledger in balance."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import towns
from openai_server import serving

from evoltune.run.store import Step, Store

CONCURRENCY = 8
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(towns.__file__).parent)}
RUN = """
import sys
from pathlib import Path
from evoltune.domain import load_domain
from evoltune.evolve.loop import evolve
from evoltune.recipe import load_recipe
from evoltune.run.store import Store
recipe = load_recipe(sys.argv[1])
with Store.open(Path(sys.argv[2])) as store:
    print(store.check_ledger(evolve(recipe, load_domain(recipe.domain), store)))
"""


def write_recipe(folder, url):
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({
        "domain": "towns:domain", "evolve": {"rounds": 3, "variants": 2},
        "teacher": {"kind": "http", "model": "m", "concurrency": CONCURRENCY, "endpoints": [{"url": url}]},
    }))  # fmt: skip
    return recipe


def start(folder, url, run):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(write_recipe(folder, url)), str(folder / run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


@pytest.mark.parametrize(("ending", "ignored"), [("SIGTERM", False), ("SIGTERM", True), ("SIGINT", False)])
def test_a_stop_says_that_all_is_kept_and_the_same_command_goes_on(tmp_path, ending, ignored):
    command = (
        "import signal, sys; from evoltune.cli import main; "
        f"signal.signal(signal.SIGINT, signal.{'SIG_IGN' if ignored else 'default_int_handler'}); sys.exit(main(sys.argv[1:]))"
    )
    with serving(latency_s=0.05) as server:
        write_recipe(tmp_path, server.url)
        argv = [sys.executable, "-c", command, "evolve", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run")]
        first = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
        while server.stats().get("ok", 0) < 20 and first.poll() is None:
            time.sleep(0.01)
        first.send_signal(getattr(signal, ending))
        _, messages = first.communicate(timeout=60)
        assert first.returncode == 130
        assert "interrupted: everything finished is kept" in messages.splitlines()[-1]
        assert "Traceback" not in messages
        again = subprocess.run(argv, capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
        assert again.returncode == 0, again.stderr
    assert data(tmp_path / "run")[1]["pending"] == 0


def data(folder):
    with Store.read(folder) as store:
        (key,) = store.steps()
        step = Step(name="evolve", version=key.partition("@")[2])
        return json.dumps([asdict(r) for r in store.kept(step)], sort_keys=True), store.check_ledger(step)


def killed_and_resumed(folder, server, name, after):
    """One run that is killed when the server has seen `after` requests, then finished. True when the kill hit it alive."""
    first = start(folder, server.url, name)
    begin = time.monotonic()
    while server.stats().get("requests", 0) < after and first.poll() is None and time.monotonic() - begin < 30:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = start(folder, server.url, name)
    _, error = second.communicate(timeout=120)
    assert second.returncode == 0, error
    return first.returncode == -signal.SIGKILL


def check(tmp_path, kills):
    rng = random.Random(5)
    with serving(latency_s=0.01) as server:
        whole = start(tmp_path, server.url, "whole")
        _, messages = whole.communicate(timeout=120)
        assert whole.returncode == 0, messages
        calls = server.stats()["ok"]
    expected = data(tmp_path / "whole")
    hits = 0
    for i in range(kills):
        with serving(latency_s=0.01) as server:
            hits += killed_and_resumed(tmp_path, server, f"run{i}", rng.randrange(1, calls))
            counts = server.stats()
        assert data(tmp_path / f"run{i}") == expected
        assert calls <= counts["ok"] <= calls + CONCURRENCY
    assert hits >= kills // 2


def test_a_killed_run_ends_in_the_same_data(tmp_path):
    check(tmp_path, 4)


@pytest.mark.slow
def test_fifty_kills_end_in_the_same_data(tmp_path):
    check(tmp_path, 50)
