"""Charts as SVG files."""

from xml.etree import ElementTree

import pytest

from evoltune.report.charts import difficulty_svg, funnel, judged, scores_svg


def test_pictures_are_well_formed_escaped_and_repeatable():
    pytest.importorskip("vl_convert")
    counts = {"round 0": {"simple": 90, "complex": 10}, "<b>": {"simple": 2}}
    bar = {"label": "<verified>", "suite": "quality", "measure": "mean", "value": 0.5, "low": 0.4, "high": 0.6}
    for svg in (difficulty_svg(counts, ["simple", "complex"]), scores_svg([bar])):
        ElementTree.fromstring(svg)
        assert "<b>" not in svg and "<verified>" not in svg
    assert "50.0%" in scores_svg([bar])
    assert difficulty_svg(counts, ["simple", "complex"]) == difficulty_svg(counts, ["simple", "complex"])


def test_the_funnel_names_kept_rows_first_then_the_frequent_reasons_and_counts_every_row():
    reasons = {f"reason {i}": i + 1 for i in range(9)}
    ledgers = {
        "evolve": {"in": 145, "kept": 100, "pending": 0, **reasons},
        "verify": {"in": 100, "kept": 60, "reason 8": 40, "reason 0": 0},
        "dedup": {"in": 60, "kept": 60},
    }
    spec = funnel(ledgers)
    rows = spec["data"]["values"]
    for stage, ledger in ledgers.items():
        assert sum(row["rows"] for row in rows if row["stage"] == stage) == ledger["in"]
        assert {row["place"] for row in rows if row["stage"] == stage} == {list(ledgers).index(stage)}
    named = spec["encoding"]["color"]["scale"]["domain"]
    assert named == ["kept", *(f"reason {i}" for i in (8, 7, 6, 5, 4, 3)), "other reasons"]
    assert spec["encoding"]["color"]["scale"]["range"][0] == "#5aa469"
    assert (
        "other reasons"
        not in funnel({"evolve": {"in": 2, "kept": 1, "loop": 1}})["encoding"]["color"]["scale"]["domain"]
    )


def test_a_single_pair_is_named_once_under_the_chart_and_several_in_each_line():
    tally = {"win": 3, "tie": 1, "lose": 2, "n": 6}
    one = {"a": "after", "b": "before", "by_difficulty": {"easy": tally, "hard": tally}, **tally}
    lines = [judged([{"suite": "s", "pairs": pairs}]) for pairs in ([one], [one, {**one, "b": "theirs"}])]
    assert {row["pair"] for row in lines[0]["data"]["values"]} == {"all", "easy", "hard"}
    assert lines[0]["encoding"]["x"]["title"] == "share of problems, after against before"
    assert {row["pair"] for row in lines[1]["data"]["values"]} >= {"s: after against theirs, all"}
