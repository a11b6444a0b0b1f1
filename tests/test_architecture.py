"""The house rules that a reader relies on: imports point one way, there is no cycle, the command line stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"
DOMAINS = ("evoltune_code", "evoltune_math", "evoltune_general")
HEAVY = ("torch", "transformers", "ray", "sympy", "datasets", "deepspeed", "pandas", "numpy", "aiohttp")


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, top_level_only: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_the_core_imports_no_domain():
    for path in SHARED.rglob("*.py"):
        bad = {name for name in imports_of(path, top_level_only=False) if name.split(".")[0] in DOMAINS}
        assert not bad, f"{path} imports {bad}"


def test_a_domain_imports_no_other_domain():
    for domain in DOMAINS:
        for path in (ROOT / "domains" / domain).rglob("*.py"):
            used = {name.split(".")[0] for name in imports_of(path, top_level_only=False)}
            assert not used & (set(DOMAINS) - {domain}), path


def test_there_is_no_import_cycle_between_modules():
    modules = {module_name(p, SHARED): p for p in SHARED.rglob("*.py")}
    graph = {
        name: {i for i in imports_of(p, top_level_only=True) if i in modules and i != name}
        for name, p in modules.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for following in sorted(graph[name]):
                visit(following, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_folders_that_are_no_packages_have_no_init():
    assert not any(
        (ROOT / folder / "__init__.py").exists() for folder in ("shared", "domains", "tests", "recipes")
    )


def test_nearly_every_function_is_annotated():
    total = bare = 0
    for root in ("shared", "domains"):
        for path in (ROOT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    total += 1
                    bare += node.returns is None
    assert bare <= 0.05 * total, f"{bare} of {total} functions have no return annotation"


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "import evoltune"],
        ["-m", "evoltune", "--help"],
        ["-m", "evoltune", "recipes", "check", "smoke/math", "code/wizardcoder-starcoder-15b"],
    ],
    ids=["import", "help", "recipes check"],
)
def test_light_commands_load_nothing_heavy(arguments: list[str]):
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert run.returncode == 0, run.stderr[-500:]
    loaded = {
        line.rpartition("|")[2].strip().split(".")[0]
        for line in run.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert not loaded & set(HEAVY)


def strings_of(path: Path) -> list[tuple[int, str]]:
    """(line, value) of each string in a module's code; docstrings are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def test_sql_is_written_only_in_run():
    sql = re.compile(
        r"\b(SELECT\b.*\bFROM|INSERT (OR \w+ )?INTO|CREATE TABLE|DELETE FROM|UPDATE \w+ SET)\b", re.S
    )
    own = SHARED / "evoltune" / "run"
    assert any(sql.search(text) for path in own.glob("*.py") for _, text in strings_of(path))
    for path in SHARED.rglob("*.py"):
        found = [(line, text) for line, text in strings_of(path) if sql.search(text)]
        assert not found or path.is_relative_to(own), f"{path}: move to run/queries.py: {found}"


def test_file_names_of_a_run_are_written_only_in_run_paths():
    from evoltune.run import paths

    names = {value for key, value in vars(paths).items() if key.isupper() and isinstance(value, str)}
    files = {name for name in names if "." in name}
    assert {"store.sqlite", "scores.json", "train.parquet"} <= files
    allowed = {
        "run/paths.py": names,
        "rows/storage.py": {paths.MANIFEST},  # of a published folder, whatever it holds
        "generate/model_source.py": {paths.MANIFEST},  # of any folder of weights
    }
    for path in SHARED.rglob("*.py"):
        here = allowed.get(path.relative_to(SHARED / "evoltune").as_posix(), set())
        found = {(line, text) for line, text in strings_of(path) if text in files - here}
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.BinOp)
                and isinstance(node.op, ast.Div)
                and isinstance(node.right, ast.Constant)
            ):
                found |= {(node.lineno, node.right.value)} if node.right.value in names - here else set()
        assert not found, f"{path}: use the name from run/paths.py: {sorted(found)}"
