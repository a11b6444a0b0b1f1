"""A run directory with a real store, its page, and a browser to open pages in."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.run.store import Step, Store, Usage

WORDS = "river castle violin engine forest planet bridge garden mirror ladder window kettle anchor lantern".split()


def _make_run(folder: Path, rows: int, texts: list[str] | None = None) -> Path:
    """Seeds, two operators, ratings (3 for seeds, 8 for evolved rows), verdicts, drops, scores, losses."""
    rng = random.Random(rows)
    evolve = Step(name="evolve", version="v")
    verify = Step(name="verify", version="v", before=evolve)

    def text(i: int) -> str:
        return texts[i % len(texts)] if texts else f"Explain the {' '.join(rng.sample(WORDS, 8))} of case {i}."

    def task(i: int, name: str = "") -> Task:
        return Task(
            instruction=text(i), name=name, fields={} if name else {"reasoning": ("lateral", "critical")[i % 2]}
        )

    seeds = [
        Record(domain="math", task=task(i, str(i)), evidence={"difficulty": ("3",)}) for i in range(max(2, rows // 4))
    ]
    evolved = [
        Record(
            domain="math", task=task(i), parents=(rng.choice(seeds).id,), operator=rng.choice(["deepen", "broader"]),
            round=1, draw=i, answers=(Answer(text=text(i + 1)[:2000], model="m"),), evidence={"difficulty": ("8/10",)},
        )
        for i in range(rows - len(seeds))
    ]  # fmt: skip
    accepted = [record for record in evolved if rng.random() > 0.3]
    known = {record.id for record in accepted}
    dropped = [Drop(record=r, reason="no information gain") for r in evolved if r.id not in known]
    judged: list[Record | Drop] = list(seeds)
    for record in accepted:
        status = rng.choice(["pass", "pass", "fail"])
        verdict = Verdict(status=status, reason="because")
        done = replace(record, answers=(replace(record.answers[0], verdict=verdict),))
        judged.append(done if status == "pass" else Drop(record=done, reason=status))
    folder.mkdir(parents=True)
    with Store.open(folder) as store:
        store.decide(evolve, [*seeds, *accepted, *dropped])
        store.begin(verify)
        store.decide(verify, judged)
        passed = sum(isinstance(j, Record) for j in judged)
        ledger = {"in": len(judged), "kept": passed, "fail": len(judged) - passed, "pending": 0}
        store.note("ledgers", {"evolve": store.ledger(evolve), "verify": ledger})
        store.note("steps", {step.name: step.key for step in (evolve, verify)})
        store.note("built", "v")
        usage = Usage(prompt_tokens=5, completion_tokens=7, usd=0.25)
        store.journal("k", purpose="evolve", model="m", request={}, texts=["t"], usage=usage)
    (folder / "recipe.yaml").write_text("domain: math\nname: demo\n")
    (folder / "checkpoint").mkdir()
    lines = [json.dumps({"step": i, "loss": 2.0 / (i + 1)}) + "\n" for i in range(40)]
    (folder / "checkpoint" / "metrics.jsonl").write_text("".join(lines) + '{"step": 41, "lo')
    (folder / "rl").mkdir()
    steps = [{"step": i, "reward": 0.1 * i, "verifier": 0.2 * i} for i in (1, 2, 3)]
    (folder / "rl" / "metrics.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    sampled = [
        {"step": step, "prompt": text(step), "answer": f"answer of step {step}", "reward": None if step == 2 else 0.25 * step,
         "verifier": 1.0, "steps": 0.5, "status": "pass", "reason": ""}
        for step in (1, 2, 3)
    ]  # fmt: skip
    (folder / "rl" / "sampled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sampled))
    for label, value in (("before", 0.1), ("after", 0.6)):
        (folder / "eval" / label).mkdir(parents=True)
        entry = {"n": 200, "measures": {"lenient": {"value": value, "interval": [value - 0.05, value + 0.05]}}}
        scores = {"suites": {"gradeschool-heldout": entry}, "environment": {"torch": "2.10.0"}}
        (folder / "eval" / label / "scores.json").write_text(json.dumps(scores))
    return folder


@pytest.fixture(scope="session")
def make_run():
    """(folder, rows, texts) -> the folder, a run with that many rows; `texts` are repeated as instructions and answers."""
    return _make_run


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    return _make_run(tmp_path_factory.mktemp("small") / "demo", 40)


@pytest.fixture(scope="session")
def large(tmp_path_factory) -> Path:
    return _make_run(tmp_path_factory.mktemp("large") / "run", 10_000)


@pytest.fixture(scope="module")  # not the session: an open Playwright keeps an event loop running in this thread
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    flags = (
        "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync"
    ).split()
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()
