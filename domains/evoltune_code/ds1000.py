"""DS-1000 (2211.11501): data-science problems whose test harness executes the solution inside a given context.

A row has `prompt`, `reference_code`, `code_context` and `metadata`. The context is Python source that defines
`test_execution(solution)` and perhaps `test_string(solution)`; it needs the libraries that the problem is about
(extra `ds1000`). In the insertion form the prompt holds `[insert]`; in the completion form it ends where code begins.

    task(row).tests == {"harness": CODE_CONTEXT}

Invariant: the candidate runs in the process of its tests, as upstream has it, and a program that exits before the tests
end does not pass.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune_code.extraction import normalised
from evoltune_code.fences import blocks

_ENDS = re.compile(r"</code>|# SOLUTION END|END SOLUTION|\n```")
_STARTS = re.compile(r"BEGIN SOLUTION\s*(?:\n<code>)?\n?|<code>\n?")
CPU_S = 60.0
"""Importing the libraries alone takes seconds; upstream allows 120 s of wall time."""


def task(row: Mapping[str, Any]) -> Task:
    about, form = row["metadata"], "insertion" if "[insert]" in row["prompt"] else "completion"
    return Task(
        instruction=row["prompt"], reference=row["reference_code"], tests={"harness": row["code_context"]},
        fields={"library": about["library"], "form": form, "cpu_s": CPU_S}, name=f"DS-1000/{about['problem_id']}",
    )  # fmt: skip


def extract(task: Task, response: str) -> str | None:
    """The solution: a fenced block, or the text up to upstream's end marks; indents are kept, because they continue the context."""
    text = normalised(response)
    fenced = [b.code for b in blocks(text) if b.tag in ("", "python", "py")]
    solution = fenced[0] if fenced else _ENDS.split(_STARTS.split(text)[-1])[0]
    return solution if solution.strip() else None


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """Runs the harness on the solution. A library that the harness itself cannot import is our failure, not the model's."""
    harness = task.tests["harness"] if isinstance(task.tests, Mapping) else None
    if not isinstance(harness, str):
        return Verdict(status="unverifiable", reason="no test harness")
    mark = secrets.token_hex(8)
    program = (
        f"{harness}\n_solution = {candidate!r}\ntest_execution(_solution)\n"
        f"if 'test_string' in globals():\n    test_string(_solution)\nprint('\\n{mark}')\n"
    )
    verdict = context.run(Job(program=program, cpu_s=CPU_S))
    missing = re.search(r"No module named '([\w.]+)'", verdict.reason)
    if verdict.status == "fail" and missing and f"import {missing[1]}" in harness:
        reason = f"the sandbox lacks {missing[1]!r}: pip install 'evoltune[ds1000]'"
        return Verdict(status="error", reason=reason, evidence=verdict.evidence)
    if verdict.status == "pass" and mark not in str(verdict.evidence.get("stdout", "")):
        return replace(verdict, status="fail", reason="the program exited before its tests were done")
    return verdict
