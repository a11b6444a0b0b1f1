"""The diversity map: repeatable, and near where the wording is near."""

import pytest

from evoltune.report import diversity_map as module
from evoltune.report.diversity_map import diversity_map

pytest.importorskip("numpy")


def rows(*texts):
    return [{"id": f"{i:05}", "round": i % 2, "text": text} for i, text in enumerate(texts)]


def test_rows_of_like_wording_are_near_each_other():
    texts = [f"bake bread with flour and butter in oven {i}" for i in range(10)]
    texts += [f"watch the comet pass the planet at night {i}" for i in range(10)]
    xs = [point["x"] for point in diversity_map(rows(*texts))]
    low, high = sorted([xs[:10], xs[10:]])
    assert max(low) < min(high)


def test_the_map_does_not_depend_on_the_order_of_rows():
    some = rows(*(f"question {i * 37} about thing {i % 7}" for i in range(50)))
    assert diversity_map(some) == diversity_map(some[::-1])


def test_few_rows_give_no_map_and_many_are_sampled(monkeypatch):
    assert diversity_map(rows("one", "two")) == []
    monkeypatch.setattr(module, "POINTS", 20)
    assert len(diversity_map(rows(*(f"text {i}" for i in range(25))))) == 20
