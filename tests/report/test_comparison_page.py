"""The page that compares two runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoltune.report.comparison_page import write_comparison

pytest.importorskip("jinja2", reason="needs evoltune[report]")
pytest.importorskip("vl_convert", reason="needs evoltune[report]")


def test_two_runs_are_compared(browser, small: Path, make_run, tmp_path: Path):
    other = make_run(tmp_path / "other", 12)
    (other / "recipe.yaml").write_text("domain: math\nname: other\n")
    page = browser.new_page()
    page.goto(write_comparison(small, other).as_uri())
    page.wait_for_selector(".chart svg")
    text = page.inner_text("main")
    assert "gradeschool-heldout" in text and "+ name: other" in text and "- name: demo" in text
