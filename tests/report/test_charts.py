"""Charts as SVG files."""

from xml.etree import ElementTree

import pytest

from evoltune.report.charts import difficulty_svg, scores_svg


def test_pictures_are_well_formed_escaped_and_repeatable():
    pytest.importorskip("vl_convert")
    counts = {"round 0": {"simple": 90, "complex": 10}, "<b>": {"simple": 2}}
    bar = {"label": "<verified>", "suite": "quality", "measure": "mean", "value": 0.5, "low": 0.4, "high": 0.6}
    for svg in (difficulty_svg(counts, ["simple", "complex"]), scores_svg([bar])):
        ElementTree.fromstring(svg)
        assert "<b>" not in svg and "<verified>" not in svg
    assert "50.0%" in scores_svg([bar])
    assert difficulty_svg(counts, ["simple", "complex"]) == difficulty_svg(counts, ["simple", "complex"])
