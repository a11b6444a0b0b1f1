"""Programs in other languages than Python: MultiPL-E's translations of HumanEval, and verification.

Their tests are mostly source of the same language that follows the completion. Invariant: such tests run in the program's own
process (prompt + candidate + tests, `evoltune.sandbox.own_tests`), and a program that exits before its tests end does not pass.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune.sandbox import languages
from evoltune_code.assembly import cpu_limit, text_field

_OPENING = re.compile(r"(\w+)\s*\([^()]*\)\s*(?:->[^{]*)?\{?\s*$")


def task(row: Mapping[str, Any]) -> Task:
    """A row of MultiPL-E: `name, language, prompt, tests`. The prompt's last line opens the function under test."""
    prompt, name = row["prompt"], row["name"]
    opened = _OPENING.search(prompt.rstrip().rpartition("\n")[2].rstrip("{ \n"))
    entry_point = opened[1] if opened else re.sub(r"^HumanEval_\d+_", "", name)
    fields = {"entry_point": entry_point, "prompt": prompt, "language": languages.canonical(row["language"])}
    return Task(instruction=prompt, tests=row["tests"], fields=fields, name=name)


def verify(task: Task, candidate: str, language: str, context: Context) -> Verdict:
    """The verdict on one candidate: a function body, a whole function, or a program."""
    entry_point, prompt = text_field(task, "entry_point"), text_field(task, "prompt")
    whole = bool(entry_point) and languages.defines(language, candidate, entry_point)
    program = candidate if whole or not prompt else prompt + candidate
    job = Job(program=program, stdin=text_field(task, "stdin"), language=language, cpu_s=cpu_limit(task))
    if not isinstance(task.tests, str):
        return context.run(replace(job, tests=task.tests))
    if whole and prompt:
        program = head_of_prompt(prompt, entry_point) + program
    tests = without_brace(task.tests)
    if tests != task.tests and not whole:
        program += "\n}\n"  # the tests close the function whose body the candidate is
    return context.run(replace(job, program=program, tests=tests))


def without_brace(tests: str) -> str:
    """The tests (of MultiPL-E: C++, Java, Bash, Go, Rust) without the brace that would close the function of a bare body."""
    return re.sub(r"\A\s*\}\n?", "", tests)


def head_of_prompt(prompt: str, entry_point: str) -> str:
    """The includes, requires and declarations of a prompt before the line that opens the entry point."""
    head: list[str] = []
    for line in prompt.splitlines(keepends=True):
        if f"{entry_point}(" in line or f" {entry_point} " in line:
            break
        if line.lstrip().startswith(("#", "using ", "const ", "var ", "let ", "import ")):
            head.append(line)
    return "".join(head)
