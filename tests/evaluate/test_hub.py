"""Suites from the hub: the download through the real client."""

from __future__ import annotations

import json

from evoltune.evaluate.hub import fetch


def test_rows_are_written_with_the_hubs_columns_at_one_revision(hub_repository, tmp_path):
    out = tmp_path / "cache" / "suite.jsonl"
    assert fetch(hub_repository, out, pinned="rev2") == f"{hub_repository}@rev2"
    assert json.loads(out.read_text()) == {"question": "q", "answer": "x #### 3"}
