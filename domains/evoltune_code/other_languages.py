"""Verification of programs in JavaScript, C, C++ and Bash, whose tests are mostly source of the same language.

Invariant: such tests run in the program's own process (prompt + candidate + tests), so a program that exits before its
tests end does not pass where the language lets the last statement print a random mark.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from evoltune.domain import Context, Job
from evoltune.record import Task, Verdict
from evoltune_code.multipl_e import without_brace
from evoltune_code.task_fields import cpu_limit, text_field

_PRINT_MARK: Mapping[str, str] = {"javascript": 'console.log("\\n{mark}");', "bash": 'printf "\\n{mark}\\n"'}


def verify(task: Task, candidate: str, language: str, context: Context) -> Verdict:
    """The verdict on one candidate: a function body, a whole function, or a program."""
    entry_point, prompt = text_field(task, "entry_point"), text_field(task, "prompt")
    whole = bool(entry_point) and _defines(candidate, entry_point)
    program = candidate if whole or not prompt else prompt + candidate
    job = Job(program=program, stdin=text_field(task, "stdin"), language=language, cpu_s=cpu_limit(task))
    if not isinstance(task.tests, str):
        return context.run(replace(job, tests=task.tests))
    if whole and prompt:
        program = head_of_prompt(prompt, entry_point) + program
    tests = without_brace(task.tests) if whole else task.tests
    mark = secrets.token_hex(8)
    last = _PRINT_MARK.get(language, "").replace("{mark}", mark)
    verdict = context.run(replace(job, program=f"{program}\n{tests}\n{last}\n"))
    if verdict.status == "pass" and last and mark not in str(verdict.evidence.get("stdout", "")):
        return replace(verdict, status="fail", reason="the program exited before its tests were done")
    return verdict


def _defines(candidate: str, entry_point: str) -> bool:
    """Whether a JavaScript, C++ or Bash text defines the function itself (and does not only call it)."""
    if f"{entry_point}(" not in candidate:
        return False
    heads = [f"{word} {entry_point}" for word in ("function", "const", "let", "var")]
    if any(head in candidate for head in (*heads, f"{entry_point}()")):
        return True
    return any(
        f" {entry_point}(" in line and not line.startswith((" ", "\t")) and not line.rstrip().endswith(";")
        for line in candidate.splitlines()
    )


def head_of_prompt(prompt: str, entry_point: str) -> str:
    """The includes, requires and declarations of a prompt before the line that opens the entry point."""
    head: list[str] = []
    for line in prompt.splitlines(keepends=True):
        if f"{entry_point}(" in line or f" {entry_point} " in line:
            break
        if line.lstrip().startswith(("#", "using ", "const ", "var ", "let ", "import ")):
            head.append(line)
    return "".join(head)
