"""Behavioural overlap: does the code of a row solve a benchmark problem, whatever its names and words are?

1. Functions (and methods) are taken from the row's answers by AST; definitions only, demo code is left out.
2. Arity and cheap types (annotations, methods used on a parameter) rule pairs out.
3. One sandboxed job calls every remaining function on the first inputs of every remaining problem, and compares with what
   the problem's own solution gives (`suite_probes`). Functions that agree must also agree on most varied inputs
   (`suite_probes.variants`), because many tests are weak. About 20 microseconds a pair.
4. What agrees there runs on all tests of the problem, bound to its entry point. Only that is a hit.

Invariant: a hit means that the row's code passes the suite's own tests. A helper that solves a problem of one operation
(x + y, len(text)) is no evidence of copying, unless it is all that the row defines: policy `trivial_operations`.

    behaviour(record, list(BENCHMARKS["humaneval"].load(path)), context)    # ["HumanEval/17"]
"""

import ast
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent

from evoltune.domain import Context, Job
from evoltune.record import Record, Task
from evoltune.sandbox import languages
from evoltune_code.extraction import normalised
from evoltune_code.fences import blocks
from evoltune_code.suite_probes import HARNESS, Problem, count_operations, prepared
from evoltune_code.syntax import local_names, parse, statements
from evoltune_code.verification import policy_number, tests_of

MAX_FUNCTIONS = 24
"""Functions of one row that are looked at; a longer row is a library, and its first functions are taken."""
MAX_HALVINGS = 6
_KNOWN_DECORATORS = frozenset("staticmethod classmethod functools cache lru_cache dataclass".split())
_TEXT_METHODS = "split strip lower upper replace startswith endswith join isdigit isalpha isupper islower swapcase"
_USES = {
    "str": {*_TEXT_METHODS.split()}, "list": {"append", "extend", "sort", "insert", "reverse"},
    "dict": {"items", "keys", "values", "setdefault"},
}  # fmt: skip
"""Methods that tell the type of a parameter."""
_ANNOTATIONS = {
    "int": {"int", "float", "bool"}, "float": {"int", "float"}, "bool": {"bool", "int"}, "str": {"str"}, "dict": {"dict"},
    "list": {"list", "tuple"}, "tuple": {"list", "tuple"}, "set": {"set", "list", "frozenset"},
}  # fmt: skip
"""Types that a parameter with this annotation can take."""
_UNLIMITED = 99


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
        """Whether it can be called with the problem's arguments."""
        if not self.least <= len(problem.types) <= self.most:
            return False
        return all(not have or kind in have for have, kind in zip(self.types, problem.types, strict=False))


Pair = tuple[Function, Problem]


def behaviour(record: Record, suite: Sequence[Task], context: Context) -> Sequence[str]:
    """Names of the suite's tasks that the code of the record's answers solves, in the suite's order."""
    problems = prepared(suite, context)
    solved: set[str] = set()
    for code in dict.fromkeys(codes(record)):
        program, functions = definitions(code)
        possible = ((f, p) for f in functions[:MAX_FUNCTIONS] for p in problems if f.takes(p))
        pairs = [(f, p) for f, p in possible if _is_telling(f, p, len(functions), context)]
        agreeing = [(f, p) for f, p in pairs if not p.probes]  # these are decided by the tests alone
        agreeing += _agreeing(program, [(f, p) for f, p in pairs if p.probes], context)
        agreeing = [(f, p) for f, p in agreeing if p.task.name not in solved]
        verdicts = context.run_many([_full_tests(program, f, p.task, context) for f, p in agreeing])
        solved |= {p.task.name for (_, p), v in zip(agreeing, verdicts, strict=True) if v.status == "pass"}
    return [task.name for task in suite if task.name in solved]


def _is_telling(function: Function, problem: Problem, functions: int, context: Context) -> bool:
    """Whether solving the problem would be evidence: a problem of one operation (x + y, len(text)) is solved by helpers and
    by accident, so there only a function counts that is the row's only one, and about as short."""
    trivial = policy_number(context, "trivial_operations")
    return problem.operations > trivial or (functions == 1 and function.operations <= 2 * trivial + 1)


def _full_tests(program: str, function: Function, task: Task, context: Context) -> Job:
    entry_point = str(task.fields.get("entry_point"))
    bound = f"{program}\n{entry_point} = {function.name}\n" if function.name != entry_point else program
    cpu_s = policy_number(context, "overlap_cpu_s")
    return Job(program=bound, tests=tests_of(task), entry_point=entry_point, cpu_s=cpu_s)


def _agreeing(program: str, pairs: Sequence[Pair], context: Context, depth: int = 0) -> list[Pair]:
    """The pairs whose function gives the problem's own results on its probes.

    One job asks for all pairs. When it does not come back, each half is tried, so that one endless loop costs its own pair
    only.
    """
    if not pairs:
        return []
    inputs = {p.number: [p.probes, p.variants] for _, p in pairs}
    marker = secrets.token_hex(8)
    question = json.dumps([marker, [(f.name, p.number) for f, p in pairs], inputs])
    cpu_s = policy_number(context, "overlap_cpu_s")
    verdict = context.run(Job(program=f"{program}\n{HARNESS}\nprobe({question!r})\n", cpu_s=cpu_s))
    _, found, line = str(verdict.evidence.get("stdout", "")).rpartition(marker)
    if found:
        percent = 100 * policy_number(context, "variants_agree")
        shares = (entry.split(":") for entry in line.split())
        return [pairs[int(number)] for number, share in shares if int(share) >= percent]
    if len(pairs) == 1 or depth > MAX_HALVINGS:
        return []
    half = len(pairs) // 2
    return [pair for part in (pairs[:half], pairs[half:]) for pair in _agreeing(program, part, context, depth + 1)]


# ---- the functions of a row


def codes(record: Record) -> Iterator[str]:
    """The Python in a record: all fenced blocks of an answer together, or the answer itself."""
    for text in [a.text for a in record.answers] or [record.task.reference or ""]:
        clean = normalised(text)
        fenced = [b.code for b in blocks(clean) if b.tag in languages.tags("python") or not b.tag]
        yield "\n".join(code for code in fenced if parse(code)) or clean


def definitions(code: str) -> tuple[str, list[Function]]:
    """(a program that only defines, its functions). Imports that fail and assignments that raise are ignored."""
    parts: list[str] = []
    functions: list[Function] = []
    for node in statements(code):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            node.decorator_list = [d for d in node.decorator_list if local_names(d)[0] & _KNOWN_DECORATORS]
            parts.append(ast.unparse(node))
            if isinstance(node, ast.FunctionDef):
                functions.append(_function(node, node.name))
            else:
                functions += _methods(node, parts)
        elif isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign):
            parts.append(_guarded(ast.unparse(node)))
    return "\n".join(parts), functions


def _guarded(statement: str) -> str:
    return f"try:\n{indent(statement, '    ')}\nexcept BaseException:\n    pass"


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
    needs_keywords = None in node.args.kw_defaults
    return Function(
        name=name,
        least=_UNLIMITED if needs_keywords else max(0, len(parameters) - len(node.args.defaults)),
        most=_UNLIMITED if node.args.vararg else len(parameters),
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
    used: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == parameter.arg:
            used.add(node.attr)
        elif isinstance(node, ast.Name) and node.id == parameter.arg and not isinstance(node.ctx, ast.Load):
            return frozenset()  # bound again, perhaps to something else
    kinds = {kind for kind, methods in _USES.items() if used & methods}
    return frozenset(kinds) if len(kinds) == 1 else frozenset()
