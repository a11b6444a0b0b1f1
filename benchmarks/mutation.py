"""Mutation testing of the heart: how many small faults do the tests notice?

    make mutants                                       # a sample of every group, with the survivors listed
    python benchmarks/mutation.py --group budget --sample 0    # every mutant of one group

Mutants are made by cosmic-ray's operators, one fault at a time, in copies of the source tree; a group's own tests run against
each with `pytest -x`: first the module's own test file, then the files that noticed most mutants so far. A mutant that differs only in an annotation or a docstring is not counted. The sample is drawn by --seed
from each module in turn, so that it says something about every module. Exit 1 when fewer than --bar of a group's mutants die.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("shared", "domains", "recipes", "tests", "examples", "benchmarks", "docs", "pyproject.toml", "README.md")
SKIPPED_OPERATORS = (
    "VariableReplacer", "VariableInserter",  # they invent names: nearly all die at import
    "_Eq_Is", "_NotEq_IsNot", "_Is_Eq", "_IsNot_NotEq",  # the same for None, short strings and small numbers: no fault
)  # fmt: skip

GROUPS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    # group: (modules, tests)
    "answer equality": (
        ("domains/evoltune_math/answers/equality", "domains/evoltune_math/answers/algebra"),
        ("tests/evoltune_math/answers", "tests/evoltune_math/test_substitution.py", "tests/evoltune_math/test_verification_laws.py",
         "tests/evoltune_math/test_labelled_data.py"),
    ),
    "judging of programs": (
        (*(f"shared/evoltune/sandbox/{name}.py" for name in ("values", "forms", "job_checks", "source_tests", "control")),
         "shared/evoltune/sandbox/same_process"),
        # the quick ones first: most faults die there
        ("tests/sandbox/same_process", "tests/sandbox/test_values.py", "tests/sandbox/test_forms.py", "tests/sandbox/test_job_checks.py", "tests/sandbox/test_source_tests.py", "tests/sandbox/test_control.py", "tests/sandbox/test_same_process.py",
         "tests/sandbox/test_runner_features.py", "tests/sandbox/test_counting_cheats.py", "tests/sandbox/test_hedges.py",
         "tests/sandbox/test_runners_called.py", "tests/sandbox/test_oracles.py", "tests/evoltune_code/test_verification.py"),
    ),
    "elimination": (
        ("shared/evoltune/evolve/rules",),
        ("tests/evolve/test_rules.py", "tests/evolve/test_leaks.py", "tests/evolve/test_refusals.py", "tests/evolve/test_languages.py"),
    ),
    "ledger and journal": (
        ("shared/evoltune/run/store.py", "shared/evoltune/teacher/journal.py"),
        ("tests/run/test_store.py", "tests/run/test_queries.py", "tests/teacher/test_budget.py", "tests/teacher/test_journal.py", "tests/evolve/test_open_calls.py",
         "tests/evolve/test_loop.py"),
    ),
    "budget": (
        ("shared/evoltune/teacher/budget.py", "shared/evoltune/teacher/overruns.py"),
        ("tests/teacher/test_overruns.py", "tests/teacher/test_budget_meter.py", "tests/teacher/test_budget.py"),
    ),
    "template and labels": (
        ("shared/evoltune/models/template.py", "shared/evoltune/models/proof.py", "shared/evoltune/train/sft/examples.py"),
        ("tests/models/test_template.py", "tests/models/test_proof.py", "tests/train/sft/test_examples.py"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    group: str
    module: str
    operator: str
    occurrence: int
    line: int
    before: str
    after: str
    code: str


@dataclass(frozen=True)
class Outcome:
    mutant: Mutant
    died: bool
    how: str
    seconds: float


def modules_of(group: str) -> list[Path]:
    places = [ROOT / place for place in GROUPS[group][0]]
    missing = [str(p) for p in places if not p.exists()]
    if missing:
        sys.exit(f"{group}: no such module: {', '.join(missing)}")
    return [
        file for p in places for file in ([p] if p.is_file() else sorted(p.rglob("*.py"))) if file.name != "__init__.py"
    ]


def tests_of(group: str, root: Path) -> list[str]:
    """The files of tests of a group in a copy of the tree, in the order in which GROUPS names them."""
    places = [root / place for place in GROUPS[group][1]]
    files = (file for p in places for file in ([p] if p.is_file() else sorted(p.rglob("test_*.py"))))
    return [str(file.relative_to(root)) for file in files]


def meaning(source: str) -> str:
    """The syntax tree without annotations and docstrings: what a run can notice."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for argument in [
                *node.args.args,
                *node.args.kwonlyargs,
                *node.args.posonlyargs,
                node.args.vararg,
                node.args.kwarg,
            ]:
                if argument is not None:
                    argument.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(value=None)
    return ast.dump(tree)


def places_of(path: Path) -> list[tuple[str, int]]:
    """(operator, occurrence) of every mutant of a module, counted in one walk over its tree."""
    from cosmic_ray import plugins
    from cosmic_ray.ast import ast_nodes, get_ast

    nodes = list(ast_nodes(get_ast(path.read_text(encoding="utf-8"))))
    names = [n for n in plugins.operator_names() if not n.split("/")[1].endswith(SKIPPED_OPERATORS)]
    found: list[tuple[str, int]] = []
    for name in names:
        operator = plugins.get_operator(name)()
        found += [(name, i) for i in range(sum(len(list(operator.mutation_positions(node))) for node in nodes))]
    return found


def mutant_of(group: str, path: Path, name: str, occurrence: int) -> Mutant | None:
    """None when the mutant is no Python, or differs only in what a run cannot notice."""
    from cosmic_ray import plugins
    from cosmic_ray.mutating import mutate_code

    source = path.read_text(encoding="utf-8")
    code = mutate_code(source, plugins.get_operator(name)(), occurrence)
    try:
        if code is None or meaning(code) == meaning(source):
            return None
    except SyntaxError:
        return None
    lines, mutated = source.splitlines(), code.splitlines()
    at = next((i for i, (a, b) in enumerate(zip(lines, mutated, strict=False)) if a != b), 0)
    module = str(path.relative_to(ROOT))
    return Mutant(group, module, name, occurrence, at + 1, lines[at].strip(), mutated[at].strip(), code)


def sampled(group: str, size: int, seed: int) -> tuple[list[Mutant], int]:
    """About `size` mutants of a group (0: all), from each module in proportion to its own, and how many there are in all."""
    places = {path: places_of(path) for path in modules_of(group)}
    total = sum(map(len, places.values()))
    chosen: list[Mutant] = []
    for path, found in places.items():
        share = math.ceil(size * len(found) / max(1, total)) if size else len(found)
        random.Random(f"{seed} {path.relative_to(ROOT)}").shuffle(found)
        mutants = (mutant_of(group, path, *place) for place in found)
        chosen += islice((mutant for mutant in mutants if mutant), share)
    return chosen, total


class Tree:
    """A copy of the sources in which one mutant at a time lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.noticed: Counter[str] = Counter()  # how many mutants a file of tests noticed in this tree
        for name in COPIED:
            place = ROOT / name
            copy = shutil.copytree if place.is_dir() else shutil.copy
            copy(place, folder / name)
        for name in ("shared", "domains"):
            compileall.compile_dir(folder / name, quiet=1)  # once, not in every process that a test starts

    def tested(self, group: str, timeout_s: float, module: str = "") -> tuple[bool, str, float]:
        """Whether the group's tests pass here, what ended them, and the seconds they took."""
        own = f"test_{Path(module).stem}"
        files = sorted(tests_of(group, self.folder), key=lambda file: (Path(file).stem != own, -self.noticed[file]))
        paths = f"{self.folder / 'shared'}{os.pathsep}{self.folder / 'domains'}"
        environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *files]
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            said, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return False, "timeout", time.monotonic() - started
        lines = said.strip().splitlines() or [f"pytest exit {process.returncode}"]
        failed = (line for line in lines if line.startswith(("FAILED", "ERROR")))
        how = next(failed, lines[-1])
        self.noticed.update(file for file in files if f" {file}" in how)
        return process.returncode == 0, how, time.monotonic() - started

    def run(self, mutant: Mutant, timeout_s: float) -> Outcome:
        place = self.folder / mutant.module
        original = place.read_text(encoding="utf-8")
        place.write_text(mutant.code, encoding="utf-8")
        try:
            passed, how, seconds = self.tested(mutant.group, timeout_s, mutant.module)
        finally:
            place.write_text(original, encoding="utf-8")
        return Outcome(mutant, not passed, how, seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--group", action="append", choices=[*GROUPS], help="repeatable; default: all")
    parser.add_argument("--sample", type=int, default=60, help="mutants of each group (0: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--bar", type=float, default=0.85)
    parser.add_argument("--json", metavar="FILE", help="write every outcome here, one JSON object a line")
    args = parser.parse_args()
    short = []
    with tempfile.TemporaryDirectory() as scratch:
        trees: Queue[Tree] = Queue()
        for i in range(args.workers):
            trees.put(Tree(Path(tempfile.mkdtemp(dir=scratch, prefix=f"tree{i}-"))))

        def one(mutant: Mutant, timeout_s: float) -> Outcome:
            tree = trees.get()
            try:
                return tree.run(mutant, timeout_s)
            finally:
                trees.put(tree)

        for group in args.group or GROUPS:
            tree = trees.get()
            passed, how, seconds = tree.tested(group, 1800)
            trees.put(tree)
            if not passed:
                sys.exit(f"{group}: the tests fail without any mutant ({how}): nothing can be measured")
            mutants, total = sampled(group, args.sample, args.seed)
            print(
                f"{group}: the tests pass in {seconds:.0f} s; {len(mutants)} mutants follow",
                file=sys.stderr,
                flush=True,
            )
            with ThreadPoolExecutor(args.workers) as pool:
                outcomes = []
                for o in pool.map(lambda m, limit=4 * seconds + 20: one(m, limit), mutants):  # type: ignore[misc]
                    outcomes.append(o)
                    fate = "dies" if o.died else "survives"
                    line = f"  {len(outcomes)}: {fate}: {o.mutant.module}:{o.mutant.line}  {o.mutant.before}  ->  {o.mutant.after}"
                    print(line, file=sys.stderr, flush=True)
            died = sum(o.died for o in outcomes)
            share = died / len(outcomes) if outcomes else 1.0
            print(
                f"{group}: {died} of {len(outcomes)} mutants die ({share:.0%}), drawn from {total}; tests alone {seconds:.0f} s",
                flush=True,
            )
            for o in outcomes:
                if not o.died:
                    print(
                        f"  survives {o.mutant.module}:{o.mutant.line}  {o.mutant.before}  ->  {o.mutant.after}",
                        flush=True,
                    )
            if args.json:
                with open(args.json, "a", encoding="utf-8") as file:
                    file.writelines(
                        json.dumps(asdict(o) | {"mutant": {**asdict(o.mutant), "code": ""}}) + "\n" for o in outcomes
                    )
            short += [group] if share < args.bar else []
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
