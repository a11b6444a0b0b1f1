"""The dataset card: README.md beside the Parquet files, with the counts of the ledgers and the certificate in words.

Invariant: the card is a function of the recipe, the counts and the certificate; it names no clock, path or machine.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from evoltune.dataset.schema import COLUMNS
from evoltune.recipe import Recipe, fingerprint

Ledgers = Mapping[str, Mapping[str, int]]


def render_card(
    recipe: Recipe, certificate: Mapping[str, Any], ledgers: Ledgers, splits: Mapping[str, int], values: Ledgers
) -> str:
    """Markdown with the hub's front matter. values: column -> value -> rows, for licence, skill, kind of reasoning, operator and round."""
    parts = [
        _front_matter(splits, list(values.get("licence", {}))),
        f"# {recipe.name or recipe.domain}\n\n{recipe.description or 'Instruction data.'}\n",
        f"Domain `{recipe.domain}`, recipe `{fingerprint(recipe)}`, seed {recipe.seed}; teacher: {recipe.teacher.model} "
        f"({recipe.teacher.kind}), terms: {recipe.teacher.terms or 'not stated'}.\n",
        "## Rows\n\n" + _table(("split", "rows"), splits.items()),
        "## Difficulty\n\n![rows by round and difficulty](difficulty.svg)\n",
        "## Stages\n\nFor each stage: in = kept + dropped, by reason.\n\n" + _ledger_table(ledgers),
        "## Contamination\n\n" + _contamination(certificate),
        *(_value_counts(name, found) for name, found in values.items()),
        "## Columns\n\n" + _table(("column", "meaning"), ((n, meaning) for n, (_, meaning) in COLUMNS.items())),
    ]
    return "\n".join(parts)


def _front_matter(splits: Mapping[str, int], licences: Sequence[str]) -> str:
    known = len(licences) == 1 and licences[0] != "unknown"
    lines = [f"license: {licences[0].lower() if known else 'other'}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split in (name for name, rows in splits.items() if rows):  # `datasets` refuses empty splits
        lines += [f"  - split: {split}", f"    path: {split}.parquet"]
    return "---\n" + "\n".join(lines) + "\n---\n"


def _ledger_table(ledgers: Ledgers) -> str:
    rows = []
    for stage, ledger in ledgers.items():
        dropped = [f"{n} {reason}" for reason, n in ledger.items() if reason not in ("in", "kept", "pending")]
        rows.append((stage, ledger.get("in", 0), ledger.get("kept", 0), "; ".join(dropped) or "-"))
    return _table(("stage", "in", "kept", "dropped"), rows)


def _contamination(certificate: Mapping[str, Any]) -> str:
    suites = certificate.get("suites", {})
    if not suites:
        return "Checked against no suite: do not report a score on any benchmark from this data.\n"
    methods = ", ".join(f"{name} {value}" for name, value in certificate.get("methods", {}).items())
    dropped = f"{len(certificate.get('hits', []))} rows were dropped."
    if unchecked := len(certificate.get("unchecked", [])):
        dropped += f" {unchecked} rows were left out because they could not be checked."
    rows = ((name, suite["tasks"], suite["problems"]) for name, suite in suites.items())
    table = _table(("suite", "tasks", "hash of the problems"), rows)
    return f"{dropped} Methods: {methods}. Details: `certificate.json`.\n\n{table}"


def _value_counts(name: str, values: Mapping[str, int]) -> str:
    rows = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    return f"## By {name}\n\n" + _table((name, "rows"), ((value or "-", n) for value, n in rows))


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    lines += [" | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows]
    return "".join(f"| {line} |\n" for line in lines)
