"""Semantic duplicates."""

from evoltune.curate.dedup.stage import find_duplicates
from evoltune.recipe import Curate


def test_semantic_dedup_is_off_by_default_and_finds_reordered_words():
    texts = ["list the rivers of northern italy", "of northern italy list the rivers", "write a haiku about snow"]
    assert [r for r, _ in find_duplicates(texts, Curate())] == ["", "", ""]
    found = list(find_duplicates(texts, Curate(semantic_threshold=0.7)))
    assert found == [("", 0), ("semantic duplicate", 0), ("", 2)]


def test_every_semantic_duplicate_has_a_kept_partner_across_blocks(monkeypatch):
    from evoltune.curate.dedup import semantic_duplicates as semantic

    monkeypatch.setattr(semantic, "BLOCK", 3)
    texts = [f"name the {i} th river" for i in range(4)] * 3
    found = semantic.semantic_duplicates(texts, 0.999)
    assert [k for k in found[:4]] == [None] * 4 and found[4:] == [0, 1, 2, 3] * 2
