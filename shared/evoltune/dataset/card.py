"""The dataset card: README.md beside the Parquet files, with the counts of the ledger and the certificate in words.

Invariant: the card is a function of the recipe, the counts and the certificate; no clock, no path, no machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evoltune.recipe import Recipe, fingerprint

COLUMNS = {
    "id": "hash of the task and its lineage; `.1`, `.2` ... for further answers to one task",
    "domain": "the domain whose verifier judged the row",
    "instruction": "what is asked (the last user turn)",
    "input": "always empty: context is part of the instruction; kept for Alpaca readers",
    "output": "the answer that is trained on",
    "messages": "the same row as chat messages, earlier turns included",
    "operator": "how the task was evolved from its parents; empty for a seed",
    "round": "round of evolution; 0 for a seed",
    "parents": "ids of the rows it was evolved from",
    "skill": "what the row exercises",
    "verified_by": "how the answer was judged; empty: it was not",
    "confidence": "the verifier's own, from 0 to 1; 1 where it is certain",
    "difficulty": "1 to 10; 0 where it is not known",
    "licence": "licence of the seed",
    "teacher_terms": "terms of the teacher that wrote the task or the answer",
}


def render_card(
    recipe: Recipe, certificate: Mapping[str, Any], counts: Mapping[str, Mapping[str, int]],
    splits: Mapping[str, int], seen: Mapping[str, Mapping[str, int]],
) -> str:  # fmt: skip
    """Markdown with the hub's front matter. seen: column -> value -> rows, for licence, skill, operator and round."""
    parts = [
        _front_matter(splits, seen),
        f"# {recipe.name or recipe.domain}\n\n{recipe.description or 'Instruction data.'}\n",
        f"Domain `{recipe.domain}`, recipe `{fingerprint(recipe)}`, seed {recipe.seed}; teacher: {recipe.teacher.model} "
        f"({recipe.teacher.kind}), terms: {recipe.teacher.terms or 'not stated'}.\n",
        "## Rows\n\n" + _table(("split", "rows"), [(name, n) for name, n in splits.items()]),
        "## Difficulty\n\n![rows by round and difficulty](difficulty.svg)\n",
        "## How they came about\n\nFor each stage: in = kept + dropped, by reason.\n\n" + _ledger(counts),
        "## Contamination\n\n" + _contamination(certificate),
        *(_counts(name, values) for name, values in seen.items()),
        "## Columns\n\n" + _table(("column", "meaning"), list(COLUMNS.items())),
    ]
    return "\n".join(parts)


def _front_matter(splits: Mapping[str, int], seen: Mapping[str, Mapping[str, int]]) -> str:
    licences = sorted(seen.get("licence", {}))
    lines = [
        f"license: {licences[0].lower()}"
        if len(licences) == 1 and licences[0] != "unknown"
        else "license: other"
    ]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in (name for name, rows in splits.items() if rows):  # `datasets` refuses empty splits
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _ledger(counts: Mapping[str, Mapping[str, int]]) -> str:
    rows = []
    for stage, ledger in counts.items():
        dropped = [f"{n} {reason}" for reason, n in ledger.items() if reason not in ("in", "kept", "pending")]
        rows.append((stage, ledger.get("in", 0), ledger.get("kept", 0), "; ".join(dropped) or "-"))
    return _table(("stage", "in", "kept", "dropped"), rows)


def _contamination(certificate: Mapping[str, Any]) -> str:
    suites = certificate.get("suites", {})
    if not suites:
        return "Checked against no suite: do not report a score on any benchmark from this data.\n"
    methods = ", ".join(f"{name} {value}" for name, value in certificate.get("methods", {}).items())
    table = _table(
        ("suite", "tasks", "hash of the problems"),
        [(n, s["tasks"], s["problems"]) for n, s in suites.items()],
    )
    dropped = f"{len(certificate.get('hits', []))} rows were dropped."
    if unchecked := len(certificate.get("unchecked", [])):
        dropped += f" {unchecked} rows were left out because they could not be checked."
    return f"{dropped} Methods: {methods}. Details: `certificate.json`.\n\n{table}"


def _counts(name: str, values: Mapping[str, int]) -> str:
    rows = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return f"## By {name}\n\n" + _table((name, "rows"), [(value or "-", n) for value, n in rows])


def _table(head: tuple[str, ...], rows: list[Any]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)
