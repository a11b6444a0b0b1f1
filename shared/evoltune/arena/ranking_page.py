"""A blinded page for people: answers without names, in an order of its own per problem, five criteria, exported votes.

    write_page(study, Path("runs/study"))        # ranking.html (give it to people), ranking.key.json (keep it)

People give each answer a rank from 1 (best) to 5 on each criterion of WizardLM (2304.12244, section 4.3).
Invariant: the page holds no system's name; only the key file says which letter means which system.
"""

import json
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase as LETTERS
from typing import Any

from evoltune.arena.dialogues import turn_by_turn
from evoltune.arena.study import CRITERIA, Study, Vote, collect_answers, suite_of
from evoltune.errors import DataError
from evoltune.record import digest
from evoltune.report.html import render
from evoltune.rows.files import write_file, write_json


def write_page(study: Study, folder: Path) -> tuple[Path, Path]:
    """Writes the page and its key below `folder` and returns both paths. The same study gives the same page."""
    suite = suite_of(study)
    answers = collect_answers(study, suite, folder)
    suite = turn_by_turn(suite)
    if len(answers) > len(LETTERS):
        raise DataError(f"{len(answers)} systems: a page for people shows at most {len(LETTERS)}: leave some out")
    order = {task.name: _shuffled(list(answers), study.seed, task.name) for task in suite.tasks}
    page_id = digest([suite.sha256, order, study.seed])
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
    for entry in exported.get("votes", ()):
        names = opened["order"].get(entry.get("problem"))
        if names is None:
            raise DataError(f"{votes}: vote on unknown problem {entry.get('problem')!r}")
        ranks = {letter: r.values() for letter, r in entry["ranks"].items() if r}
        means = {names[LETTERS.index(letter)]: sum(r) / len(r) for letter, r in ranks.items()}
        for a, b in combinations(means, 2):
            winner = "" if means[a] == means[b] else min(a, b, key=means.__getitem__)
            pair, annotator = frozenset((a, b)), exported.get("annotator", "")
            yield Vote(problem=entry["problem"], pair=pair, winner=winner, annotator=annotator)


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
