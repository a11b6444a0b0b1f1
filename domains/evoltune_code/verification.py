"""verify(task, candidate, context): one candidate against the tests of its task, in the sandbox.

Invariant: a `fail` says what the model did wrong (a syntax error with its line, a failing assert); a task without tests is
`unverifiable`; a timeout is believed only after the reference solution was shown to be much faster.

    evoltune verify solutions.jsonl --domain code
"""

import ast
import builtins
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from evoltune.domain import Context, Job
from evoltune.record import Json, Task, Verdict
from evoltune.sandbox import languages
from evoltune_code.assembly import assemble, cpu_limit, preamble, text_field
from evoltune_code.ds1000 import verify as verify_ds1000
from evoltune_code.other_languages import verify as verify_other_language
from evoltune_code.syntax import calls_by_name, is_code, parse, statements, syntax_error

COLUMNS = ("entry_point", "prompt", "language", "stdin", "skill", "cpu_s")
"""Columns of `Task.fields`: the function under test, the prefix to complete, the language, standard input for a program
that has no tests of its own, what the task trains, and a time limit of its own (CPU seconds)."""
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
_TAKEN = frozenset({*dir(builtins), *sys.stdlib_module_names})
_TYPES = frozenset("int float str bool list tuple dict set complex bytes".split())
_PREFIX = "_of_program_"


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """The verdict on one candidate; never raises for anything that a model can write."""
    if isinstance(task.tests, Mapping) and "harness" in task.tests:
        return verify_ds1000(task, candidate, context)
    if not task.tests:
        return Verdict(status="unverifiable", reason="no tests: the task has nothing to judge by")
    language = languages.canonical(text_field(task, "language") or "python")
    if language != "python":
        return verify_other_language(task, candidate, language, context)
    entry_point = text_field(task, "entry_point")
    program = assemble(text_field(task, "prompt"), entry_point, candidate)
    if error := syntax_error(program):
        line, message = error
        reason = f"syntax error on line {line}: {message}"[:300]
        return Verdict(status="fail", reason=reason, evidence={"line": line})
    if names := disallowed_imports(program, context):
        reason = f"imports {names}, which verify.policy.packages does not allow"
        return Verdict(status="fail", reason=reason)
    job = Job(
        program=program, tests=tests_of(task), entry_point=entry_point, stdin=text_field(task, "stdin"), cpu_s=cpu_limit(task),
    )  # fmt: skip
    verdict = run_scaled(task, with_own_name(job), context)
    again = adapted(job, verdict.reason)
    return run_scaled(task, again, context) if again else verdict


def disallowed_imports(program: str, context: Context) -> str:
    """Packages beyond the standard library that the program imports at its top level and that the policy does not allow,
    else "". Without this a verdict would depend on what happens to be installed on the host."""
    given = context.policy.get("packages", POLICY["packages"])
    allowed = {*sys.stdlib_module_names, *map(str, given if isinstance(given, list | tuple) else ())}
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
    """The tests, with the prompt's helpers before them: HumanEval/50 calls a helper of its prompt, and the trusted one
    must answer, not the candidate's."""
    prompt = text_field(task, "prompt")
    if not isinstance(task.tests, str) or not is_code(prompt):
        return task.tests
    return preamble(prompt, text_field(task, "entry_point")) + task.tests


def run_scaled(task: Task, job: Job, context: Context) -> Verdict:
    """Runs a job; after a timeout measures the reference solution, and tries again under a limit scaled by it.

    Costs nothing for the 99.6% of programs that end in time; MBPP/123 needs it (its own solution takes over 5 s).
    """
    verdict = context.run(job)
    if verdict.status != "timeout" or not task.reference or job.language != "python":
        return verdict
    reference = assemble(text_field(task, "prompt"), job.entry_point, task.reference)
    run = _ReferenceRun(key=(reference, repr(job.tests), job.stdin), job=job, context=context)
    limit = _reference_seconds(run) * policy_number(context, "reference_factor")
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


@lru_cache(maxsize=64)
def _reference_seconds(run: _ReferenceRun) -> float:
    """CPU seconds of the reference on the tests; 0.0 when it does not pass, for then it is no measure."""
    limit = policy_number(run.context, "reference_cpu_s")
    verdict = run.context.run(replace(run.job, program=run.key[0], cpu_s=limit))
    return verdict.seconds if verdict.status == "pass" else 0.0


# ---- tests that share more than plain data with the program: their own classes, built-in types, names of modules
#
# Tests run in another process, and there `sum` and `trace` mean Python's own. Each function turns a job into one that means the
# same in both processes; what is compared stays in the tests, only definitions and names move into the program.


def with_own_name(job: Job) -> Job:
    """Renames an entry point that is called like a built-in or a module: MBPP/126 defines `sum`."""
    name = job.entry_point
    if name not in _TAKEN or not isinstance(job.tests, str | list):
        return job
    pattern, own = re.compile(rf"(?<![\w.]){name}\b(?!\s*=[^=])"), _PREFIX + name
    sources = [job.tests] if isinstance(job.tests, str) else job.tests
    renamed: list[Json] = [pattern.sub(own, str(source)) for source in sources]
    tests = renamed[0] if isinstance(job.tests, str) else renamed
    return replace(job, program=f"{job.program}\n{own} = {name}\n", tests=tests, entry_point=own)


def adapted(job: Job, reason: str) -> Job | None:
    """The job for a second run after a failure whose reason says that a value could not cross; else None."""
    if "not plain data" in reason:
        return with_shared_classes(job)
    if "must be a type" in reason:
        return with_named_types(job)
    return None


def with_shared_classes(job: Job) -> Job | None:
    """Moves the classes of the tests to the end of the program, so that both sides mean the same class. None when the
    tests define no class."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    classes = [node for node in (tree.body if tree else ()) if isinstance(node, ast.ClassDef)]
    if tree is None or not classes:
        return None
    tree.body = [node for node in tree.body if node not in classes]
    shared = "\n".join(ast.unparse(node) for node in classes)
    return replace(job, program=f"{job.program}\n{shared}\n", tests=ast.unparse(tree))


def with_named_types(job: Job) -> Job | None:
    """Lets the tests ask the program for `int`, `str` ... where they pass it a type. None where they pass none."""
    tree = parse(job.tests) if isinstance(job.tests, str) else None
    found: set[str] = set()
    for name, call in calls_by_name(tree):
        for i, arg in enumerate(call.args if name in (job.entry_point, "candidate") else ()):
            if isinstance(arg, ast.Name) and arg.id in _TYPES:
                found.add(arg.id)
                call.args[i] = ast.Call(func=ast.Name(id=_PREFIX + arg.id, ctx=ast.Load()), args=[], keywords=[])
    if tree is None or not found:
        return None
    named = "\n".join(f"def {_PREFIX}{name}():\n    return {name}" for name in sorted(found))
    tests = ast.unparse(ast.fix_missing_locations(tree))
    return replace(job, program=f"{job.program}\n{named}\n", tests=tests)
