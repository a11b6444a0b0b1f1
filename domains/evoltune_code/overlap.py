"""Behavioural overlap: does the code of a row solve a benchmark problem, whatever its names and words are?

1. Functions (and methods) are taken from the row's answers by AST; definitions only, demo code is left out.
2. Arity and cheap types (annotations, methods used on a parameter) rule pairs out.
3. One sandboxed job calls every remaining function on the first inputs of every remaining problem, and compares with
   what the problem's own solution gives (`probes`); the few that agree must also agree on most varied inputs
   (`variants`), because many tests are weak: about 20 microseconds a pair.
4. What agrees there runs on all tests of the problem, bound to its entry point. Only that is a hit.

Invariant: a hit means that the row's code passes the suite's own tests. A helper that solves a problem of one operation
(x + y, len(text)) is no evidence of copying, unless it is all that the row defines: policy `trivial_operations`.

    behaviour(record, list(BENCHMARKS["humaneval"].load(path)), context)    # ["HumanEval/17"]
"""

from __future__ import annotations

import ast
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files

from evoltune.domain import Context, Job
from evoltune.record import Record, Task
from evoltune_code.extract import TAGS, blocks, normalised
from evoltune_code.probes import Problem, count_operations, prepared
from evoltune_code.program import parse
from evoltune_code.verification import knob, tests_of

_HARNESS = (files("evoltune_code") / "probing.py").read_text(encoding="utf-8")
MAX_FUNCTIONS = 24
"""Functions of one row that are looked at; a longer row is a library, and its first functions are taken."""
_USES = {
    "str": frozenset(
        [
            "split",
            "strip",
            "lower",
            "upper",
            "replace",
            "startswith",
            "endswith",
            "join",
            "isdigit",
            "isalpha",
            "isupper",
            "islower",
            "swapcase",
        ]
    ),
    "list": frozenset(["append", "extend", "sort", "insert", "reverse"]),
    "dict": frozenset(["items", "keys", "values", "setdefault"]),
}
_ANNOTATIONS = {
    "int": {"int", "float", "bool"},
    "float": {"int", "float"},
    "bool": {"bool", "int"},
    "str": {"str"},
    "dict": {"dict"},
    "list": {"list", "tuple"},
    "tuple": {"list", "tuple"},
    "set": {"set", "list", "frozenset"},
}


@dataclass(frozen=True, kw_only=True)
class Function:
    """A callable of a row: how to reach it, how many arguments it takes, which types each parameter can take."""

    name: str
    least: int
    most: int
    types: tuple[frozenset[str], ...]
    """Per parameter; empty: unknown."""
    operations: int

    def takes(self, problem: Problem) -> bool:
        if not self.least <= len(problem.types) <= self.most:
            return False
        return all(not have or kind in have for have, kind in zip(self.types, problem.types, strict=False))


def behaviour(record: Record, suite: Sequence[Task], context: Context) -> Sequence[str]:
    """Names of the suite's tasks that the code of the record's answers solves, in the suite's order."""
    problems = prepared(suite, context)
    solved: set[str] = set()
    for code in dict.fromkeys(codes(record)):
        program, functions = definitions(code)
        taken = functions[:MAX_FUNCTIONS]
        pairs = [
            (f, i)
            for f in taken
            for i, p in enumerate(problems)
            if f.takes(p) and _telling(f, p, functions, context)
        ]
        agreeing = _agreeing(program, pairs, problems, context)
        agreeing = [(f, i) for f, i in agreeing if problems[i].task.name not in solved]
        jobs = [_full(program, f, problems[i].task, context) for f, i in agreeing]
        verdicts = context.run_many(jobs)
        solved |= {
            problems[i].task.name for (_, i), v in zip(agreeing, verdicts, strict=True) if v.status == "pass"
        }
    return [task.name for task in suite if task.name in solved]


def _telling(function: Function, problem: Problem, functions: Sequence[Function], context: Context) -> bool:
    """Whether solving the problem would say anything: a problem of one operation (x + y, len(text)) is solved by helpers
    and by accident, so there only a function counts that is all the row has, and about as short."""
    trivial = knob(context, "trivial_operations")
    return problem.operations > trivial or (len(functions) == 1 and function.operations <= 2 * trivial + 1)


def _full(program: str, function: Function, task: Task, context: Context) -> Job:
    entry_point = str(task.fields.get("entry_point"))
    bound = f"{program}\n{entry_point} = {function.name}\n" if function.name != entry_point else program
    return Job(
        program=bound, tests=tests_of(task), entry_point=entry_point, cpu_s=knob(context, "overlap_cpu_s")
    )


def codes(record: Record) -> Iterator[str]:
    """The Python in a record: all fenced blocks of an answer together, or the answer itself."""
    for text in [a.text for a in record.answers] or [record.task.reference or ""]:
        clean = normalised(text)
        fenced = [b.code for b in blocks(clean) if b.tag in TAGS["python"] or not b.tag]
        parsing = [code for code in fenced if parse(code)]
        yield "\n".join(parsing) if parsing else clean


def definitions(code: str) -> tuple[str, list[Function]]:
    """(a program that only defines, its functions). Imports that fail and assignments that raise are survived."""
    tree = parse(code)
    parts: list[str] = []
    functions: list[Function] = []
    for node in tree.body if tree else ():
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = [d for d in node.decorator_list if _known_decorator(d)]
            parts.append(ast.unparse(node))
            functions.extend(
                [_function(node, node.name)] if isinstance(node, ast.FunctionDef) else _methods(node, parts)
            )
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
            parts.append(_guarded(ast.unparse(node)))
    return "\n".join(parts), functions


def _known_decorator(node: ast.expr) -> bool:
    return any(
        isinstance(n, ast.Name)
        and n.id in ("staticmethod", "classmethod", "functools", "cache", "lru_cache", "dataclass")
        for n in ast.walk(node)
    )


def _guarded(statement: str) -> str:
    lines = "\n".join("    " + line for line in statement.splitlines())
    return f"try:\n{lines}\nexcept BaseException:\n    pass"


def _methods(node: ast.ClassDef, parts: list[str]) -> Iterator[Function]:
    """The methods of a class that can be made without arguments, each under a name of its own."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("__"):
            alias = f"_{node.name}_{method.name}"
            parts.append(_guarded(f"{alias} = {node.name}().{method.name}"))
            static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in method.decorator_list)
            yield _function(method, alias, skip=0 if static else 1)


def _function(node: ast.FunctionDef, name: str, skip: int = 0) -> Function:
    parameters = [*node.args.posonlyargs, *node.args.args][skip:]
    required_keywords = sum(default is None for default in node.args.kw_defaults)
    most = 99 if node.args.vararg else len(parameters)
    return Function(
        name=name,
        least=99 if required_keywords else max(0, len(parameters) - len(node.args.defaults)),
        most=most,
        types=tuple(_types(p, node) for p in parameters),
        operations=count_operations(node),
    )


def _types(parameter: ast.arg, function: ast.FunctionDef) -> frozenset[str]:
    """The types that a parameter can take, by its annotation, else by the methods that the body calls on it."""
    annotation = parameter.annotation
    if isinstance(annotation, ast.Subscript):
        annotation = annotation.value
    if annotation is not None:
        return frozenset(_ANNOTATIONS.get(ast.unparse(annotation).rpartition(".")[2].lower(), ()))
    used = {
        n.attr for n in ast.walk(function) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == parameter.arg
    }  # fmt: skip
    rebound = any(
        isinstance(n, ast.Name) and n.id == parameter.arg and not isinstance(n.ctx, ast.Load)
        for n in ast.walk(function)
    )
    kinds = {kind for kind, methods in _USES.items() if used & methods}
    return frozenset(kinds) if len(kinds) == 1 and not rebound else frozenset()


def _agreeing(
    program: str, pairs: Sequence[tuple[Function, int]], problems: Sequence[Problem], context: Context
) -> list[tuple[Function, int]]:
    """The pairs whose function gives the problem's own results on its probes. Problems without probes always agree."""
    unprobed = [(f, i) for f, i in pairs if not problems[i].probes]
    probed = [(f, i) for f, i in pairs if problems[i].probes]
    return unprobed + _probe(program, probed, problems, context)


def _probe(
    program: str,
    pairs: Sequence[tuple[Function, int]],
    problems: Sequence[Problem],
    context: Context,
    depth: int = 0,
) -> list[tuple[Function, int]]:
    """One job for all pairs; when it does not come back, halves of it, so that one endless loop costs only its pair."""
    if not pairs:
        return []
    needed = {i: [problems[i].probes, problems[i].variants] for _, i in pairs}
    marker = secrets.token_hex(8)
    question = json.dumps(
        [marker, [(f.name, i) for f, i in pairs], {str(i): inputs for i, inputs in needed.items()}]
    )
    job = Job(program=f"{program}\n{_HARNESS}\nprobe({question!r})\n", cpu_s=knob(context, "overlap_cpu_s"))
    out = str(context.run(job).evidence.get("stdout", ""))
    _, found, line = out.rpartition(marker)
    if found:
        shares = [entry.split(":") for entry in line.split()]
        return [
            pairs[int(number)]
            for number, share in shares
            if int(share) >= 100 * knob(context, "variants_agree")
        ]
    if len(pairs) == 1 or depth > 6:
        return []
    half = len(pairs) // 2
    return [
        *_probe(program, pairs[:half], problems, context, depth + 1),
        *_probe(program, pairs[half:], problems, context, depth + 1),
    ]
