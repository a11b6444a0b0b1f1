"""The structure that readers rely on: imports point one way, there is no cycle, light commands stay light, files stay small."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "shared"
ROOTS = (SHARED, ROOT / "domains")
DOMAINS = ("evoltune_code", "evoltune_math", "evoltune_general")
HEAVY = {
    "torch", "transformers", "peft", "deepspeed", "accelerate", "ray", "vllm", "sympy", "mpmath", "datasets", "pandas", "numpy",
    "pyarrow", "sklearn", "scipy", "aiohttp", "xllamacpp", "gguf", "fsspec", "jinja2",
}  # fmt: skip
"""Libraries that a light command must not load."""
BELOW: dict[str, set[str]] = {
    "errors": set(),
    "author_calls": {"errors"},
    "awake": set(),
    "interrupts": set(),
    "heavy_imports": set(),
    "orphans": {"heavy_imports"},
    "record": set(),
    "domain": {"author_calls", "errors", "record", "run.paths"},
    "run.paths": set(),
    "text": {"errors", "run.paths"},
    "recipe": {"errors", "record", "text", "run.paths"},
    "sandbox": {"author_calls", "errors", "record", "domain", "interrupts", "verification.records"},
    "rows": {"errors", "record", "domain", "recipe", "text", "run.paths"},
    "run.store": {"errors", "record", "run", "text"},
    "models": {"errors", "record", "recipe", "rows", "text", "cluster", "run.paths"},
    "teacher": {
        "errors",
        "record",
        "domain",
        "recipe",
        "rows",
        "run",
        "text",
        "cluster",
        "sandbox",
        "interrupts",
        "orphans",
        "models.load",
        "models.locate",
    },
}
"""What these packages may import of ours, beside themselves: the lower floors of the house."""


LAZY = {
    "evoltune": "public names load when they are used",
    "evoltune.cli": "a command loads only itself",
    "evoltune.sandbox.same_process.pytest_fixtures": "what the zygote holds, each fork holds",
    "evoltune.sandbox.worker": "what each process of the sandbox imports, and when, is part of its isolation",
}
"""Modules whose imports inside functions have another reason than a heavy library."""


@dataclass(frozen=True)
class Import:
    source: str
    target: str
    inside: bool
    """In a function or under TYPE_CHECKING."""


def name_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    return {name_of(path, root): path for root in ROOTS for path in sorted(root.rglob("*.py"))}


def imports_in(node: ast.AST, module: str, path: Path, inside: bool) -> Iterator[Import]:
    """Every import below a node, relative ones and those in functions or under TYPE_CHECKING included."""
    for child in ast.iter_child_nodes(node):
        deeper = inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.If)
        if isinstance(child, ast.Import):
            yield from (Import(module, alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                base = ".".join([*package[: len(package) - child.level + 1], *([child.module] if child.module else [])])
            for alias in child.names:
                full = f"{base}.{alias.name}"
                yield Import(module, full if full in modules() else base, inside)
        else:
            yield from imports_in(child, module, path, deeper)


@cache
def imports() -> tuple[Import, ...]:
    """All imports of all modules; importing a module also imports the packages above it."""
    return tuple(found for name, path in modules().items() for found in imports_in(tree_of(path), name, path, False))


def ours() -> list[Import]:
    return [i for i in imports() if i.target in modules() and i.target != i.source]


def room(module: str) -> str:
    return module.removeprefix("evoltune.")


def test_the_core_imports_no_domain_and_a_domain_no_other():
    for i in imports():
        domain = i.target.split(".")[0]
        assert domain not in DOMAINS or i.source.split(".")[0] == domain, f"{i.source} imports {i.target}"


def test_there_is_no_import_cycle_wherever_the_import_stands():
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for i in ours():
        graph[i.source].add(i.target)
    done: set[str] = set()
    cycles: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            cycles.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for following in sorted(graph[name]):
                visit(following, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert not cycles, "\n".join(cycles)


def test_lower_floors_import_no_higher_one():
    bad = []
    for i in ours():
        for floor, allowed in BELOW.items():
            inside = room(i.source) == floor or room(i.source).startswith(f"{floor}.")
            named = {floor, *allowed}
            fine = any(room(i.target) == n or room(i.target).startswith(f"{n}.") for n in named)
            if inside and not fine and i.target != "evoltune":
                bad.append(f"{i.source} imports {i.target}")
    assert not bad, "\n".join(bad)


def test_only_the_command_line_imports_the_command_line():
    assert not [
        i
        for i in ours()
        if i.target.startswith("evoltune.cli") and not i.source.startswith(("evoltune.cli", "evoltune.__main__"))
    ]


@cache
def loads_heavy(module: str) -> bool:
    """Whether importing the module loads a heavy library."""
    outside = {i.target.split(".")[0] for i in imports() if i.source == module and not i.inside}
    inner = {i.target for i in ours() if i.source == module and not i.inside}
    return bool(outside & HEAVY) or any(loads_heavy(name) for name in inner)


def test_an_import_of_ours_inside_a_function_keeps_a_heavy_library_out():
    bad = [
        f"{i.source} imports {i.target} inside a function, though it loads nothing heavy"
        for i in ours()
        if i.inside and i.source not in LAZY and not loads_heavy(i.target)
    ]
    assert not bad, f"{len(bad)}:\n" + "\n".join(bad)


def test_folders_that_are_no_packages_have_no_init():
    assert not any((ROOT / folder / "__init__.py").exists() for folder in ("shared", "domains", "tests", "recipes"))


def test_the_pipeline_has_150_lines_at_most_any_file_450_any_function_60():
    bad = []
    for path in modules().values():
        text = path.read_text("utf-8")
        if (lines := len(text.splitlines())) > (150 if path.name == "pipeline.py" else 450):
            bad.append(f"{path}: {lines} lines")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                size = (node.end_lineno or 0) - node.lineno + 1
                if size > 60:
                    bad.append(f"{path}:{node.lineno}: {node.name} has {size} lines")
    assert not bad, "\n".join(bad)


def test_nearly_every_function_is_annotated():
    functions = [
        node
        for path in modules().values()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    bare = sum(node.returns is None for node in functions)
    assert bare <= 0.05 * len(functions), f"{bare} of {len(functions)} functions have no return annotation"


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
    run = subprocess.run([sys.executable, "-X", "importtime", *arguments], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-500:]
    loaded = {
        line.rpartition("|")[2].strip().split(".")[0]
        for line in run.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "evoltune" in loaded and not loaded & HEAVY


def strings_of(path: Path) -> list[tuple[int, str]]:
    """(line, value) of each string in a module's code; docstrings are left out."""
    tree = tree_of(path)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    ]


def test_sql_is_written_only_in_run():
    sql = re.compile(r"\b(SELECT\b.*\bFROM|INSERT (OR \w+ )?INTO|CREATE TABLE|DELETE FROM|UPDATE \w+ SET)\b", re.S)
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
    }
    for path in SHARED.rglob("*.py"):
        here = allowed.get(path.relative_to(SHARED / "evoltune").as_posix(), set())
        found = {(line, text) for line, text in strings_of(path) if text in files - here}
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
                found |= {(node.lineno, node.right.value)} if node.right.value in names - here else set()
        assert not found, f"{path}: use the name from run/paths.py: {sorted(found)}"


def test_only_modules_whose_redirects_and_bounds_are_tested_speak_http():
    clients = (
        r"\b(ClientSession|urlopen|build_opener|HTTPS?Connection|AsyncClient)\b|^\s*import (requests|httpx|urllib3)\b"
    )
    sources = [*SHARED.rglob("*.py"), *(SHARED.parent / "domains").rglob("*.py")]
    found = {path for path in sources if re.search(clients, path.read_text(encoding="utf-8"), re.M)}
    tested = {
        "teacher/connections.py": "tests/teacher/test_network.py",
        "verification/service/client.py": "tests/verification/service/test_client.py",
    }
    said = "test what it does at a redirect and with an endless reply, and name the test here"
    assert found == {SHARED / "evoltune" / name for name in tested}, said
