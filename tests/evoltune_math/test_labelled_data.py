"""Accuracy on labelled data: pairs, gold answers, solutions of real models. Skipped if EVOLTUNE_DATA is not set."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evoltune.domain import Context
from evoltune.record import Task, Verdict
from evoltune_math import check, domain

DATA = Path(os.environ.get("EVOLTUNE_DATA", "/nonexistent"))
CONTEXT = Context(run=lambda job: Verdict(status="error"), policy=domain.policy)


def rows(name: str) -> list[dict[str, Any]]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no {path}: set EVOLTUNE_DATA")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def through_domain(answer: str, reference: str, profile: str = "sound") -> bool:
    how, task = domain.profiles[profile], Task(instruction="", reference=reference)
    candidate = (how.extract or domain.extract)(task, answer)
    return candidate is not None and (how.verify or domain.verify)(task, candidate, CONTEXT).status == "pass"


def test_the_error_rates_on_labelled_pairs_stay_within_their_limits() -> None:
    wrong: Counter[str] = Counter()
    positives = negatives = 0
    for row in rows("math_pairs/dev.jsonl.gz"):
        if row["category"].startswith("policy/"):
            continue
        positives, negatives = positives + row["expected"], negatives + (not row["expected"])
        passed = through_domain(row["pred"], row["gold"])
        if passed != row["expected"]:
            wrong[("false positive " if passed else "false negative ") + row["category"]] += 1
    false_positives = sum(n for k, n in wrong.items() if k.startswith("false positive"))
    assert sum(wrong.values()) <= 0.015 * (positives + negatives), wrong
    assert false_positives <= 0.002 * negatives, wrong
    assert sum(wrong.values()) - false_positives <= 0.025 * positives, wrong
    assert not [k for k in wrong if re.match(r"false positive (?:bomb|inject|adv)/", k)]


def test_all_math_gold_answers_equal_themselves_and_never_a_one_digit_change() -> None:
    for row in rows("math_answers/math_test_gold_answers.jsonl.gz"):
        gold = row["answer"]
        assert check(gold, gold).status == "pass", gold
        assert check(f"The answer is $\\boxed{{{gold}}}$.", gold).status == "pass", gold
        digits = [m.start() for m in re.finditer(r"\d", gold)]
        if not digits:
            continue
        draw = int(hashlib.sha256(gold.encode()).hexdigest(), 16)
        at = digits[draw % len(digits)]
        changed = gold[:at] + str((int(gold[at]) + 1 + (draw >> 20) % 9) % 10) + gold[at + 1 :]
        assert check(changed, gold).status == "fail", (gold, changed)
        assert check(gold, changed).status == "fail", (gold, changed)


@pytest.mark.parametrize("profile", ["openai-A", "sound"])
def test_all_labels_of_the_gpt3_solutions_are_reproduced(profile: str) -> None:
    solvers = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    wrong = [
        (row["idx"], solver)
        for row in rows("gsm8k_model_solutions/openai_gpt3_solutions.jsonl.gz")
        for solver in solvers
        if through_domain(row[solver]["solution"], row["ground_truth"], profile) != row[solver]["is_correct"]
    ]
    assert wrong == []


def test_no_response_of_qwen_that_is_labelled_true_is_rejected() -> None:
    rejected = [
        (row["idx"], row["gt"], pred)
        for row in rows("math_model_solutions/qwen_math_cot_100x8.jsonl.gz")
        for response, pred, score in zip(row["responses"], row["preds"], row["scores"], strict=True)
        if score and not through_domain(response, row["gt"])
    ]
    assert rejected == []


def test_gsm8k_gold_solutions_pass_under_each_of_its_scorers() -> None:
    for row in rows("gsm8k/test.jsonl.gz")[:300]:
        final = row["answer"].rpartition("#### ")[2]
        assert through_domain(row["answer"], row["answer"], "gsm8k-strict")
        assert through_domain(row["answer"], row["answer"])
        assert through_domain(f"The answer is: {final}", row["answer"], "wizardmath-gsm8k")
