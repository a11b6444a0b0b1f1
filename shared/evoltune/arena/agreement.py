"""Agreement of the judge with people, and of people with each other, over votes on pairs of answers.

    agreement(results, read_votes(Path("votes.jsonl")), skills, answers)["judge_human"]

Tie-discounted as in LIMA (2305.11206, section 4.3).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from evoltune.arena.code_runs import code_status
from evoltune.arena.ranking_page import unblinded_votes
from evoltune.arena.study import Answers, PairResult, Vote
from evoltune.errors import DataError
from evoltune.evaluate.statistics import mean
from evoltune.rows.readers import read_located

Pair = tuple[str, frozenset[str]]
"""(problem, the two systems)."""


def read_votes(path: Path, key: Path | None = None) -> list[Vote]:
    """Reads rows with problem, a, b, vote (a name, `a`, `b` or `tie`) of any file of rows, or the .json that the ranking page exports
    together with the page's `key` file. Raises DataError that names the row."""
    if path.suffix == ".json" and not path.read_text(encoding="utf-8-sig").lstrip().startswith("["):
        if key is None:
            raise DataError(f"{path}: exported by the ranking page: name the page's key file (study.key)")
        return list(unblinded_votes(path, key))
    votes = []
    for where, row in read_located(path):
        missing = [name for name in ("problem", "a", "b", "vote") if not isinstance(row.get(name), str | int)]
        if missing:
            raise DataError(f"{where}: no text in column {missing[0]!r}")
        problem, a, b, vote = (str(row[name]) for name in ("problem", "a", "b", "vote"))
        if a == b:
            raise DataError(f"{where}: a and b are the same system {a!r}")
        winners = {"a": a, "b": b, "tie": "", a: a, b: b}
        if vote not in winners:
            raise DataError(f"{where}: vote {vote!r}: allowed: a, b, tie, {a}, {b}")
        annotator = str(row.get("annotator", ""))
        votes.append(Vote(problem=problem, pair=frozenset((a, b)), winner=winners[vote], annotator=annotator))
    return votes


def _counted(votes: Sequence[Vote]) -> list[Vote]:
    """One vote per person and pair: the last. Votes without a name are each a person's."""
    found = {}
    for number, vote in enumerate(votes):
        found[vote.problem, vote.pair, vote.annotator or number] = vote
    return list(found.values())


def tie_discounted(one: str, two: str) -> float:
    """Scores two verdicts: 1 for the same winner, 0.5 if exactly one of them is a tie, otherwise 0."""
    return 1.0 if one == two else 0.5 if not one or not two else 0.0


def agreement(
    results: Sequence[PairResult], votes: Sequence[Vote], skills: Mapping[str, str], answers: Answers
) -> dict[str, Any]:
    """Measures how often the judge agrees with people, how often people agree with each other, and what the judge prefers
    where it disagrees. Returns a JSON-ready dict.
    skills: problem -> skill."""
    votes = _counted(votes)
    judged: dict[Pair, PairResult] = {(r.problem, frozenset((r.a, r.b))): r for r in results}
    matched = [(judged[v.problem, v.pair], v) for v in votes if (v.problem, v.pair) in judged]
    scores = [tie_discounted(r.winner, v.winner) for r, v in matched]
    people: dict[Pair, list[Vote]] = defaultdict(list)
    for vote in votes:
        people[vote.problem, vote.pair].append(vote)
    among = [tie_discounted(x.winner, y.winner) for group in people.values() for x, y in combinations(group, 2)]
    disagreed = [r for (r, _), score in zip(matched, scores, strict=True) if score < 1]
    chosen = [r for r in disagreed if r.winner]
    return {
        "votes": len(votes),
        "matched": len(matched),
        "judge_human": asdict(mean(scores)) if scores else None,
        "human_human": asdict(mean(among)) if among else None,
        "disagreements": len(disagreed),
        "by_skill": dict(Counter(skills[r.problem] for r in disagreed)),
        "judge_chose": dict(Counter(_form_of_winner(r, answers) for r in chosen)),
        "code_of_the_chosen": dict(Counter(code_status([answers[r.winner][r.problem] for r in chosen]))),
    }


def _form_of_winner(result: PairResult, answers: Answers) -> str:
    """Describes how the answer that the judge chose differs in form (length, lists, code) from the other one."""
    other = result.b if result.winner == result.a else result.a
    chosen, rejected = answers[result.winner][result.problem], answers[other][result.problem]
    for form, has in (("code block", _has_code), ("list", _has_list)):
        if has(chosen) != has(rejected):
            return f"with {form}" if has(chosen) else f"without {form}"
    if len(chosen) > 1.2 * len(rejected):
        return "longer"
    return "shorter" if len(rejected) > 1.2 * len(chosen) else "of equal form"


def _has_code(text: str) -> bool:
    return "```" in text


def _has_list(text: str) -> bool:
    return sum(line.lstrip()[:2] in ("- ", "* ", "1.", "2.") for line in text.splitlines()) >= 2
