"""GSM8K's train split as seeds."""

import json
import os
from pathlib import Path

import pytest

from evoltune.domain import load_domain
from evoltune.rows.records import read_records
from evoltune_math.seeds.gsm8k import gsm8k_seeds, write

DATA = Path(os.environ.get("EVOLTUNE_DATA", "no such folder"))
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="EVOLTUNE_DATA names no folder of suites")


@needs_data
def test_gsm8k_train_becomes_seeds_without_calculator_marks():
    seeds = list(gsm8k_seeds(DATA / "gsm8k/train.jsonl.gz"))
    assert len(seeds) == 7473
    assert not any("<<" in seed.answers[0].text for seed in seeds)
    assert seeds[0].answers[0].text.endswith("#### 72") and seeds[0].task.reference == "72"


def test_the_written_seeds_file_is_read_back_by_a_recipe_with_references(tmp_path):
    source, row = tmp_path / "train.jsonl", {"question": "Half of 48, added to it?"}
    row["answer"] = "48/2 = <<48/2=24>>24\n48+24 = <<48+24=72>>72\n#### 72"
    source.write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert write(source, tmp_path / "seeds.jsonl") == 1
    (seed,) = read_records(str(tmp_path / "seeds.jsonl"), load_domain("math"))
    assert (seed.task.reference, seed.answers[0].text) == ("72", "48/2 = 24\n48+24 = 72\n#### 72")
    assert seed.task.fields["licence"] == "MIT" and {p.name for p in tmp_path.iterdir()} == {
        "train.jsonl",
        "seeds.jsonl",
    }
