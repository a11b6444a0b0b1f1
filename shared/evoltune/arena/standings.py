"""From judgements to standings: wins, ties and losses per pair, by difficulty and skill, and agreement with people.

    result = standings(study, suite, answers, judgements)
    print("\\n".join(report(result)))

Invariant: a pair counts on a problem only when the judgements of both orders could be read, or the verifier decides; a win in
one order and a loss in the other is a tie; what does not count is reported.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

from evoltune.arena.agreement import agreement
from evoltune.arena.comparisons import Checked, decided
from evoltune.arena.dialogues import turn_of
from evoltune.arena.study import CRITERIA, GRADES, Answers, Judgement, PairResult, Study, Vote, pairs
from evoltune.arena.trust import comparisons_read, sign, trust, trust_lines, winner_of
from evoltune.evaluate.difficulty import NOT_STATED, difficulties_of, number_in, skills_of
from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.statistics import mcnemar, mean
from evoltune.evaluate.suites import Suite
from evoltune.terminal import table


def pair_results(study: Study, judgements: Iterable[Judgement], checked: Checked | None = None) -> list[PairResult]:
    """One result per pair and problem, decided by the verifier where it passes one answer and fails the other, otherwise by the judge
    if all its replies could be read."""
    judgements = list(judgements)
    read = comparisons_read(judgements, study.protocol)
    asked = [judgement.problem for judgement in judgements if judgement.kind == "systems"]
    problems = dict.fromkeys([*asked, *(p for own in (checked or {}).values() for p in own)])
    found = []
    for problem in problems:
        for a, b in pairs(study):
            if winner := decided(checked or {}, problem, a, b):
                found.append(
                    PairResult(problem=problem, a=a, b=b, winner=winner, value_a=0, value_b=0, consistent=True, by="checks")
                )  # fmt: skip
            elif (orders := read.get(("systems", 0, problem, frozenset((a, b))))) is not None:
                found.append(_over_orders(problem, a, b, orders))
    return found


def _over_orders(problem: str, a: str, b: str, orders: Sequence[Mapping[str, float]]) -> PairResult:
    winner = winner_of(orders, a, b)
    value_a, value_b = (sum(v[name] for v in orders) / len(orders) for name in (a, b))
    signs = {sign(v[a] - v[b]) for v in orders}
    return PairResult(
        problem=problem, a=a, b=b, winner=winner, value_a=value_a, value_b=value_b, consistent=len(signs) == 1
    )


def standings(
    study: Study,
    suite: Suite,
    answers: Answers,
    judgements: Sequence[Judgement],
    checked: Checked | None = None,
    votes: Sequence[Vote] = (),
) -> dict[str, Any]:
    """Counts wins, ties and losses of each pair: overall, by difficulty, by turn of the dialogue with the mean scores of both, by skill
    (`radar`) and by problem (`points`). `suite`: as `turn_by_turn` gives it. Adds how far the judge can be
    trusted and how far it agrees with people. Returns a JSON-ready dict."""
    results = pair_results(study, judgements, checked)
    levels = {task.name: _level(difficulties_of(task.fields)) for task in suite.tasks}
    turns = {task.name: str(turn_of(task)) for task in suite.tasks}
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
        asked = [r for r in own if r.by == "judge"]
        out["pairs"].append(
            {
                "a": a, "b": b, **_tally(own),
                "not_counted": len(suite.tasks) - len(own),
                "decided_by_checks": len(own) - len(asked),
                "consistent": sum(r.consistent for r in asked) / len(asked) if asked else None,
                "by_difficulty": {k: _tally(v) for k, v in _grouped(own, levels)} if {*levels.values()} != {NOT_STATED} else {},
                "by_turn": _by_turn(study, own, turns) if len({*turns.values()}) > 1 else {},
                "radar": {k: _share(v, study.protocol) for k, v in _grouped(own, skills)},
                "share": _share(own, study.protocol),
                "points": {r.problem: r.points for r in own},
            }
        )  # fmt: skip
    if study.protocol == "grades":
        out["grades"] = _grades(study, judgements)
    if study.protocol == "criteria":
        out["criteria"] = _criteria(study, judgements)
    if votes:
        out["human"] = agreement(results, votes, skills, answers)
    out["trust"] = trust(study, judgements)
    return out


def _grades(study: Study, judgements: Iterable[Judgement]) -> dict[str, Any]:
    """For each system: the number of answers with each grade, and the share graded pass or better."""
    found: dict[str, list[str]] = {system.name: [] for system in study.systems}
    for judgement in judgements:
        if (judgement.kind, judgement.repeat) == ("systems", 0) and judgement.values is not None:
            found[judgement.shown[0]].append(GRADES[int(judgement.values[0])])
    return {
        name: {
            "n": len(grades), **{grade.lower(): grades.count(grade) for grade in reversed(GRADES)},
            "at_least_pass": asdict(mean([float(grade != "FAIL") for grade in grades])) if grades else None,
        }
        for name, grades in found.items()
    }  # fmt: skip


def _criteria(study: Study, judgements: Iterable[Judgement]) -> dict[str, dict[str, float | None]]:
    """For each system: its mean score by each criterion, over all judgements that could be read."""
    found: dict[str, list[tuple[float, ...]]] = {system.name: [] for system in study.systems}
    for judgement in judgements:
        if (judgement.kind, judgement.repeat) == ("systems", 0):
            for name, scores in zip(judgement.shown, judgement.criteria, strict=False):
                found[name].append(scores)
    return {
        name: {criterion: fmean(s[i] for s in scores) if scores else None for i, criterion in enumerate(CRITERIA)}
        for name, scores in found.items()
    }


def _tally(results: Sequence[PairResult]) -> dict[str, Any]:
    points = [r.points for r in results]
    win, lose = points.count(1.0), points.count(0.0)
    return {
        "n": len(points), "win": win, "tie": len(points) - win - lose, "lose": lose, "p": mcnemar(win, lose),
        "win_rate": asdict(mean(points)) if points else None,
    }  # fmt: skip


def _share(results: Sequence[PairResult], protocol: str) -> dict[str, Any]:
    """a's total as a share of b's (WizardLM's "percentage of ChatGPT"), where the judge gave scores; else the win rate."""
    if protocol in ("scores", "criteria"):
        results = [r for r in results if r.by == "judge"]
        a, b = sum(r.value_a for r in results), sum(r.value_b for r in results)
    else:
        a, b = sum(r.points for r in results), len(results)
    return {"n": len(results), "value": a / b if b else None}


def _by_turn(study: Study, results: Sequence[PairResult], turns: Mapping[str, str]) -> dict[str, Any]:
    """turn -> wins, ties and losses, and under `scores` or `criteria` the mean of what the judge gave to both."""
    found = {turn: _tally(own) for turn, own in _grouped(results, turns)}
    for turn, own in _grouped([r for r in results if r.by == "judge"], turns):
        if study.protocol in ("scores", "criteria"):
            scores = {"a": fmean(r.value_a for r in own), "b": fmean(r.value_b for r in own)}
            found[turn]["scores"] = {"n": len(own), **scores}
    return found


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
        for group, tally in [
            ("all", pair),
            *pair["by_difficulty"].items(),
            *((f"turn {n}", t) for n, t in pair["by_turn"].items()),
        ]
    ]
    yield from table(["pair", "difficulty", "win", "tie", "lose", "p"], body)
    for pair in result["pairs"]:
        for turn, tally in pair["by_turn"].items():
            if scores := tally.get("scores"):
                yield f"turn {turn}: {pair['a']} {scores['a']:.1f}, {pair['b']} {scores['b']:.1f} (1 to 10, n={scores['n']})"
    for pair in result["pairs"]:
        if pair["share"]["value"] is not None:
            share = percent(pair["share"]["value"])
            agree = "" if pair["consistent"] is None else f"; both orders agree on {pair['consistent']:.0%}"
            checked = f"; {pair['decided_by_checks']} decided by checks" if pair["decided_by_checks"] else ""
            yield f"{pair['a']} of {pair['b']}: {share}{agree}{checked}"
    for system, means in result.get("criteria", {}).items():
        scores = (f"{name} {value:.1f}" for name, value in means.items() if value is not None)
        yield f"{system}: {', '.join(scores) or 'not judged'}"
    for system, grades in result.get("grades", {}).items():
        yield f"{system}: {grades['excellent']} excellent, {grades['pass']} pass, {grades['fail']} fail of {grades['n']}"
    yield from trust_lines(result["trust"])
    human = result.get("human")
    if human:
        measure = human["judge_human"]
        share = (
            f"{percent(measure['value'])} (95% {percent_interval(measure['interval'])})" if measure else "not measured"
        )
        yield f"agreement with {human['matched']} votes of people: {share}"
        if left := human["votes"] - human["matched"]:
            yield f"warning: {left} of {human['votes']} votes are on no problem and pair of systems that this judge judged"
