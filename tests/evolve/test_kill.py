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


def write_recipe(folder, url, domain="towns:domain", **evolution):
    recipe = folder / "recipe.yaml"
    recipe.write_text(json.dumps({
        "domain": domain, "evolve": {"rounds": 3, "variants": 2, **evolution},
        "teacher": {"kind": "http", "model": "m", "concurrency": CONCURRENCY, "endpoints": [{"url": url}]},
    }))  # fmt: skip
    return recipe


def start(folder, url, run, **settings):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(write_recipe(folder, url, **settings)), str(folder / run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


COMMAND = """
import signal, sys
from evoltune.cli import main
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv.pop(1) == "ignored" else signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


def started(tmp_path, server, ignored=False):
    write_recipe(tmp_path, server.url)
    argv = [sys.executable, "-c", COMMAND, "ignored" if ignored else "", "evolve", str(tmp_path / "recipe.yaml")]
    process = subprocess.Popen(
        [*argv, "--out", str(tmp_path / "run")], stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    return process


def wait_until(server, process, **counts):
    begin = time.monotonic()
    while any(server.stats()[name] < n for name, n in counts.items()):
        assert process.poll() is None and time.monotonic() - begin < 60
        time.sleep(0.01)


@pytest.mark.parametrize(("ending", "ignored"), [("SIGTERM", True), ("SIGINT", False), ("SIGHUP", False)])
def test_a_stop_lets_calls_in_flight_come_home_and_the_same_command_goes_on(tmp_path, ending, ignored):
    with serving(latency_s=0.4) as server:
        first = started(tmp_path, server, ignored)
        wait_until(server, first, requests=2 * CONCURRENCY + 1)
        first.send_signal(getattr(signal, ending))
        _, messages = first.communicate(timeout=60)
        assert first.returncode == 130, messages
        assert f"stopping: waiting for {CONCURRENCY} teacher calls in flight" in messages
        assert "interrupted: everything finished is kept" in messages.splitlines()[-1]
        assert "Traceback" not in messages
        asked = server.stats()["requests"]
    with serving() as server:
        again = started(tmp_path, server)
        _, messages = again.communicate(timeout=60)
        assert again.returncode == 0, messages
        asked += server.stats()["requests"]
    with Store.read(tmp_path / "run") as store:
        assert sum(row["calls"] for row in store.spent().values()) == asked, "a call was asked twice"
    assert data(tmp_path / "run")[1]["pending"] == 0


def test_a_second_interruption_ends_a_run_at_once(tmp_path):
    with serving(rate_slow=1.0, slow_s=50) as server:
        run = started(tmp_path, server)
        wait_until(server, run, requests=1)
        run.send_signal(signal.SIGINT)
        for line in run.stderr:
            if "stopping" in line:
                break
        run.send_signal(signal.SIGTERM)
        _, messages = run.communicate(timeout=30)
        assert run.returncode == 130, messages
        assert "Traceback" not in messages


def data(folder):
    with Store.read(folder) as store:
        (key,) = store.steps()
        step = Step(name="evolve", version=key.partition("@")[2])
        return json.dumps([asdict(r) for r in store.kept(step)], sort_keys=True), store.check_ledger(step)


def killed_and_resumed(folder, server, name, after, **settings):
    """One run that is killed when the server has seen `after` requests, then finished. True when the kill hit it alive."""
    first = start(folder, server.url, name, **settings)
    begin = time.monotonic()
    while server.stats().get("requests", 0) < after and first.poll() is None and time.monotonic() - begin < 30:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    second = start(folder, server.url, name, **settings)
    _, error = second.communicate(timeout=120)
    assert second.returncode == 0, error
    return first.returncode == -signal.SIGKILL


def check(tmp_path, kills, **settings):
    rng = random.Random(5)
    with serving(latency_s=0.01) as server:
        whole = start(tmp_path, server.url, "whole", **settings)
        _, messages = whole.communicate(timeout=120)
        assert whole.returncode == 0, messages
        calls = server.stats()["ok"]
    expected = data(tmp_path / "whole")
    hits = 0
    for i in range(kills):
        with serving(latency_s=0.01) as server:
            hits += killed_and_resumed(tmp_path, server, f"run{i}", rng.randrange(1, calls), **settings)
            counts = server.stats()
        assert data(tmp_path / f"run{i}") == expected
        assert calls <= counts["ok"] <= calls + CONCURRENCY
    assert hits >= max(1, kills // 2)


def test_a_killed_run_ends_in_the_same_data(tmp_path):
    check(tmp_path, 2)


REWRITTEN = {"domain": "towns:lamps_domain", "rounds": 2, "variants": 1, "fuse_after": 2, "answer_rewrites": True,
             "pass_rate": {"k": 2}, "repair": 1, "tries": 3}  # fmt: skip


def test_a_killed_run_of_rewrite_functions_ends_in_the_same_data(tmp_path):
    check(tmp_path, 1, **REWRITTEN)


@pytest.mark.slow
def test_twenty_kills_of_rewrite_functions_end_in_the_same_data(tmp_path):
    check(tmp_path, 20, **REWRITTEN)


@pytest.mark.slow
def test_fifty_kills_end_in_the_same_data(tmp_path):
    check(tmp_path, 50)
