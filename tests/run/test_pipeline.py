"""The main path on a toy domain: conservation, resuming after kill -9, one writer, changed verifiers judge anew."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai_server import serving

from evoltune import pipeline
from evoltune.errors import DataError, RecipeError, WorkError
from evoltune.recipe import load_recipe
from evoltune.run import queries
from evoltune.run.lock import locked
from evoltune.run.run import Run
from evoltune.run.store import Store
from evoltune.teacher.journal import export_cassette
from evoltune.train.job import make_job

TOY = """
from evoltune import Answer, Domain, Operator, Record, Task, Verdict

THINGS = ["river", "castle", "violin", "engine", "forest", "planet", "bridge", "garden"]


def verify(task, candidate, context):
    return Verdict(status="pass" if "7" not in candidate else "fail", reason="the number has a seven")


def seeds():
    for i in range(24):
        text = f"Describe how the {THINGS[i % 8]} of town {i} was built, in plain words, for {THINGS[(i * 3 + 1) % 8]} lovers."
        yield Record(domain="toy", task=Task(instruction=text, name=str(i)), answers=(Answer(text=f"Built in {i}.", model="seed"),))


domain = Domain(
    name="toy", seeds=seeds, verify=verify,
    operators=(Operator(name="harder", template="Rewrite, harder:\\n{instruction}"),
               Operator(name="rarer", template="Rewrite, rarer:\\n{instruction}", kind="breadth")),
    answer_prompt="Answer:\\n{instruction}",
)
"""
RECIPE = """
domain: {domain}
teacher: {teacher}
evolve: {{rounds: 2, variants: 2, answers: 2}}
verify: {{workers: 1, sandbox: {{require: L0}}}}
curate: {{validation: 0.2}}
"""
STAGES = "evolve,verify,build"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the toy domain, a cassette recorded from a loopback server, the recipe, and the uninterrupted run."""
    folder = tmp_path_factory.mktemp("toy")
    package = folder / "evoltune_toy"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    with serving() as server:
        recipe = folder / "live.yaml"
        live = f"{{kind: http, model: toy, endpoints: [{{url: '{server.url}/v1'}}]}}"
        recipe.write_text(RECIPE.format(domain=package, teacher=live))
        pipeline.run(load_recipe(recipe), folder / "live", ("evolve",))
    with Store.read(folder / "live") as store:
        assert export_cassette(store, folder / "toy.jsonl") > 100
    replay = f"{{kind: replay, model: toy, cassette: {folder / 'toy.jsonl'}}}"
    (folder / "toy.yaml").write_text(RECIPE.format(domain=package, teacher=replay))
    pipeline.run(load_recipe(folder / "toy.yaml"), folder / "whole", STAGES.split(","))
    yield folder


def dataset_bytes(run: Path) -> dict[str, str]:
    return {
        str(p.relative_to(run)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted((run / "dataset").rglob("*"))
        if p.is_file()
    }


def start(folder: Path, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "evoltune", "run", str(folder / "toy.yaml"), "--stages", STAGES, "--out", str(out)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def killed_at_random_moments(folder: Path, out: Path, kills: int, rng: random.Random, span_s: float) -> None:
    """Starts the run again and again, kill -9 after a random part of its time, then lets it finish."""
    for _ in range(kills):
        process = start(folder, out)
        time.sleep(rng.uniform(0.15, span_s))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    process = start(folder, out)
    errors = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 0, errors


def check_same(folder: Path, out: Path) -> None:
    assert dataset_bytes(out) == dataset_bytes(folder / "whole")
    with Store.read(out) as store, Store.read(folder / "whole") as whole:
        assert store.steps() == whole.steps()
        counted = "SELECT step, reason, count(*) FROM decisions GROUP BY 1, 2 ORDER BY 1, 2"
        assert list(store.sql(counted)) == list(whole.sql(counted))
        assert list(store.sql("SELECT key, texts FROM calls ORDER BY key")) == list(
            whole.sql("SELECT key, texts FROM calls ORDER BY key")
        )


def test_the_uninterrupted_run_balances_and_makes_a_dataset(toy: Path):
    with Store.read(toy / "whole") as store:
        counts = store.noted("ledgers")
    assert counts["evolve"]["in"] == 24 * (1 + 2 * 2)
    for ledger in counts.values():
        assert ledger["in"] == sum(n for name, n in ledger.items() if name != "in") and ledger["pending"] == 0
    assert counts["verify"]["kept"] > 24


def test_kill_9_and_the_same_command_again_give_the_same_bytes(toy: Path, tmp_path: Path):
    killed_at_random_moments(toy, tmp_path / "run", kills=3, rng=random.Random(1), span_s=1.6)
    check_same(toy, tmp_path / "run")


@pytest.mark.slow
def test_fifty_kills_give_the_same_bytes(toy: Path, tmp_path: Path):
    for trial in range(10):
        killed_at_random_moments(toy, tmp_path / str(trial), kills=5, rng=random.Random(trial), span_s=2.5)
        check_same(toy, tmp_path / str(trial))
    print("50 kills in 10 runs: every dataset, ledger and journal equals the uninterrupted run's")


def test_a_finished_run_does_nothing_again(toy: Path):
    before = (toy / "whole" / "store.sqlite").read_bytes()
    dataset = dataset_bytes(toy / "whole")
    pipeline.run(load_recipe(toy / "toy.yaml"), toy / "whole", STAGES.split(","))
    with Store.read(toy / "whole") as store:
        assert len(store.steps()) == 5
    assert dataset_bytes(toy / "whole") == dataset and len(before) == (toy / "whole" / "store.sqlite").stat().st_size


def test_two_processes_never_write_the_same_run(toy: Path, tmp_path: Path):
    with locked(tmp_path / "run", "run.lock"):
        process = start(toy, tmp_path / "run")
        errors = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 1 and "another process writes to this run (pid" in errors
    assert not (tmp_path / "run" / "store.sqlite").exists()


def test_a_changed_verifier_judges_anew_and_the_old_facts_stay(toy: Path, tmp_path: Path):
    out = shutil.copytree(toy / "whole", tmp_path / "run")
    stricter = load_recipe(toy / "toy.yaml", ["verify.program_s=9.0"])
    pipeline.run(stricter, out, ("verify",))
    with Store.read(out) as store:
        assert len([s for s in store.steps() if s.startswith("verify@")]) == 2


def test_a_teacher_that_is_not_there_is_one_line_with_the_url(toy: Path, tmp_path: Path):
    recipe = tmp_path / "r.yaml"
    teacher = "{kind: http, model: m, max_retries: 0, endpoints: [{url: 'http://127.0.0.1:9/v1'}]}"
    recipe.write_text(RECIPE.format(domain=toy / "evoltune_toy", teacher=teacher))
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "evolve", str(recipe), "--out", str(tmp_path / "run")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 2 and "http://127.0.0.1:9" in last and "start" in last, run.stderr


def test_explain_walks_back_to_the_seed(toy: Path):
    with Store.read(toy / "whole") as store:
        child = next(body["id"] for body in queries.record_bodies(store) if body["round"] == 2)
    run = subprocess.run(
        [sys.executable, "-m", "evoltune", "runs", "explain", str(toy / "whole"), child, "--json"],
        capture_output=True,
        text=True,
    )
    generations = json.loads(run.stdout)
    assert generations[0]["id"] == child and generations[-1]["operator"] == "seed" and len(generations) >= 2
    assert generations[0]["calls"]


def test_a_dataset_of_other_settings_is_not_trained_on_as_this_recipes_own(toy: Path, tmp_path: Path):
    out = shutil.copytree(toy / "whole", tmp_path / "run")
    Run(recipe=load_recipe(toy / "toy.yaml"), folder=out).check(("train",))
    for change in ("curate.near_threshold=0.5", "verify.program_s=9.0", "seed=7"):
        with pytest.raises(DataError, match="built by other settings"):
            pipeline.run(load_recipe(toy / "toy.yaml", [change]), out, ("train",))
    assert not (out / "checkpoint").exists()


def test_rows_of_other_settings_are_missed_before_a_finished_dataset_is_overwritten(toy: Path, tmp_path: Path):
    out = shutil.copytree(toy / "whole", tmp_path / "run")
    before = (out / "dataset" / "manifest.json").read_bytes()
    with pytest.raises(DataError, match=r"no rows were verified there by these settings.*run `evoltune verify` first"):
        pipeline.run(load_recipe(toy / "toy.yaml", ["verify.program_s=9.0"]), out, ("build",))
    with pytest.raises(DataError, match=r"no rows were evolved there by these settings.*run `evoltune evolve` first"):
        pipeline.run(load_recipe(toy / "toy.yaml", ["seed=7"]), out, ("verify", "build"))
    assert (out / "dataset" / "manifest.json").read_bytes() == before


def test_a_checkpoint_of_other_settings_is_not_scored_as_this_recipes_own(toy: Path, tmp_path: Path):
    recipe, out = load_recipe(toy / "toy.yaml"), shutil.copytree(toy / "whole", tmp_path / "run")
    job = make_job(recipe, str(out / "dataset" / "train.parquet"), "", out / "checkpoint", None)
    (out / "checkpoint").mkdir()
    (out / "checkpoint" / "manifest.json").write_text(json.dumps({"fingerprint": job.fingerprint}))
    Run(recipe=recipe, folder=out).check(("eval",))
    with pytest.raises(DataError, match="trained by other settings"):
        Run(recipe=load_recipe(toy / "toy.yaml", ["train.learning_rate=1e-3"]), folder=out).check(("eval",))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["compute.nodes=2", "compute.launcher=torchrun"], "compute.rendezvous"),
        (["compute.nodes=2", "compute.launcher=deepspeed"], "compute.hostfile"),
        (["train.checkpoint_select=generations"], "train.dev_suite"),
    ],
)
def test_what_training_needs_is_asked_for_before_the_first_stage(overrides, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        pipeline.run(load_recipe("smoke/math", ["eval.suites=[]", *overrides]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_store_beside_a_finished_dataset_is_an_error_and_not_a_second_purchase(toy: Path, tmp_path: Path):
    recipe, out = load_recipe(toy / "toy.yaml"), shutil.copytree(toy / "whole", tmp_path / "run")
    for damage in (lambda store: store.write_bytes(b""), Path.unlink):
        damage(out / "store.sqlite")
        with pytest.raises(DataError, match=r"a finished dataset is there, but store\.sqlite is missing or empty"):
            pipeline.run(recipe, out, STAGES.split(","))


def test_a_domain_that_is_edited_during_a_run_is_said_and_the_next_run_is_whole(tmp_path: Path):
    package = tmp_path / "evoltune_edited"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    with serving() as server:
        recipe = tmp_path / "r.yaml"
        teacher = f"{{kind: http, model: toy, endpoints: [{{url: '{server.url}/v1'}}]}}"
        recipe.write_text(RECIPE.format(domain=package, teacher=teacher))

        def edit() -> None:
            (package / "__init__.py").write_text(TOY + "\n# a remark\n")

        with pytest.raises(WorkError, match=r"its files were changed while this run was at work.*same command again"):
            pipeline.run(load_recipe(recipe), tmp_path / "run", ("evolve", "verify", "build"), after=edit)
        paid = server.stats()["requests"]
        pipeline.run(load_recipe(recipe), tmp_path / "run", ("evolve", "verify", "build"))
        assert server.stats()["requests"] == paid
    assert (tmp_path / "run" / "dataset" / "manifest.json").is_file()
