"""The data stages on a Ray cluster of two nodes: the results of this machine's own workers, also when a node dies."""

import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest

import evoltune
from evoltune.cluster import engine
from evoltune.curate.dedup import near_duplicates
from evoltune.errors import DomainError
from evoltune.generate.completions import generate
from evoltune.generate.job import GenerationSettings, SampleRequest, find_model
from evoltune.verification.checker import open_checker

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")

MEASURED = {"seconds", "cpu_s", "memory_mb", "wall_s"}


@pytest.fixture(scope="module")
def cluster():
    """Two raylets of two cores each; the driver is connected to the first."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_AUTH_MODE"] = "disabled"
    small = {"num_cpus": 2, "object_store_memory": 100 << 20, "include_dashboard": False}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=small)
    ray.init(address=made.address, log_to_driver=False)
    made.second = made.add_node(num_cpus=2, object_store_memory=100 << 20)
    made.wait_for_nodes()
    yield made
    ray.shutdown()
    made.shutdown()


def maths(count):
    return [
        {"id": i, "answer": f"So it is \\boxed{{{i % 7}/{i % 3 + 1}}}", "reference": str(i % 5)} for i in range(count)
    ]


def programs(count):
    bodies = (
        "return a + b",
        "return a - b",
        "while True: pass",
        "raise ValueError",
        "return [0] * 10**12",
        "return a +",
    )
    return [
        {
            "id": i, "answer": f"def add(a, b):\n    # {i}\n    {bodies[i % len(bodies) if i % 10 == 0 else i % 2]}\n",
            "tests": "assert add(1, 2) == 3", "entry_point": "add",
        }
        for i in range(count)
    ]  # fmt: skip


def plain(row):
    """A verdict row without what was measured; which of its limits ended a program is a matter of load."""
    if row["status"] == "timeout":
        return json.dumps([row["id"], "timeout"])
    evidence = {k: v for k, v in row["evidence"].items() if k not in MEASURED}
    return json.dumps({**row, "evidence": evidence, "seconds": 0})


def judged(rows, domain, on, **options):
    with engine.using(on):
        return [plain(row) for row in evoltune.verify(rows, domain=domain, workers=3, program_s=1.0, **options)]


@pytest.mark.slow  # in short, test_the_command_line_gives_the_same_rows
@pytest.mark.parametrize("count", [24, 2500])
def test_verdicts_are_those_of_this_machine_and_survive_the_loss_of_a_node(cluster, count):
    here = judged(maths(count), "math", "local") + judged(programs(count), "code", "local")
    got, doomed = [], cluster.add_node(num_cpus=4, object_store_memory=100 << 20)
    cluster.wait_for_nodes()
    with engine.using("ray"):
        for domain, rows in (("math", maths(count)), ("code", programs(count))):
            for row in evoltune.verify(rows, domain=domain, workers=6, program_s=1.0):
                got.append(plain(row))
                if len(got) == count + count // 4:
                    cluster.remove_node(doomed, allow_graceful=False)
    assert got == here


def test_near_duplicates_are_those_of_this_machine(cluster):
    draw = random.Random(5)
    words = [f"word{i}" for i in range(200)]
    texts = [" ".join(draw.choices(words, k=12)) for _ in range(500)]
    texts += [text + " again" for text in texts[:120]]
    here = near_duplicates(texts, 0.7)
    with engine.using("ray"):
        assert near_duplicates(texts, 0.7) == here
    assert sum(partner is not None for partner in here) >= 100


@pytest.mark.slow  # each actor imports torch: a minute
def test_generations_are_those_of_this_machine_and_survive_the_loss_of_a_node(cluster, tiny_base, tmp_path):
    pytest.importorskip("torch")
    weights = find_model(str(tiny_base))
    settings = GenerationSettings(model="tiny", template="chat", max_new_tokens=24, weights=weights.fingerprint)
    wanted = [SampleRequest(suite="s", problem=f"p{i}", sample=0, prompt=f"Say {i} in words.") for i in range(40)]

    def texts(name, engine_name):
        with engine.using(engine_name):
            generate(wanted, settings, weights, tmp_path / name, batch_size=4)
        return {(row["problem"], row["text"]) for row in map(json.loads, (tmp_path / name).read_text().splitlines())}

    here = texts("local", "local")
    assert len(here) == 40
    doomed = cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    cluster.wait_for_nodes()

    def kill():
        while not (tmp_path / "killed").exists() or not (tmp_path / "killed").read_text():
            time.sleep(0.02)
        cluster.remove_node(doomed, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    assert texts("killed", "ray") == here
    killer.join()


def test_a_domain_that_cannot_load_is_the_same_error_as_here(cluster):
    with engine.using("ray"), pytest.raises(DomainError, match="policy"):
        open_checker("math", policy={"no such knob": 1})


def test_the_command_line_gives_the_same_rows(cluster, tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in maths(20)))
    rows = {}
    for name, extra in (("local", []), ("ray", ["--ray-address", cluster.address])):
        out = tmp_path / f"{name}.jsonl"
        command = [sys.executable, "-m", "evoltune", "verify", str(file), "--domain", "math", "--workers", "2"]
        done = subprocess.run([*command, "--out", str(out), *extra], capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        rows[name] = [plain(json.loads(line)) for line in out.read_text().splitlines()]
    assert rows["ray"] == rows["local"]
    assert len(rows["ray"]) == 20


def test_a_cluster_that_is_not_there_is_one_clear_error(tmp_path):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(maths(1)[0]) + "\n")
    command = [
        sys.executable,
        "-m",
        "evoltune",
        "verify",
        str(file),
        "--domain",
        "math",
        "--ray-address",
        "127.0.0.1:1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr.splitlines()[-1]
    assert "ray start --head" in done.stderr.splitlines()[-1]
