"""verify(task, candidate, context): one candidate against the tests of its task, in the sandbox.

Invariant: a `fail` says what the model did wrong (a syntax error with its line, a failing assert); a task without tests is
`unverifiable`; a timeout is believed only after the reference solution was shown to be much faster.

    evoltune verify solutions.jsonl --domain code
"""

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from evoltune.domain import Context, Job
from evoltune.errors import DomainError
from evoltune.record import Json, Task, Verdict
from evoltune.sandbox import languages
from evoltune_code.assembly import assemble, cpu_limit, preamble, text_field
from evoltune_code.ds1000 import verify as verify_ds1000
from evoltune_code.harness_imports import with_harness_imports
from evoltune_code.known_forms import UnreadableFormError, method_of, recognised, with_method
from evoltune_code.other_languages import verify as verify_other_language
from evoltune_code.syntax import calls_by_name, is_code, kept_back, statements, syntax_error, top_level_names

COLUMNS = ("entry_point", "prompt", "language", "stdin", "skill", "cpu_s")
"""Columns of `Task.fields`: the function under test, the prefix to complete, the language, standard input for a program
that has no tests of its own, what the task trains, and a time limit of its own (CPU seconds)."""
POLICY: Mapping[str, Json] = {
    "judge": "auto",  # "separate": tests that must share a process with the program are `unverifiable`
    "packages": ["numpy"],  # what answers may import beside the standard library
    "reference_factor": 4.0,  # a program may take this many times the CPU of the reference solution (EvalPlus: 4)
    "reference_cpu_s": 60.0,  # and the reference itself this many CPU seconds, when a timeout is looked into
    "min_tests": 3,  # asserts that a model must have written for its tests to count at all
    "tests_agree": 0.8,  # share of its usable asserts that the best group of solutions must satisfy
    "mutants": 16,  # mutants of the accepted solution that its tests are tried on
    "mutation_score": 0.6,  # share of these that must be killed before model-written tests verify anything
    "mutant_cpu_s": 1.0,
    "max_asserts": 40,
    "mutual_inputs": 24,  # varied inputs on which several solutions of a task without tests are compared
    "mutual_solutions": 3,  # distinct solutions that must return a value before it is expected of the others
    "mutual_share": 0.5,  # and the share of the distinct solutions that must be exceeded
    "branch_coverage": 0.8,  # branches of the accepted solution that the agreed inputs must take
    "overlap_cpu_s": 2.0,  # behavioural overlap: one row's functions on one problem, or on all probes of a suite
    "variants_agree": 0.8,  # share of varied inputs on which a function must do what the problem's own solution does
    "trivial_operations": 1,  # a helper that solves a problem of so few operations (x + y) is no evidence of copying
}
_OFFERED = frozenset({"__main__", "pytest"})
"""Modules that a program finds on any host: itself, and a `pytest` with which the tests that it brings can be defined."""
_NAME = re.compile(r"[^\W\d]\w*")
_IMPORT = re.compile(r"^(?:import|from)[ \t]+([A-Za-z_]\w*)", re.M)


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """The verdict on one candidate; never raises for anything that a model can write."""
    judge_of(context)
    if isinstance(task.tests, Mapping) and "harness" in task.tests:
        return verify_ds1000(task, candidate, context)
    if not task.tests:
        return Verdict(status="unverifiable", reason="no tests: the task has nothing to judge by")
    if (limit := task.fields.get("cpu_s")) is not None and cpu_limit(task) is None:
        return Verdict(status="error", reason=f"cpu_s: {limit!r}"[:80] + ": must be a number of seconds above 0")
    language = languages.canonical(text_field(task, "language") or "python")
    if language != "python":
        return verify_other_language(task, candidate, language, context)
    try:
        tests, entry_point = recognised(tests_of(task), text_field(task, "entry_point"))
    except (UnreadableFormError, ValueError, TypeError) as error:
        return Verdict(status="unverifiable", reason=f"the tests: {error}"[:300])
    if not entry_point and (calling := _calls_unnamed(tests)):
        entry_point = _only_function(task.reference)
        if isinstance(tests, Mapping):
            entry_point = _only_function(tests.get("oracle")) or entry_point
        if not entry_point:
            reason = f"the tests: {calling!r} call a function: name it in the column entry_point"
            return Verdict(status="unverifiable", reason=reason)
    program = assemble(text_field(task, "prompt"), entry_point, candidate)
    program, entry_point = with_method(program, method_of(program, entry_point))
    if broken := syntax_error(program):
        line, message = broken
        reason = f"syntax error on line {line}: {message}"[:300]
        return Verdict(status="fail", reason=reason, evidence={"line": line})
    if names := disallowed_imports(program, context):
        allowed = f"allowed: {context.policy.get('packages', POLICY['packages'])}"
        reason = f"imports {names[:200]}, which verify.policy.packages does not allow ({allowed[:200]})"
        return Verdict(status="fail", reason=reason)
    if isinstance(tests, str) and (hidden := kept_back(program, tests)):
        return Verdict(status="fail", reason=f"NameError: `import *` does not give the tests {', '.join(hidden)}"[:300])
    if isinstance(tests, Mapping) and tests.get("lists"):  # a form of a set whose harness imports names for programs
        program = with_harness_imports(program)
    job = Job(
        program=program, tests=tests, entry_point=entry_point, stdin=text_field(task, "stdin"), cpu_s=cpu_limit(task),
        judge=judge_of(context),
    )  # fmt: skip
    return run_scaled(task, job, context)


def judge_of(context: Context) -> str:
    """`verify.policy.judge`. Raises DomainError where it is neither of the two."""
    judge = context.policy.get("judge", POLICY["judge"])
    if judge not in ("auto", "separate"):
        raise DomainError(f"verify.policy.judge: {judge!r} is unknown: allowed: 'auto', 'separate'")
    return str(judge)


def disallowed_imports(program: str, context: Context) -> str:
    """Packages beyond the standard library that the program imports at its top level and that the policy does not allow,
    else "". Without this a verdict would depend on what happens to be installed on the host."""
    given = context.policy.get("packages", POLICY["packages"])
    allowed = {*sys.stdlib_module_names, *_OFFERED, *map(str, given if isinstance(given, list | tuple) else ())}
    if not {*_IMPORT.findall(program)} - allowed:
        return ""  # the cheap way out; the rest decides whether the line is code
    found: list[str] = []
    for node in statements(program):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.append(node.module)
    top_level = dict.fromkeys(name.partition(".")[0] for name in found)
    return ", ".join(repr(name) for name in top_level if name not in allowed)


def policy_number(context: Context, name: str) -> float:
    """A number of the policy; the domain's default where the caller gave no policy."""
    return float(str(context.policy.get(name, POLICY[name])))


def tests_of(task: Task) -> Json:
    """The tests, with the prompt's helpers before them where they name one: HumanEval/50 calls a helper of its prompt, and
    the trusted one must answer, not the candidate's. Elsewhere helpers would only make tests look less plain."""
    prompt = text_field(task, "prompt")
    if not isinstance(task.tests, str) or not is_code(prompt):
        return task.tests
    helpers = preamble(prompt, text_field(task, "entry_point"))
    return helpers + task.tests if top_level_names(helpers) & {*_NAME.findall(task.tests)} else task.tests


def _calls_unnamed(tests: Json) -> str:
    """What in the tests calls a function without naming it: cases, or a `check(candidate)` that nobody calls; "" where nothing does."""
    if isinstance(tests, Mapping):
        return "cases" if "cases" in tests else ""
    body = statements(tests) if isinstance(tests, str) and "def check(" in tests else []
    called = {name for node in body for name, _ in calls_by_name(node)}
    checks = [n for n in body if isinstance(n, ast.FunctionDef) and n.name == "check" and len(n.args.args) == 1]
    return "check(candidate)" if checks and "check" not in called else ""


def _only_function(source: object) -> str:
    """The name of the only function that a trusted source defines at its top level; "" where there is no such."""
    found = [n.name for n in statements(str(source or "")) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found[0] if len(found) == 1 else ""


def run_scaled(task: Task, job: Job, context: Context) -> Verdict:
    """Runs a job; after a timeout measures the reference solution, and tries again under a limit scaled by it.

    Costs nothing for the 99.6% of programs that end in time; MBPP/123 needs it (its own solution takes over 5 s).
    """
    verdict = context.run(job)
    if verdict.status != "timeout" or not task.reference or job.language != "python":
        return verdict
    reference = assemble(text_field(task, "prompt"), job.entry_point, task.reference)
    run = _ReferenceRun(key=(reference, repr(job.tests), job.stdin), job=job, context=context)
    try:
        limit = _reference_seconds(run) * policy_number(context, "reference_factor")
    except _NotMeasuredError:
        return verdict
    if limit <= max(verdict.seconds, job.cpu_s or 0.0):
        return verdict
    again = context.run(replace(job, cpu_s=limit))
    return replace(again, evidence={**again.evidence, "limit_s": round(limit, 1)})


@dataclass(frozen=True, kw_only=True)
class _ReferenceRun:
    """A reference on a job's tests; equal for equal references, tests and input, for the cache below."""

    key: tuple[str, str, str]
    job: Job = field(compare=False)
    context: Context = field(compare=False)


class _NotMeasuredError(Exception):
    """The reference gave no verdict of its own, as on a machine that is too busy: the next program measures it anew."""


@lru_cache(maxsize=64)  # keeps what is returned, not what is raised
def _reference_seconds(run: _ReferenceRun) -> float:
    """CPU seconds of the reference on the tests; 0.0 when it does not pass, for then it is no measure. Raises
    _NotMeasuredError."""
    limit = policy_number(run.context, "reference_cpu_s")
    verdict = run.context.run(replace(run.job, program=run.key[0], cpu_s=limit))
    used_up = float(str(verdict.evidence.get("cpu_s", 0.0))) >= 0.9 * limit
    if verdict.status not in ("pass", "fail") and not used_up:
        raise _NotMeasuredError
    return verdict.seconds if verdict.status == "pass" else 0.0
