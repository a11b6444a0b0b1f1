"""From judgements to results: wins, ties and losses, scores, the skill radar, difficulty, and agreement with people.

    result = standings(study, suite, answers, judgements)
    print("\\n".join(report(result)))

Invariant: a pair counts on a problem only when both orders were read; a win in one order and a loss in the other is a
tie; everything that does not count is counted as such.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from evoltune.arena.study import Answers, Judgement, Study, pairs
from evoltune.errors import DataError
from evoltune.evaluate.catalogue import DIFFICULTIES, SKILLS, value_of
from evoltune.evaluate.statistics import mcnemar, mean
from evoltune.evaluate.suites import Suite
from evoltune.rows.journal import rows
from evoltune.terminal import table

LEVELS = (("easy", 1, 4), ("middle", 5, 7), ("hard", 8, 10))
"""WizardLM's figure draws the line of "high difficulty" at 8."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Who won a problem: `winner` is a name, or "" for a tie; the mean value of each over both orders."""

    problem: str
    a: str
    b: str
    winner: str
    value_a: float
    value_b: float
    consistent: bool
    """Both orders named the same winner."""


def results(study: Study, judgements: Iterable[Judgement]) -> list[Result]:
    """One result per pair and problem where both orders were read."""
    read: dict[tuple[str, frozenset[str]], list[dict[str, float]]] = defaultdict(list)
    for judgement in judgements:
        if judgement.values is not None:
            values = dict(zip(judgement.shown, judgement.values, strict=True))
            for a, b in combinations(judgement.shown, 2):
                read[judgement.problem, frozenset((a, b))].append({a: values[a], b: values[b]})
    found = []
    for problem in dict.fromkeys(problem for problem, _ in read):
        for a, b in pairs(study):
            both = read.get((problem, frozenset((a, b))), [])
            if len(both) == 2:
                found.append(_result(problem, a, b, both))
    return found


def _result(problem: str, a: str, b: str, both: Sequence[Mapping[str, float]]) -> Result:
    signs = [(v[a] > v[b]) - (v[a] < v[b]) for v in both]
    total = sum(signs)
    return Result(
        problem=problem, a=a, b=b, winner=a if total > 0 else b if total < 0 else "",
        value_a=sum(v[a] for v in both) / 2, value_b=sum(v[b] for v in both) / 2, consistent=signs[0] == signs[1],
    )  # fmt: skip


def standings(
    study: Study, suite: Suite, answers: Answers, judgements: Sequence[Judgement]
) -> dict[str, Any]:
    """Plain JSON: per pair win/tie/lose overall, by difficulty and by skill; the radar; agreement with people."""
    found = results(study, judgements)
    tasks = {task.name: task.fields for task in suite.tasks}
    level = {name: _level(value_of(fields, DIFFICULTIES)) for name, fields in tasks.items()}
    skill = {name: value_of(fields, SKILLS) or "not stated" for name, fields in tasks.items()}
    out: dict[str, Any] = {
        "protocol": study.protocol,
        "judge": study.judge.model,
        "judgements": len(judgements),
        "unreadable": sum(j.values is None for j in judgements),
        "asked_again": sum(j.replies > 1 for j in judgements),
        "pairs": [],
    }
    for a, b in pairs(study):
        own = [r for r in found if (r.a, r.b) == (a, b)]
        out["pairs"].append(
            {
                "a": a,
                "b": b,
                **_tally(own),
                "not_counted": len(suite.tasks) - len(own),
                "consistent": sum(r.consistent for r in own) / len(own) if own else None,
                "by_difficulty": {k: _tally(v) for k, v in _grouped(own, level)},
                "radar": {k: _share(v, study.protocol) for k, v in _grouped(own, skill)},
                "share": _share(own, study.protocol),
            }
        )
    if study.human:
        votes = read_votes(Path(study.human), Path(study.key) if study.key else None)
        out["human"] = agreement(found, votes, skill, answers)
    return out


def _tally(found: Sequence[Result]) -> dict[str, Any]:
    wins, losses = sum(r.winner == r.a for r in found), sum(r.winner == r.b for r in found)
    rate = mean([1.0 if r.winner == r.a else 0.5 if not r.winner else 0.0 for r in found]) if found else None
    return {
        "n": len(found), "win": wins, "tie": len(found) - wins - losses, "lose": losses, "p": mcnemar(wins, losses),
        "win_rate": asdict(rate) if rate else None,
    }  # fmt: skip


def _share(found: Sequence[Result], protocol: str) -> dict[str, Any]:
    """a's total as a share of b's (the paper's "percentage of ChatGPT"); for preferences and ranks the win rate."""
    if protocol == "scores":
        total = sum(r.value_b for r in found)
        return {"n": len(found), "value": sum(r.value_a for r in found) / total if total else None}
    points = [1.0 if r.winner == r.a else 0.5 if not r.winner else 0.0 for r in found]
    return {"n": len(found), "value": sum(points) / len(points) if points else None}


def _grouped(found: Sequence[Result], key: Mapping[str, str]) -> list[tuple[str, list[Result]]]:
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in found:
        groups[key[result.problem]].append(result)
    return sorted(groups.items())


def _level(text: str) -> str:
    digits = "".join(c for c in text if c.isdigit())
    return next((name for name, low, high in LEVELS if digits and low <= int(digits) <= high), "not stated")


# ---- people


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One person's preference on one pair: a name, or "" for a tie."""

    problem: str
    pair: frozenset[str]
    winner: str
    annotator: str = ""


def read_votes(path: Path, key: Path | None = None) -> list[Vote]:
    """Votes as rows problem, a, b, vote (a name, `a`, `b` or `tie`), or exported by the ranking page, with its key."""
    from evoltune.arena.ranking_page import opened_votes

    if path.suffix == ".json":
        if key is None:
            raise DataError(
                f"{path}: exported by the ranking page: give the page's key file (study.key) to open it"
            )
        return [Vote(**{**v, "pair": frozenset(v["pair"])}) for v in opened_votes(path, key)]
    found = []
    for number, row in enumerate(rows(path), 1):
        missing = [name for name in ("problem", "a", "b", "vote") if not isinstance(row.get(name), str)]
        if missing:
            raise DataError(f"{path}:{number}: no text in column {missing[0]!r}")
        names = {"a": row["a"], "b": row["b"], "tie": "", row["a"]: row["a"], row["b"]: row["b"]}
        if row["vote"] not in names:
            raise DataError(
                f"{path}:{number}: vote {row['vote']!r}: allowed: a, b, tie, {row['a']}, {row['b']}"
            )
        found.append(
            Vote(
                problem=row["problem"],
                pair=frozenset((row["a"], row["b"])),
                winner=names[row["vote"]],
                annotator=str(row.get("annotator", "")),
            )
        )
    return found


def discounted(one: str, two: str) -> float:
    """LIMA's tie-discounted agreement (2305.11206, section 4.3): 1 for the same, 0.5 when exactly one says tie, else 0."""
    return 1.0 if one == two else 0.5 if not one or not two else 0.0


def agreement(
    found: Sequence[Result], votes: Sequence[Vote], skill: Mapping[str, str], answers: Answers
) -> dict[str, Any]:
    """How often the judge agrees with people, people with each other, and where the judge does not."""
    said = {(r.problem, frozenset((r.a, r.b))): r for r in found}
    judged = [(said[v.problem, v.pair], v) for v in votes if (v.problem, v.pair) in said]
    people: dict[tuple[str, frozenset[str]], list[Vote]] = defaultdict(list)
    for vote in votes:
        people[vote.problem, vote.pair].append(vote)
    among = [discounted(x.winner, y.winner) for group in people.values() for x, y in combinations(group, 2)]
    apart = [(r, v) for r, v in judged if discounted(r.winner, v.winner) < 1]
    runs = _runs([answers[r.winner][r.problem] for r, _ in apart if r.winner])
    return {
        "votes": len(votes),
        "matched": len(judged),
        "judge_human": asdict(mean([discounted(r.winner, v.winner) for r, v in judged])) if judged else None,
        "human_human": asdict(mean(among)) if among else None,
        "disagreements": len(apart),
        "by_skill": dict(Counter(skill[r.problem] for r, _ in apart)),
        "judge_chose": dict(Counter(_trait(r, answers) for r, _ in apart if r.winner)),
        "code_of_the_chosen": runs,
    }


def _trait(result: Result, answers: Answers) -> str:
    """How the answer that the judge chose differs in form from the other."""
    other = result.b if result.winner == result.a else result.a
    chosen, left = answers[result.winner][result.problem], answers[other][result.problem]
    if ("```" in chosen) != ("```" in left):
        return "with code block" if "```" in chosen else "without code block"
    if _listed(chosen) != _listed(left):
        return "with list" if _listed(chosen) else "without list"
    return (
        "longer"
        if len(chosen) > 1.2 * len(left)
        else "shorter"
        if len(left) > 1.2 * len(chosen)
        else "of equal form"
    )


def _listed(text: str) -> bool:
    return sum(line.lstrip()[:2] in ("- ", "* ", "1.", "2.") for line in text.splitlines()) >= 2


def _runs(texts: Sequence[str]) -> dict[str, int]:
    """Whether the Python in these answers runs in the sandbox: {"runs": n, "fails": n, "no code": n}."""
    from evoltune.arena.code_runs import runs

    return dict(Counter(runs(texts)))


# ---- text


def report(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the terminal."""
    yield (
        f"{result['suite']}: {result['judgements']} judgements by {result['judge']} ({result['protocol']}), "
        f"{result['unreadable']} unreadable, {result['asked_again']} asked again"
    )
    body: list[list[object]] = []
    for pair in result["pairs"]:
        for group, tally in [("all", pair), *pair["by_difficulty"].items()]:
            body.append(
                [
                    f"{pair['a']} - {pair['b']}",
                    group,
                    tally["win"],
                    tally["tie"],
                    tally["lose"],
                    f"{tally['p']:.2g}",
                ]
            )
    yield from table(["pair", "difficulty", "win", "tie", "lose", "p"], body)
    for pair in result["pairs"]:
        if pair["share"]["value"] is not None:
            yield f"{pair['a']} of {pair['b']}: {pair['share']['value']:.1%}; both orders agree on {pair['consistent']:.0%}"
    human = result.get("human")
    if human and human["judge_human"]:
        low, high = human["judge_human"]["interval"]
        yield f"agreement with {human['matched']} votes of people: {human['judge_human']['value']:.1%} (95% {low:.1%} to {high:.1%})"
