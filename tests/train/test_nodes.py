"""The same command on two nodes: one owns the run, the other waits for it, gets its rows and trains."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from extras import needs

from evoltune.errors import RecipeError, TrainingError
from evoltune.recipe import load_recipe
from evoltune.train.nodes import check_nodes, is_first_node, others_line

TORCHRUN = ("compute.nodes=2", "compute.launcher=torchrun", "compute.gpus_per_node=1")


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def two_nodes(*more: str):
    return load_recipe("smoke/math", [*TORCHRUN, f"compute.rendezvous=127.0.0.1:{free_port()}", *more])


def test_the_address_or_node_rank_says_which_node_owns_the_run(monkeypatch):
    monkeypatch.delenv("NODE_RANK", raising=False)
    assert is_first_node(load_recipe("smoke/math"))
    assert is_first_node(two_nodes())
    assert not is_first_node(two_nodes("compute.rendezvous=192.0.2.1"))
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_first_node(two_nodes()) and is_first_node(load_recipe("smoke/math"))
    monkeypatch.setenv("NODE_RANK", "2")
    with pytest.raises(RecipeError, match=r"NODE_RANK: '2' must be a number from 0 to 1"):
        is_first_node(two_nodes())


def test_what_would_keep_the_nodes_from_meeting_is_an_error_that_names_the_key(monkeypatch):
    monkeypatch.delenv("NODE_RANK", raising=False)
    with pytest.raises(RecipeError, match=r"compute.rendezvous: 127.0.0.1 is every machine's own address"):
        check_nodes(two_nodes())
    for port in ("0", "65536", "\u00b2", "http"):
        with pytest.raises(RecipeError, match=r"compute.rendezvous: '10.0.0.1:.+' must be HOST or HOST:PORT"):
            check_nodes(two_nodes(f"compute.rendezvous=10.0.0.1:{port}"))
    monkeypatch.setenv("NODE_RANK", "0")
    check_nodes(two_nodes())
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        used = two_nodes(f"compute.rendezvous=127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(RecipeError, match=r"compute.rendezvous: 127.0.0.1:\d+ is in use on this machine"):
            check_nodes(used)
        monkeypatch.setenv("NODE_RANK", "1")
        check_nodes(used)  # the first node's own rendezvous
    with pytest.raises(RecipeError, match=r"evolve.stop_by: train"):
        check_nodes(two_nodes("evolve.stop_on=mbpp-dev", "evolve.stop_by=train"))


@pytest.fixture
def nodes(tmp_path: Path, tiny_base: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that are ended with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        process.kill()
        process.communicate()


def start(nodes, rank: int, folder: Path, words: list[str], out: Path) -> subprocess.Popen[str]:
    """`evoltune train ... --out OUT` as node `rank`, in a working directory of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "evoltune", "train", "smoke/math", *words, "--out", str(out)]
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"NODE_RANK": str(rank)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    nodes.append(process)
    return process


@pytest.mark.parametrize(
    ("shared", "stage"),
    [
        (False, "zero3"),
        pytest.param(False, "none", marks=pytest.mark.slow),
        pytest.param(True, "none", marks=pytest.mark.slow),
    ],
)
def test_the_same_command_on_each_node_trains_one_model(
    shared, stage, nodes, overrides, tiny_rows, trained, losses, tmp_path
):
    """The rows are on the first node alone; the other one starts first and waits."""
    needs("deepspeed")
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (one / "rows.jsonl").write_bytes(tiny_rows.read_bytes())
    words = [
        *overrides, *TORCHRUN, f"compute.rendezvous=127.0.0.1:{free_port()}", "train.dataset=rows.jsonl",
        f"train.deepspeed={stage}", "train.save_steps=4",
    ]  # fmt: skip
    outs = [tmp_path / "run"] * 2 if shared else [one / "run", two / "run"]
    other = start(nodes, 1, two, words, outs[1])
    lines = [other.stdout.readline(), other.stdout.readline()]
    assert "this run is owned by the first node" in lines[0] and "waits for the first node" in lines[1]
    first = start(nodes, 0, one, words, outs[0])
    said = [process.communicate(timeout=300)[0] for process in (first, other)]
    assert [first.returncode, other.returncode] == [0, 0], "\n".join(said)[-3000:]
    assert "this node's part is done" in said[1]
    assert ("the nodes do not share the run's folder" in said[0]) == (not shared)
    checkpoint = outs[0] / "checkpoint"
    assert json.loads((checkpoint / "manifest.json").read_text())["steps"] == 6
    assert shared or not (outs[1] / "checkpoint" / "manifest.json").exists()
    assert losses(checkpoint) == pytest.approx(losses(trained("full")), abs=1e-3)


def test_a_signal_ends_a_node_that_waits(nodes, overrides, tmp_path):
    words = [*overrides, *TORCHRUN, f"compute.rendezvous=127.0.0.1:{free_port()}", "train.dataset=rows.jsonl"]
    process = start(nodes, 1, tmp_path / "two", words, tmp_path / "run")
    process.stdout.readline(), process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130


def test_the_first_node_ends_at_a_signal_while_the_others_are_missing(tmp_path):
    """No rank has begun, so nothing can be saved: the first signal ends the agent."""
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    driver = (
        "import os, signal, sys, threading\nfrom pathlib import Path\nfrom evoltune.train.launch import run_trainer\n"
        "def end():\n"
        "    while not Path(sys.argv[1], 'heartbeat').exists(): pass\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "threading.Thread(target=end, daemon=True).start()\n"
        f"print(run_trainer({command!r}, dict(os.environ), Path(sys.argv[1]), 600, waits_for='node 2'))\n"
    )
    done = subprocess.run([sys.executable, "-c", driver, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() in ("-15", "143"), done.stderr  # killed, or said so by what ties it to its parent


def test_nodes_that_do_not_come_are_an_error_that_names_the_keys(overrides, tiny_rows, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from evoltune.train.launch import train

    monkeypatch.setenv("NODE_RANK", "0")
    port = free_port()
    recipe = load_recipe(
        "smoke/math", [*overrides, *TORCHRUN, f"compute.rendezvous=127.0.0.1:{port}", "compute.hang_timeout_s=3"]
    )
    with pytest.raises(TrainingError, match=rf"compute.rendezvous: the 2 nodes .* did not meet at 127.0.0.1:{port}"):
        train(recipe, tiny_rows, tmp_path / "out", suites={})
    assert others_line(recipe) == f"the other node at 127.0.0.1:{port} (start the same command on each)"
