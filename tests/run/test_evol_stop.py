"""Evol-stop: the planted peak is found, and scored rounds are not scored again."""

from __future__ import annotations

from pathlib import Path

from evoltune.recipe import load_recipe
from evoltune.run.evol_stop import evolve_until_best
from evoltune.run.run import Run
from evoltune.run.store import Store

PLANTED = {1: 0.2, 2: 0.5, 3: 0.4, 4: 0.9}


def work_in(folder: Path) -> Run:
    return Run(recipe=load_recipe("smoke/math", ["evolve.rounds=4", "evolve.stop_on=dev"]), folder=folder)


def test_it_stops_when_the_score_falls_and_keeps_the_best_round(tmp_path: Path):
    grown: list[int] = []
    work = work_in(tmp_path)
    best = evolve_until_best(work, lambda store, upto: grown.append(upto), lambda limited: PLANTED[limited.upto])
    assert best == 2 and grown == [1, 2, 3]
    with Store.read(tmp_path) as store:
        assert store.noted("evol_stop:best") == 2


def test_rounds_that_were_scored_are_not_scored_again(tmp_path: Path):
    scored: list[int] = []

    def score(limited: Run) -> float:
        scored.append(limited.upto)
        return PLANTED[limited.upto]

    for _ in range(2):
        assert evolve_until_best(work_in(tmp_path), lambda store, upto: None, score) == 2
    assert scored == [1, 2, 3]


def test_each_round_is_built_and_trained_in_a_folder_of_its_own(tmp_path: Path):
    places: list[Path] = []
    evolve_until_best(
        work_in(tmp_path),
        lambda store, upto: None,
        lambda limited: places.append(limited.dataset.parent) or 1.0 / limited.upto,
    )
    assert places == [tmp_path / "rounds" / "1", tmp_path / "rounds" / "2"]
