"""How often an accepted answer is wrong: people look at a sample of them, without the verdicts.

    write_audit(drawn, Path("verdicts.audit.html"), seed=0)          # the page for people, and beside it the key
    print("\\n".join(audit_report(Path("decisions.json"), Path("verdicts.audit.key.json"))["lines"]))

Accepted answers are mixed with rejected ones, so that nobody can tell that accepting is the rule. Invariant: the page holds no
verdict and no id of a row; only the key says which is which.
"""

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.evaluate.results import percent, percent_interval
from evoltune.evaluate.statistics import wilson
from evoltune.record import digest
from evoltune.report.pages import write_review
from evoltune.rows.files import read_json, write_json
from evoltune.terminal import visible

CONTROLS = 4
"""One rejected answer is shown for this many accepted ones."""
Item = Mapping[str, Any]
"""`row` (its number in the file), `accepted`, `question`, `reference`, `answer`."""


def audit_page(out: Path) -> Path:
    """Where the page on a file of verdicts stands."""
    return out.with_suffix(".audit.html")


def key_beside(page: Path) -> Path:
    """Where a page's key stands."""
    return page.with_suffix(".key.json")


def drawn_rows(accepted: Sequence[int], rejected: Sequence[int], size: int, seed: int) -> list[int]:
    """Numbers of the rows to be looked at: `size` accepted ones, or all, and some rejected ones, in a mixed order."""
    rng = random.Random(seed)
    chosen = rng.sample(accepted, min(size, len(accepted)))
    chosen += rng.sample(rejected, min(-(-len(chosen) // CONTROLS), len(rejected)))
    rng.shuffle(chosen)
    return chosen


def write_audit(items: Sequence[Item], page: Path, counts: Mapping[str, int]) -> Path:
    """Writes the page and, beside it, its key, whose path it returns. `counts`: how many rows were accepted and rejected."""
    ids = [digest([i, item["row"], item["answer"]])[:8] for i, item in enumerate(items)]
    shown = [
        {
            "id": code,
            "source": "is this answer right?",
            "instruction": visible(_asked(item)),
            "output": visible(item["answer"]),
        }
        for code, item in zip(ids, items, strict=True)
    ]
    key = key_beside(page)
    verdicts = {code: {"row": i["row"], "accepted": i["accepted"]} for code, i in zip(ids, items, strict=True)}
    write_json(key, {"audit": digest(ids), "counts": dict(counts), "items": verdicts})
    write_review(page, f"audit {digest(ids)[:6]}", shown)
    return key


def _asked(item: Item) -> str:
    parts = [item["question"] or "(the row has no question)"]
    parts += [f"reference: {item['reference']}"] if item["reference"] else []
    return "\n\n".join(parts)


def audit_report(decisions: Path, key: Path) -> dict[str, Any]:
    """What people decided about the accepted answers, as figures and `lines`. Raises DataError for files that do not fit."""
    opened, given = read_json(key), read_json(decisions)
    if opened is None or not isinstance(opened.get("items"), dict):
        raise DataError(f"{key}: no key of an audit: give the .key.json that `evoltune verify --audit` wrote")
    if given is None:
        raise DataError(f"{decisions}: no decisions: give the file that the page saves")
    if unknown := next((code for code in given if code not in opened["items"]), ""):
        raise DataError(f"{decisions}: {unknown!r} is not on the page of {key}: these decisions are for another page")
    if wrong := next((d for d in given.values() if d not in ("accept", "reject", "")), ""):
        raise DataError(f"{decisions}: decision {json.dumps(wrong)}: allowed: accept, reject")
    seen = {code: decision for code, decision in given.items() if decision}
    accepted = [seen[code] == "reject" for code, item in opened["items"].items() if item["accepted"] and code in seen]
    rejected = [
        seen[code] == "accept" for code, item in opened["items"].items() if not item["accepted"] and code in seen
    ]
    if not accepted:
        raise DataError(f"{decisions}: no accepted answer was decided on: press a or r on the page, then save")
    facts = {
        "false_positives": _rate(accepted), "false_negatives": _rate(rejected) if rejected else None,
        "open": len(opened["items"]) - len(seen), "accepted_rows": opened["counts"]["accepted"],
    }  # fmt: skip
    return facts | {"lines": _lines(facts), "wrong": _wrong(opened["items"], seen)}


def _rate(errors: Sequence[bool]) -> dict[str, Any]:
    low, high = wilson(sum(errors), len(errors))
    return {"n": len(errors), "wrong": sum(errors), "rate": sum(errors) / len(errors), "interval": [low, high]}


def _wrong(items: Mapping[str, Any], seen: Mapping[str, str]) -> list[int]:
    return sorted(item["row"] for code, item in items.items() if item["accepted"] and seen.get(code) == "reject")


def _lines(facts: Mapping[str, Any]) -> list[str]:
    rate, low_high = facts["false_positives"], facts["false_positives"]["interval"]
    rows = facts["accepted_rows"]
    wrong = f"about {rows * rate['rate']:.0f} of the {rows} accepted answers ({rows * low_high[0]:.0f} to {rows * low_high[1]:.0f})"
    found = [
        f"false positives: {rate['wrong']} of {rate['n']} accepted answers are wrong: {percent(rate['rate'])} "
        f"(95% {percent_interval(low_high)}, wilson); {wrong}"
    ]
    if missed := facts["false_negatives"]:
        found.append(
            f"controls: {missed['wrong']} of {missed['n']} rejected answers are right: {percent(missed['rate'])} "
            f"(95% {percent_interval(missed['interval'])}, wilson)"
        )
    return found + ([f"{facts['open']} answers on the page are not decided on"] if facts["open"] else [])
