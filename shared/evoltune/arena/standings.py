"""From judgements to standings: wins, ties and losses per pair, by difficulty and skill, and agreement with people.

    result = standings(study, suite, answers, judgements)
    print("\\n".join(report(result)))

Invariant: a pair counts on a problem only when the judgements of both orders could be read; a win in one order and a loss
in the other is a tie; what does not count is reported.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from evoltune.arena.agreement import agreement, read_votes
from evoltune.arena.study import Answers, Judgement, PairResult, Study, pairs
from evoltune.evaluate.difficulty import NOT_STATED, difficulties_of, number_in, skills_of
from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.statistics import mcnemar, mean
from evoltune.evaluate.suites import Suite
from evoltune.terminal import table


def pair_results(study: Study, judgements: Iterable[Judgement]) -> list[PairResult]:
    """One result per pair and problem, where both orders could be read."""
    read: dict[tuple[str, frozenset[str]], list[dict[str, float]]] = defaultdict(list)
    for judgement in judgements:
        if judgement.values is not None:
            values = dict(zip(judgement.shown, judgement.values, strict=True))
            for a, b in combinations(judgement.shown, 2):
                read[judgement.problem, frozenset((a, b))].append(values)
    found = []
    for problem in dict.fromkeys(problem for problem, _ in read):
        for a, b in pairs(study):
            orders = read.get((problem, frozenset((a, b))), [])
            if len(orders) == 2:
                signs = [(v[a] > v[b]) - (v[a] < v[b]) for v in orders]
                winner = a if sum(signs) > 0 else b if sum(signs) < 0 else ""
                value_a, value_b = (sum(v[name] for v in orders) / 2 for name in (a, b))
                found.append(
                    PairResult(problem=problem, a=a, b=b, winner=winner, value_a=value_a, value_b=value_b,
                               consistent=signs[0] == signs[1])
                )  # fmt: skip
    return found


def standings(study: Study, suite: Suite, answers: Answers, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Plain JSON: win, tie and lose per pair, overall, by difficulty and by skill (`radar`); agreement with people."""
    results = pair_results(study, judgements)
    levels = {task.name: _level(difficulties_of(task.fields)) for task in suite.tasks}
    skills = {task.name: (skills_of(task.fields) or [NOT_STATED])[0] for task in suite.tasks}
    out: dict[str, Any] = {
        "protocol": study.protocol,
        "judge": study.judge.model,
        "judgements": len(judgements),
        "unreadable": sum(j.values is None for j in judgements),
        "asked_again": sum(j.replies > 1 for j in judgements),
        "pairs": [],
    }
    for a, b in pairs(study):
        own = [r for r in results if (r.a, r.b) == (a, b)]
        out["pairs"].append(
            {
                "a": a, "b": b, **_tally(own),
                "not_counted": len(suite.tasks) - len(own),
                "consistent": sum(r.consistent for r in own) / len(own) if own else None,
                "by_difficulty": {k: _tally(v) for k, v in _grouped(own, levels)},
                "radar": {k: _share(v, study.protocol) for k, v in _grouped(own, skills)},
                "share": _share(own, study.protocol),
            }
        )  # fmt: skip
    if study.human:
        votes = read_votes(Path(study.human), Path(study.key) if study.key else None)
        out["human"] = agreement(results, votes, skills, answers)
    return out


def _tally(results: Sequence[PairResult]) -> dict[str, Any]:
    points = [r.points for r in results]
    win, lose = points.count(1.0), points.count(0.0)
    return {
        "n": len(points), "win": win, "tie": len(points) - win - lose, "lose": lose, "p": mcnemar(win, lose),
        "win_rate": asdict(mean(points)) if points else None,
    }  # fmt: skip


def _share(results: Sequence[PairResult], protocol: str) -> dict[str, Any]:
    """a's total as a share of b's (WizardLM's "percentage of ChatGPT"); for preferences and ranks the win rate."""
    if protocol == "scores":
        a, b = sum(r.value_a for r in results), sum(r.value_b for r in results)
    else:
        a, b = sum(r.points for r in results), len(results)
    return {"n": len(results), "value": a / b if b else None}


def _grouped(results: Sequence[PairResult], key: Mapping[str, str]) -> list[tuple[str, list[PairResult]]]:
    groups: dict[str, list[PairResult]] = defaultdict(list)
    for result in results:
        groups[key[result.problem]].append(result)
    return sorted(groups.items())


def _level(difficulties: Sequence[str]) -> str:
    """easy up to 4, middle up to 7, hard above, of difficulties from 1 to 10: WizardLM's "high difficulty" starts at 8."""
    number = number_in(difficulties[0]) if difficulties else None
    if number is None or not 1 <= number <= 10:
        return NOT_STATED
    return "easy" if number <= 4 else "middle" if number <= 7 else "hard"


def report(result: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the terminal."""
    yield (
        f"{result['suite']}: {result['judgements']} judgements by {result['judge']} ({result['protocol']}), "
        f"{result['unreadable']} unreadable, {result['asked_again']} asked again"
    )
    body = [
        [f"{pair['a']} - {pair['b']}", group, tally["win"], tally["tie"], tally["lose"], f"{tally['p']:.2g}"]
        for pair in result["pairs"]
        for group, tally in [("all", pair), *pair["by_difficulty"].items()]
    ]
    yield from table(["pair", "difficulty", "win", "tie", "lose", "p"], body)
    for pair in result["pairs"]:
        if pair["share"]["value"] is not None:
            share = percent(pair["share"]["value"])
            yield f"{pair['a']} of {pair['b']}: {share}; both orders agree on {pair['consistent']:.0%}"
    human = result.get("human")
    if human and human["judge_human"]:
        measure = human["judge_human"]
        yield (
            f"agreement with {human['matched']} votes of people: {percent(measure['value'])} "
            f"(95% {percent_interval(measure['interval'])})"
        )
