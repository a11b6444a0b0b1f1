"""Pairs that a generator makes from real references by rule are judged as the rule says. Skipped if EVOLTUNE_DATA is not set."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks/math_mutations.py"


@pytest.fixture
def mutations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARK.parent))  # it imports its neighbours
    spec = importlib.util.spec_from_file_location("math_mutations", BENCHMARK)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_rule_makes_its_variant_and_refuses_what_it_does_not_fit(mutations: ModuleType) -> None:
    equal, misses = mutations.EQUAL, mutations.MISSES
    assert equal["scaled_fraction"](r"\frac{2}{3}") == r"\frac{6}{9}" and equal["scaled_fraction"]("5") is None
    assert equal["exact_decimal"](r"\frac{3}{8}") == "0.375" and equal["exact_decimal"](r"\frac{1}{3}") is None
    assert equal["as_inequality"](r"[2,\infty)") == r"x \ge 2"
    assert misses["rounded"](r"\frac{1}{3}") == "0.3333" and misses["rounded"]("0.5") is None
    assert misses["swapped_pair"](r"\left(3, 4\right)") == "(4, 3)" and misses["swapped_pair"]("(2,2)") is None
    assert misses["other_end"]("(1,2]") == "(1,2)" and misses["other_sign"]("0") is None
    assert misses["other_letter"]("x^2+x") == "w^2+w" and misses["other_letter"]("xy") is None


def _rates(mutations: ModuleType, references: int) -> tuple[float, float]:
    if "EVOLTUNE_DATA" not in os.environ:
        pytest.skip("set EVOLTUNE_DATA")
    totals, wrong = mutations.judge(references)
    assert min(sum(n for (equal, _), n in totals.items() if equal is side) for side in (True, False)) > references
    return mutations.rates(totals, wrong)


def test_mutations_of_some_references_are_judged_as_their_rules_say(mutations: ModuleType) -> None:
    false_positives, false_negatives = _rates(mutations, 100)
    assert false_positives == 0.0
    assert false_negatives <= mutations.MAX_FALSE_NEGATIVES


@pytest.mark.slow
def test_the_error_rates_on_mutations_of_all_references_stay_within_their_limits() -> None:
    if "EVOLTUNE_DATA" not in os.environ:
        pytest.skip("set EVOLTUNE_DATA")
    done = subprocess.run([sys.executable, BENCHMARK], capture_output=True, text=True, check=False, timeout=1800)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
