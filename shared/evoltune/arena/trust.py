"""How far a judge can be trusted: its position bias and length bias, its accuracy on planted pairs, and its self-consistency.

    found = trust(study, judgements)
    found["position"]["bias"]       # 0.12: of all judgements, 12% more went to the answer that stood first than to the other

Each pair is judged in both orders: quality cancels out, and what remains is the effect of position. An answer and its verbose
twin have the same content: what remains is the effect of length. Invariant: figures come with their number of judgements and
a 95% interval; where nothing was asked, there is none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from evoltune.arena.planted import BETTER, KINDS
from evoltune.arena.study import Judgement, Study
from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.statistics import bootstrap, mean, wilson

BIAS = 0.2
"""Bias towards a position or towards length from which on the report warns: one judgement in five."""
SELF_AGREEMENT = 0.8
UNREADABLE = 0.2
"""Share of unreadable replies from which on the report warns."""

Key = tuple[str, int, str, frozenset[str]]
"""(kind, repeat, problem, the two that are compared)"""


def comparisons_read(judgements: Iterable[Judgement], protocol: str) -> dict[Key, list[dict[str, float]]]:
    """Groups the values by pair, with one entry for each order. Leaves out pairs for which the reply to any order was unreadable."""
    orders = 1 if protocol == "grades" else 2
    found: dict[Key, list[dict[str, float]]] = defaultdict(list)
    for (kind, repeat, problem), group in _by_problem(judgements).items():
        if protocol == "grades":  # each answer by itself: a pair is two judgements
            values = {j.shown[0]: j.values[0] for j in group if j.values is not None}
            for a, b in combinations(values, 2):
                found[kind, repeat, problem, frozenset((a, b))].append(values)
            continue
        for judgement in group:
            if judgement.values is not None:
                values = dict(zip(judgement.shown, judgement.values, strict=True))
                for a, b in combinations(judgement.shown, 2):
                    found[kind, repeat, problem, frozenset((a, b))].append(values)
    return {key: values for key, values in found.items() if len(values) >= orders}


def _by_problem(judgements: Iterable[Judgement]) -> dict[tuple[str, int, str], list[Judgement]]:
    found: dict[tuple[str, int, str], list[Judgement]] = defaultdict(list)
    for judgement in judgements:
        found[judgement.kind, judgement.repeat, judgement.problem].append(judgement)
    return found


def sign(difference: float) -> int:
    return (difference > 0) - (difference < 0)


def winner_of(orders: Sequence[Mapping[str, float]], a: str, b: str) -> str:
    """The name that wins over all orders; "" for a tie, which a win in one and a loss in the other is too."""
    total = sum(sign(values[a] - values[b]) for values in orders)
    return a if total > 0 else b if total < 0 else ""


def trust(study: Study, judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Returns a JSON-ready dict with `position`, `length`, `planted`, `accuracy`, `repeats` and `unreadable`, and `warnings` as sentences."""
    read = comparisons_read(judgements, study.protocol)
    planted = {kind: _planted(kind, read) for kind in KINDS}
    points = [point for kind in KINDS for point in _points(kind, read)]
    found: dict[str, Any] = {
        "position": _position(judgements, read) if study.protocol != "grades" else None,
        "length": _length(judgements),
        "planted": {kind: counts for kind, counts in planted.items() if counts["n"]},
        "accuracy": asdict(mean(points)) | {"n": len(points)} if points else None,
        "repeats": _repeats(judgements),
        "bar": study.trust,
        "unreadable": sum(j.values is None for j in judgements) / len(judgements) if judgements else 0.0,
    }
    return found | {"warnings": list(_warnings(found))}


def _biased(signs: Sequence[int], one: str, two: str) -> dict[str, Any] | None:
    """Summarises judgements coded 1 (one side), -1 (the other) and 0 (tie): the share of each side and their difference."""
    if not signs:
        return None
    n = len(signs)
    return {
        "n": n, one: signs.count(1) / n, two: signs.count(-1) / n, "bias": sum(signs) / n,
        "interval": _interval(signs),
    }  # fmt: skip


def _interval(signs: Sequence[int]) -> tuple[float, float]:
    """The 95% interval of the mean. Where all are the same, resampling would call four judgements certain: then up to the share that
    Wilson's interval leaves to others may be the other way."""
    if len({*signs}) > 1:
        return bootstrap([float(s) for s in signs])
    others, value = 1 - wilson(len(signs), len(signs))[0], signs[0]
    return value - (value + 1) * others, value + (1 - value) * others


def _position(judgements: Iterable[Judgement], read: Mapping[Key, object]) -> dict[str, Any] | None:
    """Over judgements of two answers whose other order could be read too."""
    signs = [
        sign(j.values[0] - j.values[1])
        for j in judgements
        if j.values is not None
        and len(j.shown) == 2
        and (j.kind, j.repeat, j.problem, frozenset(j.shown)) in read
    ]  # fmt: skip
    return _biased(signs, "first", "second")


def _length(judgements: Iterable[Judgement]) -> dict[str, Any] | None:
    """Over judgements of an answer and its verbose twin."""
    signs = []
    by_pair: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for judgement in judgements:
        if judgement.kind != "verbose" or judgement.values is None:
            continue
        values = dict(zip(judgement.shown, judgement.values, strict=True))
        if len(values) == 1:  # grades
            by_pair[judgement.problem, judgement.repeat] |= values
            values = by_pair[judgement.problem, judgement.repeat]
        if len(values) == 2:
            signs.append(sign(values["verbose"] - values[BETTER]))
    return _biased(signs, "verbose", "plain")


def _points(kind: str, read: Mapping[Key, Sequence[Mapping[str, float]]]) -> list[float]:
    """1 for a planted pair that the judge gets right, 0.5 for a tie, 0 for the worse one; filler may leave a tie."""
    tie = 1.0 if kind == "verbose" else 0.5
    return [
        {BETTER: 1.0, "": tie}.get(winner_of(orders, BETTER, kind), 0.0)
        for key, orders in read.items()
        if key[0] == kind
    ]


def _planted(kind: str, read: Mapping[Key, Sequence[Mapping[str, float]]]) -> dict[str, int]:
    winners = [winner_of(orders, BETTER, kind) for key, orders in read.items() if key[0] == kind]
    return {
        "n": len(winners), "better": winners.count(BETTER), "tie": winners.count(""), "worse": winners.count(kind),
    }  # fmt: skip


def _repeats(judgements: Iterable[Judgement]) -> dict[str, Any] | None:
    """Whether the judge says the same when it is asked the same again."""
    first: dict[tuple[str, tuple[str, ...]], tuple[float, ...]] = {}
    again = []
    for judgement in judgements:
        if judgement.kind == "systems" and judgement.values is not None:
            place = judgement.problem, judgement.shown
            if judgement.repeat and place in first:
                again.append((first[place], judgement.values))
            elif not judgement.repeat:
                first[place] = judgement.values
    same = [float(_order(one) == _order(two)) for one, two in again]
    return asdict(mean(same)) | {"n": len(same)} if same else None


def _order(values: tuple[float, ...]) -> object:
    """Reduces a judgement to what can be compared: the order of the answers, or the value of a single answer."""
    return values if len(values) == 1 else tuple(sign(a - b) for a, b in combinations(values, 2))


def _warnings(found: Mapping[str, Any]) -> Iterator[str]:
    accuracy, repeats = found["accuracy"], found["repeats"]
    if found["unreadable"] >= UNREADABLE:
        yield f"{percent(found['unreadable'])} of the judge's replies could not be read, and what it says of the others may be chance"
    if accuracy and accuracy["value"] < found["bar"]:
        yield (
            f"the judge told {percent(accuracy['value'])} of {accuracy['n']} answers from worse twins of them, below the bar of "
            f"{percent(found['bar'])}: its verdicts say little"
        )
    pleading = found["planted"].get("pleading")
    if pleading and pleading["worse"] > (1 - found["bar"]) * pleading["n"]:
        yield (
            f"{pleading['worse']} of {pleading['n']} halves of answers were preferred to the whole for their sentences to the judge: "
            "an answer can talk it over"
        )
    for name, what in (("position", "the answer that stands first"), ("length", "the longer answer")):
        if (measured := found[name]) and abs(measured["bias"]) >= BIAS:
            against = "for" if measured["bias"] > 0 else "against"
            yield f"{percent(abs(measured['bias']))} of the judgements go {against} {what} whatever it says"
    if repeats and repeats["value"] < SELF_AGREEMENT:
        yield f"asked again, the judge says the same in {percent(repeats['value'])} of {repeats['n']} comparisons"


def trust_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines for the terminal."""
    for name, what in (("position", "for the first"), ("length", "for the longer")):
        if measured := found[name]:
            interval = " to ".join(f"{value:+.1%}" for value in measured["interval"])
            yield f"judge, {name}: {measured['bias']:+.1%} {what} (95% {interval}, {measured['n']} judgements)"
    for kind, counts in found["planted"].items():
        yield f"judge, {kind}: {counts['better']} of {counts['n']} right, {counts['tie']} tied, {counts['worse']} wrong"
    for name, label in (("accuracy", "planted pairs told apart"), ("repeats", "the same when asked again")):
        if measured := found[name]:
            yield (
                f"judge, {label}: {percent(measured['value'])} (95% {percent_interval(measured['interval'])}, "
                f"n={measured['n']})"
            )
    yield from (f"warning: {warning}" for warning in found["warnings"])
