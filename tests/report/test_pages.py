"""The pages: they say what runs hold, hostile text stays text, and a real browser finds nothing wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evoltune.curate.sources import read_decisions
from evoltune.errors import DataError
from evoltune.report import html
from evoltune.report.comparison_page import write_comparison
from evoltune.report.pages import write_report, write_review
from evoltune.report.run_data import read_run

pytest.importorskip("jinja2", reason="needs evoltune[report]")
pytest.importorskip("vl_convert", reason="needs evoltune[report]")

HOSTILE = [
    "<script>window.pwned = 1</script>", "</script><script>window.pwned = 1</script>", "</textarea><img src=x onerror='window.pwned=1'>",
    "\u202eright to left\u202c", "\x1b[31mred\x1b[0m", "{{ 7 * 7 }} {% for x in y %}", "<!--", "]]>", "\x00nul", "x" * 1_000_000,
]  # fmt: skip


@pytest.fixture(scope="module")
def small_page(small) -> Path:
    return write_report(small)


@pytest.fixture(scope="module")
def large_page(large) -> Path:
    return write_report(large)


@pytest.fixture(scope="module")
def hostile_page(make_run, tmp_path_factory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("hostile") / "run", 24, HOSTILE))


def test_the_script_of_the_charts_is_put_together_once(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path / "cache"))
    made = html.chart_script.__wrapped__()
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.read_text(encoding="utf-8") == made and "vegaEmbed" in made and "</script" not in made
    kept.write_text("// kept")
    assert html.chart_script.__wrapped__() == "// kept"


def test_the_page_shows_the_ledger_scores_and_losses_of_the_run(small: Path, small_page: Path):
    page = read_run(small)
    assert len(page.rows) == 40 and len(page.loss) == 40 and len(page.scores) == 2
    assert (
        sum(o["drawn"] for o in page.operators) == 40 and sum(f["rows"] for f in page.fates) == 30
    )  # of 10 seeds none
    text = small_page.read_text()
    assert "gradeschool-heldout" in text and "60.0%" in text and "no information gain" in text


def test_the_page_shows_what_was_rewarded_first_and_last(small: Path, small_page: Path):
    page = " ".join(small_page.read_text().split())
    assert "Step 1: reward 0.250" in page and "Step 3: reward 0.750" in page and "Step 2: reward" not in page
    assert "verdict: pass &middot; step reward: 0.500</p>" in page and "answer of step 3" in page
    assert "instruction reward" not in page


def test_the_page_asks_the_network_for_nothing(small_page: Path):
    text = small_page.read_text()
    assert not re.search(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']?(?:https?:)?//""", text)
    assert "default-src 'none'" in text


def test_the_page_is_a_function_of_the_run(small: Path, small_page: Path):
    first = small_page.read_bytes()
    assert write_report(small).read_bytes() == first


def test_hostile_text_is_escaped_in_the_source(hostile_page: Path):
    text = hostile_page.read_text()
    assert "<script>window.pwned" not in text and "<img src=x" not in text and "{{ 7 * 7 }}" in text
    assert len(text) < 5_000_000


def test_ten_thousand_rows_stay_under_five_megabytes(large_page: Path):
    assert large_page.stat().st_size < 5_000_000


# ---- in a real browser


def open_page(browser, path: Path, **context):
    """The page once its rows are there, with what the console and the network said."""
    page = browser.new_context(**context).new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: said.append(str(e)))
    page.on("request", lambda r: said.append(r.url) if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-ready=yes]", timeout=30_000)
    return page, said


def test_search_filters_and_tree_work_and_the_console_is_silent(browser, small: Path, small_page: Path):
    page, said = open_page(browser, small_page)
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
def test_no_serious_accessibility_violation(browser, small_page: Path, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the dev extra")
    page, _ = open_page(browser, small_page, color_scheme=scheme)
    violations = axe.Axe().run(page).response["violations"]
    serious = [
        f"{v['id']}: {v['nodes'][0]['html'][:120]}" for v in violations if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


def test_a_phone_shows_it_without_sideways_scrolling(browser, small_page: Path):
    page, _ = open_page(browser, small_page, viewport={"width": 375, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_hostile_text_is_shown_and_never_run(browser, hostile_page: Path):
    page, said = open_page(browser, hostile_page)
    page.fill("#f-text", "<script>window.pwned")
    page.locator("#rows button").first.click()
    assert page.evaluate("window.pwned") is None and "<script>window.pwned" in page.locator("#rows").inner_text()
    assert said == []


def test_ten_thousand_rows_open_and_filter(browser, large_page: Path):
    page, said = open_page(browser, large_page)
    opened = page.evaluate("performance.now()")
    page.fill("#f-text", "violin")
    assert "of 10000 rows" in page.locator("#count").inner_text() and said == []
    print(f"10,000 rows: open after {opened:.0f} ms (limit 2,000 on a quiet machine)")


pytest.importorskip("jinja2", reason="needs evoltune[report]")
pytest.importorskip("vl_convert", reason="needs evoltune[report]")


def test_runs_are_compared_on_one_page(browser, small: Path, make_run, tmp_path: Path):
    other, third = (make_run(tmp_path / name / "demo", 12) for name in ("other", "third"))
    (other / "recipe.yaml").write_text("domain: math\nname: other\n")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    path = write_comparison([small, other, third])
    page.goto(path.as_uri())
    page.wait_for_selector(".chart svg")
    text = page.inner_text("main")
    assert "gradeschool-heldout" in text and "60.0%" in text
    names = [f"{folder.parent.name}/demo" for folder in (small, other, third)]  # three runs called demo
    assert (
        page.locator("th", has_text="other/demo").count() >= 4
        and path.name == f"compare-{'-'.join(names).replace('/', '-')}.html"
    )
    run = read_run(other)
    kept = sum(r["outcome"] == "kept" for r in run.rows if r["operator"] == "deepen")
    assert f"{kept} of {sum(r['operator'] == 'deepen' for r in run.rows)}" in page.inner_text("#h-operators + .scroll")
    page.locator("summary").first.click()
    assert "+ name: other" in page.inner_text("main") and "- name: demo" in page.inner_text("main")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_comparison_of_many_runs_has_a_short_name(make_run, tmp_path: Path):
    runs = [make_run(tmp_path / name, 4) for name in "abcd"]
    page = write_comparison(runs)
    assert page == tmp_path / "a" / "compare-a-and-3-others.html" and "How d differs from a" in page.read_text()


def test_the_review_page_escapes_everything_and_its_decisions_read_back(tmp_path):
    evil = "</script><img src=x onerror=alert(1)>"
    write_review(tmp_path / "r.html", evil, [{"id": evil, "source": "s", "instruction": evil, "output": evil}])
    page = (tmp_path / "r.html").read_text()
    assert "<img" not in page and page.count("</script>") == 1 and "default-src 'none'" in page
    (tmp_path / "d.json").write_text('{"a": "accept", "b": "reject", "c": ""}')
    assert read_decisions(tmp_path / "d.json") == ({"a"}, {"b"})
    (tmp_path / "d.json").write_text('["a"]')
    with pytest.raises(DataError, match="must map ids"):
        read_decisions(tmp_path / "d.json")
