"""The page's first sentences: what a run made, lost and reached, for a reader who looks at nothing else.

summary(read_run(folder))  ->  ["From 268 seeds 568 rows were evolved; ...", "On gradeschool-heldout ..."]
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evoltune.report.run_data import RunData
from evoltune.run.queries import PENDING


def summary(run: RunData) -> list[str]:
    """A sentence each on rows, on what was lost, on scores, on judged answers and on cost, as far as there is something."""
    return [*_rows(run), *_losses(run), *_repairs(run), *_scores(run), *_judged(run), *_cost(run)]


def _rows(run: RunData) -> Iterator[str]:
    if not run.rows:
        return
    evolved = [row for row in run.rows if row["parents"]]
    seeds, kept = len(run.rows) - len(evolved), sum(row["outcome"] == "kept" for row in evolved)
    if evolved:
        yield (
            f"From {_count(seeds, 'seed')} {_count(len(evolved), 'row was', 'rows were')} evolved, of which {kept} "
            f"({kept / len(evolved):.0%}) {'are in the dataset' if run.is_built else 'are kept so far'}."
        )
    else:
        yield f"{_count(seeds, 'seed')}; nothing was evolved."


def _losses(run: RunData) -> Iterator[str]:
    reasons = Counter(row["outcome"] for row in run.rows if row["outcome"] not in ("kept", PENDING))
    if reasons:
        most = "; ".join(f"{n} {reason.replace(': ', ', ', 1)}" for reason, n in reasons.most_common(3))
        yield f"{_count(sum(reasons.values()), 'row was', 'rows were')} lost, most often: {most}."


def _repairs(run: RunData) -> Iterator[str]:
    if run.repairs:
        asked, passed = run.repairs
        yield f"{_count(asked, 'failed answer was', 'failed answers were')} sent back with the verifier's reason; {passed} passed then."


def _scores(run: RunData) -> Iterator[str]:
    by: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for score in run.scores:
        by.setdefault((score["suite"], score["measure"]), {})[score["label"]] = score
    for (suite, measure), found in by.items():
        after, before = found.get("after"), found.get("before")
        if after is None:
            continue
        interval = f"95% {after['low']:.1%} to {after['high']:.1%}, n = {after['n']}"
        start = f", {before['value']:.1%} before training" if before else ""
        yield f"{suite}, {measure}: {after['value']:.1%} solved ({interval}){start}."


def _judged(run: RunData) -> Iterator[str]:
    for study in run.judged:
        for pair in study["pairs"]:
            doubt = " This judge is not to be trusted far: see below." if study["trust"]["warnings"] else ""
            yield (
                f"{study['suite']}, '{pair['a']}' against '{pair['b']}': {pair['win']} won, {pair['tie']} tied, {pair['lose']} lost "
                f"(judge: {study['judge']}).{doubt}"
            )


def _cost(run: RunData) -> Iterator[str]:
    calls = int(sum(s["calls"] for s in run.spent.values()))
    if calls:
        tokens = int(sum(s["prompt_tokens"] + s["completion_tokens"] for s in run.spent.values()))
        usd = sum(s["usd"] for s in run.spent.values())
        yield f"The teacher was called {_count(calls, 'time')}: {tokens:,} tokens{f', {usd:.2f} dollars' if usd else ''}."


def _count(n: int, one: str, several: str = "") -> str:
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"
