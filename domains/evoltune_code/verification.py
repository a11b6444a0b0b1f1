"""verify(task, candidate, context): one candidate against the tests of its task, in the sandbox.

Invariant: a `fail` says what the model did wrong (a syntax error with its line, a failing assert); a task without
tests is `unverifiable`; a timeout is believed only after the reference solution was shown to be much faster.

    evoltune verify solutions.jsonl --domain code
"""

from __future__ import annotations

import ast
import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from evoltune.domain import Context, Job
from evoltune.record import Json, Task, Verdict
from evoltune_code import ds1000
from evoltune_code.bridging import bridged, with_own_name
from evoltune_code.multiple import without_brace
from evoltune_code.program import assemble, fault, is_code, parse, preamble

COLUMNS = ("entry_point", "prompt", "language", "stdin", "skill", "cpu_s")
"""Columns of `Task.fields`: the function under test, the prefix to complete, the language, standard input for a
program without tests' own, what the task trains, and a time limit of its own (CPU seconds)."""
POLICY: Mapping[str, Json] = {
    "packages": ["numpy"],  # what answers may import beside the standard library
    "reference_factor": 4.0,  # a program may take this many times the CPU of the reference solution (EvalPlus: 4)
    "reference_cpu_s": 60.0,  # and the reference itself this many CPU seconds, when a timeout is looked into
    "min_tests": 3,  # asserts that a model must have written for its tests to count at all
    "tests_agree": 0.8,  # share of its usable asserts that the best group of solutions must satisfy
    "mutants": 16,  # mutants of the accepted solution that its tests are tried on
    "mutation_score": 0.6,  # share of these that must be killed before model-written tests verify anything
    "mutant_cpu_s": 1.0,
    "max_asserts": 40,
    "overlap_cpu_s": 2.0,  # behavioural overlap: one row's functions on one problem, or on all probes of a suite
    "variants_agree": 0.8,  # share of varied inputs on which a function must do what the problem's own solution does
    "trivial_operations": 1,  # a helper that solves a problem of so few operations (x + y) is no evidence of copying
}
_IMPORT = re.compile(r"^(?:import|from)[ \t]+([A-Za-z_]\w*)", re.M)
_ECHO: Mapping[str, str] = {
    "javascript": 'console.log("\\n{nonce}");',
    "bash": 'printf "\\n{nonce}\\n"',
}
"""Last statement of a program whose tests live in the program: `exit 0` before the tests is no pass."""


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """Judges one candidate; never raises for anything that a model can write."""
    language = field(task, "language") or "python"
    if isinstance(task.tests, Mapping) and "harness" in task.tests:
        return ds1000.verify(task, candidate, context)
    if not task.tests:
        return Verdict(status="unverifiable", reason="no tests: the task has nothing to judge by")
    if language != "python":
        return _other_language(task, candidate, language, context)
    prompt, entry_point = field(task, "prompt"), field(task, "entry_point")
    program = assemble(prompt, entry_point, candidate)
    wrong = fault(program)
    if wrong is not None:
        line, message = wrong
        return Verdict(
            status="fail", reason=f"syntax error on line {line}: {message}"[:300], evidence={"line": line}
        )
    if foreign := foreign_packages(program, context):
        return Verdict(
            status="fail", reason=f"imports {foreign}, which verify.policy.packages does not allow"
        )
    job = Job(
        program=program,
        tests=tests_of(task),
        entry_point=entry_point,
        stdin=field(task, "stdin"),
        cpu_s=own_limit(task),
    )
    verdict = patient(task, with_own_name(job), context)
    again = bridged(job, verdict.reason)
    return patient(task, again, context) if again else verdict


def foreign_packages(program: str, context: Context) -> str:
    """Packages beyond the standard library that the program imports at its top level and that the policy does not
    allow, else "". Without this a verdict would depend on what happens to be installed beside us."""
    given = context.policy.get("packages", POLICY["packages"])
    allowed = {
        *sys.stdlib_module_names,
        *(str(name) for name in (given if isinstance(given, list | tuple) else ())),
    }
    if not {*_IMPORT.findall(program)} - allowed:
        return ""  # the cheap way out; the rest decides whether the line is code
    tree = parse(program)
    found: list[str] = []
    for node in tree.body if tree else ():
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module)
    return ", ".join(
        repr(name) for name in dict.fromkeys(n.partition(".")[0] for n in found) if name not in allowed
    )


def field(task: Task, name: str) -> str:
    value = task.fields.get(name)
    return value if isinstance(value, str) else ""


def own_limit(task: Task) -> float | None:
    value = task.fields.get("cpu_s")
    return float(value) if isinstance(value, int | float) and value > 0 else None


def knob(context: Context, name: str) -> float:
    """A number of the policy; the domain's default where the caller gave no policy."""
    value = context.policy.get(name, POLICY[name])
    return float(value) if isinstance(value, int | float) else float(str(value))


def tests_of(task: Task) -> Json:
    """The tests, with the prompt's helpers before them: HumanEval/50 calls a helper of its prompt, and the trusted
    one must answer, not the candidate's."""
    prompt = field(task, "prompt")
    if not isinstance(task.tests, str) or not is_code(prompt):
        return task.tests
    return preamble(prompt, field(task, "entry_point")) + task.tests


def patient(task: Task, job: Job, context: Context) -> Verdict:
    """Runs a job; after a timeout asks how long the reference takes, and tries again under a limit scaled by it.

    Costs nothing for the 99.6% of programs that end in time; MBPP/123 needs it (its gold takes over 5 s).
    """
    verdict = context.run(job)
    if verdict.status != "timeout" or not task.reference or job.language != "python":
        return verdict
    gold_s = _gold_seconds(_Timed(task=task, job=job, context=context))
    limit = gold_s * knob(context, "reference_factor")
    if limit <= max(verdict.seconds, job.cpu_s or 0.0):
        return verdict
    again = context.run(replace(job, cpu_s=limit))
    return replace(again, evidence={**again.evidence, "limit_s": round(limit, 1)})


class _Timed:
    """A reference run, equal for equal references and tests: what the cache below is keyed by."""

    def __init__(self, *, task: Task, job: Job, context: Context) -> None:
        self.reference = assemble(field(task, "prompt"), job.entry_point, task.reference or "")
        self.job, self.context = job, context
        self.key = (self.reference, repr(job.tests), job.stdin)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Timed) and self.key == other.key


@lru_cache(maxsize=64)
def _gold_seconds(timed: _Timed) -> float:
    """CPU seconds of the reference on the tests; 0.0 when it does not pass, for then it is no measure."""
    limit = knob(timed.context, "reference_cpu_s")
    verdict = timed.context.run(replace(timed.job, program=timed.reference, cpu_s=limit))
    return verdict.seconds if verdict.status == "pass" else 0.0


def _other_language(task: Task, candidate: str, language: str, context: Context) -> Verdict:
    """Tests that are source of the same language run in the candidate's process: prompt + candidate + tests, exit 0."""
    entry_point, prompt = field(task, "entry_point"), field(task, "prompt")
    whole = bool(entry_point) and f"{entry_point}(" in candidate and _defines_foreign(candidate, entry_point)
    program = candidate if whole or not prompt else prompt + candidate
    if not isinstance(task.tests, str):
        return context.run(
            Job(
                program=program,
                tests=task.tests,
                stdin=field(task, "stdin"),
                language=language,
                cpu_s=own_limit(task),
            )
        )
    nonce = secrets.token_hex(8)
    echo = _ECHO.get(language, "").replace("{nonce}", nonce)
    if whole and prompt:
        program = foreign_head(prompt, entry_point) + program
    tests = without_brace(task.tests) if whole else task.tests
    job = Job(
        program=f"{program}\n{tests}\n{echo}\n",
        stdin=field(task, "stdin"),
        language=language,
        cpu_s=own_limit(task),
    )
    verdict = context.run(job)
    if verdict.status == "pass" and echo and nonce not in str(verdict.evidence.get("stdout", "")):
        return replace(verdict, status="fail", reason="the program exited before its tests were done")
    return verdict


def _defines_foreign(candidate: str, entry_point: str) -> bool:
    """Whether a JavaScript, C++ or Bash text defines the function itself (and does not only call it)."""
    heads = (
        f"function {entry_point}",
        f"const {entry_point}",
        f"let {entry_point}",
        f"var {entry_point}",
        f"{entry_point}()",
    )
    if any(head in candidate for head in heads):
        return True
    return any(
        f" {entry_point}(" in line and not line.startswith((" ", "\t")) and not line.rstrip().endswith(";")
        for line in candidate.splitlines()
    )


def foreign_head(prompt: str, entry_point: str) -> str:
    """The lines of a prompt before the one that opens the entry point: includes and requires."""
    lines = prompt.splitlines(keepends=True)
    opening = next(
        (i for i, line in enumerate(lines) if f"{entry_point}(" in line or f" {entry_point} " in line),
        len(lines),
    )
    return "".join(
        line
        for line in lines[:opening]
        if line.lstrip().startswith(("#", "using ", "const ", "var ", "let ", "import "))
    )
