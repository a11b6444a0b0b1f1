"""The page's first sentences: what a run made, lost and reached, for a reader who looks at nothing else.

summary(read_run(folder))  ->  ["From 268 seeds 568 rows were evolved; ...", "On gradeschool-heldout ..."]
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evoltune.report.run_data import RunData
from evoltune.run.queries import PENDING

ENDS = ("win", "tie", "lose")
ENOUGH_DRAWS = 10
"""Draws from which on an operator's price says something."""


def summary(run: RunData) -> list[str]:
    """A sentence each on the recipe, rows, losses, verdicts, difficulty, variety, operators, contamination, training, scores, judged
    answers and cost, as far as there is something."""
    parts = (
        _recipe, _rows, _losses, _verdicts, _difficulty, _variety, _operators, _repairs, _certificate, _training, _scores, _judged, _cost
    )  # fmt: skip
    return [sentence for part in parts for sentence in part(run)]


def _recipe(run: RunData) -> Iterator[str]:
    train, teacher = run.settings.get("train") or {}, run.settings.get("teacher") or {}
    if train.get("model_name_or_path") and teacher.get("model"):
        how = train.get("finetuning_type", "")
        rows = f"rows that the teacher {teacher['model']} evolves"
        if run.rows and not any(row["parents"] for row in run.rows):
            rows = "the seeds as they are"
        elif run.rows and not _calls(run):
            rows = "seeds and what functions made of them"
        yield (
            f"Recipe {run.settings.get('name')}, domain {run.settings.get('domain')}: {train['model_name_or_path']}, fine-tuned ({how}) on {rows}."
        )


def _rows(run: RunData) -> Iterator[str]:
    if not run.rows:
        return
    evolved = [row for row in run.rows if row["parents"]]
    seeds, kept = len(run.rows) - len(evolved), sum(row["outcome"] == "kept" for row in evolved)
    if evolved:
        all_kept = sum(row["outcome"] == "kept" for row in run.rows)
        share = f"{kept} ({kept / len(evolved):.0%})"
        whole = f"; with {_count(all_kept - kept, 'seed')} it has {_count(all_kept, 'row')}" if run.is_built else ""
        where = "are in the dataset" if run.is_built else "are kept so far"
        yield (
            f"From {_count(seeds, 'seed')} {_count(len(evolved), 'row was', 'rows were')} evolved, of which {share} {where}{whole}."
        )
    else:
        yield f"{_count(seeds, 'seed')}; nothing was evolved."


def _losses(run: RunData) -> Iterator[str]:
    reasons = Counter(row["outcome"] for row in run.rows if row["outcome"] not in ("kept", PENDING))
    if reasons:
        most = "; ".join(f"{n} in {_reason(reason)}" for reason, n in reasons.most_common(3))
        rest = sum(reasons.values()) - sum(n for _, n in reasons.most_common(3))
        others = f"; {rest} for other reasons" if rest else ""
        yield f"{_count(sum(reasons.values()), 'row was', 'rows were')} lost: {most}{others}."


def _verdicts(run: RunData) -> Iterator[str]:
    """How many of the kept rows the verifier vouches for."""
    kept = [row for row in run.rows if row["outcome"] == "kept"]
    evolved = [row for row in kept if row["parents"]]
    if not kept or all(row["verdict"] == "not judged" for row in kept):
        return
    passed, own = (sum(row["verdict"] == "pass" for row in rows) for rows in (kept, evolved))
    of_evolved = f", {own} of the {len(evolved)} evolved ones" if evolved else ""
    rest = "" if passed == len(kept) else "; nothing is known of the others' answers"
    yield f"The verifier passed the answers of {passed} of the {_count(len(kept), 'kept row')}{of_evolved}{rest}."


def _difficulty(run: RunData) -> Iterator[str]:
    means = [
        f"{r['mean']:.1f} for {'seeds' if r['round'] == 0 else 'round {}'.format(r['round'])}" for r in run.ratings
    ]
    if means:
        evolved = [r["mean"] for r in run.ratings if r["round"]]
        seeds = [r["mean"] for r in run.ratings if not r["round"]]
        flat = "; evolution made them no harder" if evolved and seeds and max(evolved) <= seeds[0] else ""
        yield f"Mean difficulty of the kept rows, 1 to 10: {', '.join(means)}{flat}."
    elif any(row["parents"] for row in run.rows):
        yield "How hard the rows are was not measured."


def _variety(run: RunData) -> Iterator[str]:
    """What became of the variety of prompts between the seeds and the last round."""
    if len(run.spread) > 1:
        first, last = run.spread[0], run.spread[-1]
        yield (
            f"Variety: a sample of {last['sample']} prompts is worth {first['effective']:.0f} unlike ones in round {first['round']} and "
            f"{last['effective']:.0f} in round {last['round']}."
        )


def _training(run: RunData) -> Iterator[str]:
    if run.rows and not run.loss:
        yield "Nothing has been trained yet."
    elif run.loss and not run.scores and not run.judged:
        yield "The checkpoint has not been evaluated yet."


def _reason(outcome: str) -> str:
    """ "verify: fail" as "verify (fail)"."""
    step, _, reason = outcome.partition(": ")
    return f"{step} ({reason})"


def _operators(run: RunData) -> Iterator[str]:
    """The operator whose kept rows cost least, in tokens or, where none was spent, in draws; of those with enough draws to tell."""
    tokens: dict[str, float] = {}
    for row in run.yields:
        tokens[row["operator"]] = tokens.get(row["operator"], 0) + row["tokens"]
    of = {o["operator"]: o for o in run.operators if o["operator"] != "seed" and o["kept"]}
    if len(of) < 2:
        return
    each = {name: tokens.get(name, 0) / o["kept"] for name, o in of.items()}
    share = {name: o["kept"] / o["drawn"] for name, o in of.items()}
    often = [name for name, o in of.items() if o["drawn"] >= ENOUGH_DRAWS] or list(of)
    best = min(often, key=lambda name: (each[name], -share[name], name))
    price = f", {each[best]:,.0f} tokens for each" if each[best] else ", without a call to the teacher"
    none = [o["operator"] for o in run.operators if o["operator"] != "seed" and not o["kept"]]
    rest = f" Nothing was kept of {', '.join(none)}." if none else ""
    yield f"The cheapest rows are those of the operator {best}: {of[best]['kept']} of {of[best]['drawn']} kept{price}.{rest}"


def _certificate(run: RunData) -> Iterator[str]:
    if run.certificate and (suites := run.certificate.get("suites")):
        hits, unchecked = (len(run.certificate.get(key, ())) for key in ("hits", "unchecked"))
        more = f", {unchecked} that could not be checked" if unchecked else ""
        found = f"{_count(hits, 'row')} that gave a problem away{more} {'was' if hits + unchecked == 1 else 'were'} left out"
        clean = "no row gave a problem away"
        yield f"The dataset was checked against {', '.join(suites)}: {found if hits + unchecked else clean}."


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
        open_ones = (
            f" Nothing could judge {_count(after['unjudged'], 'answer')}, counted as not solved."
            if after["unjudged"]
            else ""
        )
        yield f"{suite}, {measure}: {after['value']:.1%} solved ({interval}){start}.{open_ones}"


def _judged(run: RunData) -> Iterator[str]:
    for study in run.judged:
        doubt = " This judge is not to be trusted far: see below." if study["trust"]["warnings"] else ""
        for pair in study["pairs"]:
            counts = f"{pair['win']} won, {pair['tie']} tied, {pair['lose']} lost"
            if not sum(pair[end] for end in ENDS):
                counts = (
                    f"no result, since {study['unreadable']} of {study['judgements']} of its replies could not be read"
                )
            total = sum(pair[end] for end in ENDS)
            by_checks = min(pair["decided_by_checks"], total)
            if total and by_checks:
                counts += f"; checks decided {by_checks} of these, {study['judge']} {total - by_checks}"
            elif total:
                counts += f", as {study['judge']} judged"
            if total and pair["win"] + pair["lose"]:
                counts += f" (p = {pair['p']:.2g}, McNemar)"
            if total and pair["not_counted"]:
                counts += f"; {pair['not_counted']} not counted, as the judge's replies could not be read"
            yield f"{study['suite']}: '{pair['a']}' against '{pair['b']}': {counts}.{doubt}"


def _calls(run: RunData) -> int:
    return int(sum(s["calls"] for s in run.spent.values()))


def _cost(run: RunData) -> Iterator[str]:
    if calls := _calls(run):
        tokens = int(sum(s["prompt_tokens"] + s["completion_tokens"] for s in run.spent.values()))
        usd = sum(s["usd"] for s in run.spent.values())
        yield f"The teacher was called {_count(calls, 'time')}: {tokens:,} tokens{f', {usd:.2f} dollars' if usd else ''}."


def _count(n: int, one: str, several: str = "") -> str:
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"
