"""A blinded page for people: answers without names, in an order of its own per problem, five criteria, exported votes.

    write_page(study, Path("runs/study"))        # ranking.html (give it to people), ranking.key.json (keep it)

People give each answer a rank from 1 (best) to 5 on each criterion of WizardLM (2304.12244, section 4.3).
Invariant: the page holds no system's name; only the key file says which letter means which system.
"""

import json
import random
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from statistics import fmean
from string import ascii_uppercase as LETTERS
from typing import Any

from evoltune.arena.dialogues import turn_by_turn
from evoltune.arena.study import CRITERIA, Study, Vote, collect_answers, suite_of
from evoltune.errors import DataError
from evoltune.record import digest
from evoltune.report.html import render
from evoltune.rows.files import write_file, write_json


def write_page(study: Study, folder: Path) -> tuple[Path, Path]:
    """Writes the page and its key below `folder` and returns both paths. The same study and answers give the same page."""
    suite = suite_of(study)
    answers = collect_answers(study, suite, folder)
    suite = turn_by_turn(suite)
    if len(answers) > len(LETTERS):
        raise DataError(f"{len(answers)} systems: a page for people shows at most {len(LETTERS)}: leave some out")
    order = {task.name: _shuffled(list(answers), study.seed, task.name) for task in suite.tasks}
    page_id = digest([suite.sha256, order, study.seed, answers])
    questions = [
        (task, [(LETTERS[i], answers[name][task.name]) for i, name in enumerate(order[task.name])])
        for task in suite.tasks
    ]
    page, key = folder / "ranking.html", folder / "ranking.key.json"
    write_json(key, {"page": page_id, "order": order})
    write_file(page, render("ranking.html", questions=questions, criteria=CRITERIA, page_id=page_id))
    return page, key


def _shuffled(names: list[str], seed: int, problem: str) -> list[str]:
    random.Random(digest([seed, problem])).shuffle(names)
    return names


def unblinded_votes(votes: Path, key: Path) -> Iterator[Vote]:
    """The votes of an exported file: one per pair of ranked answers, won by the lower mean rank. Raises DataError when the
    file is damaged or belongs to another page."""
    exported, opened = _read(votes), _read(key)
    if exported.get("page") != opened.get("page"):
        raise DataError(f"{votes}: these votes are for another page than {key}: give the key written with that page")
    annotator, entries = exported.get("annotator", ""), exported.get("votes", [])
    if not isinstance(annotator, str) or not isinstance(entries, list):
        raise DataError(f"{votes}: annotator must be text and votes a list: export them anew")
    for entry in entries:
        problem = entry.get("problem") if isinstance(entry, dict) else None
        names = opened["order"].get(problem) if isinstance(problem, str) else None
        if names is None or not isinstance(problem, str):
            raise DataError(f"{votes}: vote on unknown problem {problem!r}")
        means = _mean_ranks(entry.get("ranks"), names)
        if means is None:
            raise DataError(
                f"{votes}: vote on {problem!r}: ranks must be numbers from 1 to 5 by criterion ({', '.join(CRITERIA)}), for letters "
                f"{LETTERS[0]} to {LETTERS[len(names) - 1]}"
            )
        for a, b in combinations(means, 2):
            winner = "" if means[a] == means[b] else min(a, b, key=means.__getitem__)
            yield Vote(problem=problem, pair=frozenset((a, b)), winner=winner, annotator=annotator)


def _mean_ranks(ranks: object, names: Sequence[str]) -> dict[str, float] | None:
    """The mean rank of each system that was ranked; None where something else than the page's ranks stands there."""
    letters = dict(zip(LETTERS, names, strict=False))
    if not isinstance(ranks, dict) or not ranks.keys() <= letters.keys():
        return None
    for of_letter in ranks.values():
        if not isinstance(of_letter, dict) or not of_letter.keys() <= {*CRITERIA}:
            return None
        if any(type(rank) is not int or not 1 <= rank <= 5 for rank in of_letter.values()):
            return None
    return {letters[letter]: fmean(found.values()) for letter, found in ranks.items() if found}


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(
            f"{path}: holds a JSON {type(value).__name__}, must be an object: give a file that the page exported, or its key"
        )
    return value
