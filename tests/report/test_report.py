"""The report page: what it says is what the run holds, hostile text stays text, and a real browser finds nothing wrong."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoltune.errors import DataError
from evoltune.record import Answer, Drop, Record, Task, Verdict
from evoltune.report.comparison_page import write_comparison
from evoltune.report.run_data import read_run, word_diff
from evoltune.report.run_page import write_report
from evoltune.run.store import Step, Store, Usage

pytest.importorskip("jinja2", reason="needs evoltune[report]")
pytest.importorskip("vl_convert", reason="needs evoltune[report]")

HOSTILE = [
    "<script>window.pwned = 1</script>", "</script><script>window.pwned = 1</script>", "</textarea><img src=x onerror='window.pwned=1'>",
    "\u202eright to left\u202c", "\x1b[31mred\x1b[0m", "{{ 7 * 7 }} {% for x in y %}", "<!--", "]]>", "\x00nul", "x" * 1_000_000,
]  # fmt: skip
WORDS = [
    "river",
    "castle",
    "violin",
    "engine",
    "forest",
    "planet",
    "bridge",
    "garden",
    "mirror",
    "ladder",
    "window",
    "kettle",
    "anchor",
    "lantern",
]


def make_run(folder: Path, rows: int, texts: list[str] | None = None) -> Path:
    """A run directory with a real store: seeds, two operators, verdicts, drops, scores, losses."""
    rng = random.Random(rows)
    evolve = Step(name="evolve", version="v")
    verify = Step(name="verify", version="v", before=evolve)

    def text(i):
        return (
            texts[i % len(texts)] if texts else f"Explain the {' '.join(rng.sample(WORDS, 8))} of case {i}."
        )

    seeds = [
        Record(domain="math", task=Task(instruction=text(i), name=str(i))) for i in range(max(2, rows // 4))
    ]
    results: list[Record | Drop] = list(seeds)
    kept: list[Record] = []
    for i in range(rows - len(seeds)):
        record = Record(
            domain="math", task=Task(instruction=text(i)), parents=(rng.choice(seeds).id,), operator=rng.choice(["deepen", "broader"]),
            round=1, draw=i, answers=(Answer(text=text(i + 1)[:2000], model="m"),),
        )  # fmt: skip
        if rng.random() < 0.3:
            results.append(Drop(record=record, reason="no information gain"))
        else:
            results.append(record)
            kept.append(record)
    judged: list[Record | Drop] = []
    for record in kept:
        status = rng.choice(["pass", "pass", "fail"])
        verdict = Verdict(status=status, reason="because")
        done = Record(
            **{
                **record.__dict__,
                "answers": (Answer(text=record.answers[0].text, model="m", verdict=verdict),),
            }
        )
        judged.append(done if status == "pass" else Drop(record=done, reason=status))
    folder.mkdir(parents=True)
    with Store.open(folder) as store:
        store.decide(evolve, results)
        store.decide(verify, judged)
        store.note(
            "ledgers",
            {
                "evolve": store.ledger(evolve),
                "verify": {
                    "in": len(judged),
                    "kept": sum(isinstance(j, Record) for j in judged),
                    "fail": sum(isinstance(j, Drop) for j in judged),
                    "pending": 0,
                },
            },
        )
        store.journal(
            "k",
            purpose="evolve",
            model="m",
            request={},
            texts=["t"],
            usage=Usage(prompt_tokens=5, completion_tokens=7, usd=0.25),
        )
    (folder / "recipe.yaml").write_text("domain: math\nname: demo\n")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "metrics.jsonl").write_text(
        "".join(json.dumps({"step": i, "loss": 2.0 / (i + 1)}) + "\n" for i in range(40)) + '{"step": 41, "lo'
    )
    for label, value in (("before", 0.1), ("after", 0.6)):
        (folder / "eval" / label).mkdir(parents=True)
        entry = {
            "n": 200,
            "measures": {"lenient": {"value": value, "interval": [value - 0.05, value + 0.05]}},
        }
        (folder / "eval" / label / "scores.json").write_text(
            json.dumps({"suites": {"gradeschool-heldout": entry}})
        )
    return folder


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("small") / "demo", 40)


def test_the_page_shows_the_ledger_scores_and_losses_of_the_run(small: Path):
    page = read_run(small)
    assert len(page.rows) == 40 and len(page.loss) == 40 and len(page.scores) == 2
    assert sum(o["drawn"] for o in page.operators) == 40 and sum(v["rows"] for v in page.verdicts) == 40
    text = write_report(small).read_text()
    assert "gradeschool-heldout" in text and "60.0%" in text and "no information gain" in text


def test_the_page_asks_the_network_for_nothing(small: Path):
    text = write_report(small).read_text()
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", text)
    assert "default-src 'none'" in text


def test_the_page_is_a_function_of_the_run(small: Path):
    first = write_report(small).read_bytes()
    assert write_report(small).read_bytes() == first


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="give the directory of a run"):
        write_report(tmp_path)


def test_a_word_diff_tells_both_texts():
    diff = word_diff("a b c d", "a x c d e")
    assert " ".join(t for kind, t in diff if kind != "new") == "a b c d"
    assert " ".join(t for kind, t in diff if kind != "gone") == "a x c d e"


def test_hostile_text_is_escaped_in_the_source(tmp_path: Path):
    text = write_report(make_run(tmp_path / "run", 24, HOSTILE)).read_text()
    assert "<script>window.pwned" not in text and "<img src=x" not in text and "{{ 7 * 7 }}" in text
    assert len(text) < 5_000_000


def test_ten_thousand_rows_stay_under_five_megabytes(tmp_path: Path):
    assert write_report(make_run(tmp_path / "run", 10_000)).stat().st_size < 5_000_000


# ---- in a real browser


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the dev extra")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield opened
        opened.close()


def open_page(browser, path: Path, **context):
    """The page once its rows are there, with what the console and the network said."""
    page = browser.new_context(**context).new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on(
        "request", lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None
    )
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]", timeout=30_000)
    return page, said


def test_search_filters_and_tree_work_and_the_console_is_silent(browser, small: Path):
    page, said = open_page(browser, write_report(small))
    assert page.locator("#count").inner_text() == "40 of 40 rows"
    page.select_option("#f-operator", "deepen")
    deepen = sum(r["operator"] == "deepen" for r in read_run(small).rows)
    assert page.locator("#count").inner_text() == f"{deepen} of 40 rows"
    page.select_option("#f-operator", "")
    row = next(r for r in read_run(small).rows if r["parents"])
    page.fill("#f-text", row["id"])
    assert page.locator("#count").inner_text() == "1 of 40 rows"
    page.locator("#rows button").focus()
    page.keyboard.press("Enter")
    tree = page.locator("#tree")
    assert row["parents"][0] in tree.inner_text() and row["id"] in tree.locator(".here").inner_text()
    assert page.locator(".chart svg").count() >= 5 and said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_accessibility_violation(browser, small: Path, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the dev extra")
    page, _ = open_page(browser, write_report(small), color_scheme=scheme)
    violations = axe.Axe().run(page).response["violations"]
    serious = [
        f"{v['id']}: {v['nodes'][0]['html'][:120]}"
        for v in violations
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_shows_it_without_sideways_scrolling(browser, small: Path):
    page, _ = open_page(browser, write_report(small), viewport={"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_hostile_text_is_shown_and_never_run(browser, tmp_path: Path):
    page, said = open_page(browser, write_report(make_run(tmp_path / "run", 24, HOSTILE)))
    page.fill("#f-text", "<script>window.pwned")
    page.locator("#rows button").first.click()
    assert (
        page.evaluate("window.pwned") is None and "<script>window.pwned" in page.locator("#rows").inner_text()
    )
    assert said == []


def test_ten_thousand_rows_open_and_filter(browser, tmp_path: Path):
    page, said = open_page(browser, write_report(make_run(tmp_path / "run", 10_000)))
    opened = page.evaluate("performance.now()")
    page.fill("#f-text", "violin")
    assert "of 10000 rows" in page.locator("#count").inner_text() and said == []
    print(f"10,000 rows: open after {opened:.0f} ms (limit 2,000 on a quiet machine)")


def test_two_runs_are_compared(browser, small: Path, tmp_path: Path):
    other = make_run(tmp_path / "other", 12)
    (other / "recipe.yaml").write_text("domain: math\nname: other\n")
    page = browser.new_page()
    page.goto(write_comparison(small, other).as_uri())
    page.wait_for_selector(".chart svg")
    text = page.inner_text("main")
    assert "gradeschool-heldout" in text and "+ name: other" in text and "- name: demo" in text
