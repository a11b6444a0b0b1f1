"""Why answers did not pass: counts of the reasons, each with an example that shows what was compared.

    reasons = Reasons(); reasons.add(verdict_row, row); print("\\n".join(reasons.lines()))

Invariant: a line holds no control characters, and no more of an answer than fits a terminal.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from evoltune.terminal import printable
from evoltune.verification.row_forms import answer_text

SHOWN = 8
_DETAIL = re.compile(r"\b(failed|in|compile): .+")
"""An assertion or the compiler's words: the example shows them."""
_ROW = re.compile(r"row (?:'[^']*'|\"[^\"]*\"|[\d.]+)(?:, answer \d+)?: ")
_VARIES = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|`[^`\n]*`|\d+(?:\.\d+)?")


class Reasons:
    """Counts by status and kind of reason; the first of each kind is the example."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.examples: dict[tuple[str, str], str] = {}

    def add(self, verdict: Mapping[str, Any], row: Any = None) -> None:
        """`row`: what was verified, as the user brought it, or a record."""
        if verdict["status"] == "pass":
            return
        kind = verdict["status"], kind_of(verdict["reason"])
        self.counts[kind] += 1
        if kind not in self.examples:
            self.examples[kind] = explained(verdict, row)

    def facts(self) -> list[dict[str, Any]]:
        """The same for programs, the most frequent first."""
        return [
            {"status": status, "reason": reason, "rows": rows, "example": self.examples[status, reason]}
            for (status, reason), rows in self.counts.most_common()
        ]

    def lines(self) -> Iterator[str]:
        for (status, reason), count in self.counts.most_common(SHOWN):
            yield f"  {count} {status}: {printable(reason) or 'no reason given'}"
            yield f"      e.g. {self.examples[status, reason]}"
        if (more := len(self.counts) - SHOWN) > 0:
            yield f"  {more} more reasons"


def kind_of(reason: str) -> str:
    """A reason without what differs from row to row: assertions, quoted parts and numbers."""
    first = _DETAIL.sub(r"\1: ...", _ROW.sub("row N: ", reason.strip().partition("\n")[0]))
    return _VARIES.sub(lambda m: "..." if m[0][0] in "'\"`" else "N", first)[:160]


def name_of(verdict: Mapping[str, Any]) -> str:
    """A row's id in one line, and which of its answers the verdict is on."""
    return _shortened(printable(str(verdict["id"])), 120) + (f" #{verdict['sample']}" if verdict.get("sample") else "")


def explained(verdict: Mapping[str, Any], row: Any = None) -> str:
    """A row's verdict in one line: its name, and why."""
    reason = why(verdict, row)
    return name_of(verdict) + (": " if verdict["reason"].strip() else " " if reason else "") + reason


def why(verdict: Mapping[str, Any], row: Any = None) -> str:
    """Why a row has its verdict, in one line: the reason, and the answer beside its reference."""
    reason, compared = verdict["reason"].strip().partition("\n")[0][:200], _compared(verdict, row)
    return printable(" ".join(part for part in (reason, f"({compared})" if compared else "") if part))


def _compared(verdict: Mapping[str, Any], row: Any) -> str:
    """`answer '5', reference '4'`; nothing where there is no reference, as with tests, whose reason says what failed."""
    if verdict["status"] == "error":  # nothing was compared: the reason says what the row lacks
        return ""
    task = getattr(row, "task", None)
    if task is not None:
        reference, tests, answer = task.reference, task.tests, row.answers[0].text
    elif isinstance(row, Mapping):
        names = ("reference", "solution", "ground_truth")
        reference = next((row[name] for name in names if row.get(name) is not None), None)
        tests, answer = row.get("tests"), answer_text(row.get("answer"))
    else:
        return ""
    if reference in (None, "") or tests is not None:
        return ""
    found = verdict["evidence"].get("extracted")
    said = f"answer {_short(found)}" if found else f"answer ends {_short(answer[-60:])}"
    return f"{said}, reference {_short(reference)}"


def _short(value: Any) -> str:
    return _shortened(repr(value), 80)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 30]} ... {text[-25:]}"
