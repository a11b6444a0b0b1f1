"""The code suites: turns upstream's files into tasks.

Files are .jsonl, .json, either also as .gz. A HumanEval task keeps its prompt in `fields.prompt` (the prefix that a
completion continues); an MBPP task shows its asserts in the instruction, as every published MBPP setting does.

    tasks = list(BENCHMARKS["humaneval"].load(Path("humaneval/HumanEval.jsonl.gz")))

Invariant: one malformed row is an error with its place, never a shorter suite.
"""

import ast
import gzip
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from evoltune.domain import Benchmark
from evoltune.errors import DataError
from evoltune.record import Task
from evoltune_code.ds1000 import task as ds1000_task
from evoltune_code.evalplus import task as evalplus_task
from evoltune_code.multipl_e import task as multipl_e_task

MBPP_TEST, MBPP_DEV = range(11, 511), range(511, 975)
"""The paper's splits: 1-10 prompts, 11-510 test, 511-600 validation, 601-974 training."""


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file; DataError names file and line.

    Not `evoltune.rows.readers`: MbppPlus.jsonl holds NaN and -Infinity, which are not JSON and which rows of a dataset may
    not have.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            text = file.read().decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    whole = ".jsonl" not in path.name
    for number, line in enumerate([text] if whole else text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: not JSON: {error}") from error
        yield from (found if whole and isinstance(found, list) else [found])


def loader(convert: Callable[[dict[str, Any]], Task | None]) -> Callable[[Path], Iterator[Task]]:
    """`Benchmark.load` from a conversion of one row (None: the row is not part of the suite)."""

    def load(path: Path) -> Iterator[Task]:
        for number, row in enumerate(rows(path), start=1):
            try:
                task = convert(row)
            except (KeyError, TypeError, ValueError, IndexError, AttributeError, SyntaxError) as error:
                raise DataError(f"{path}: row {number} is not in the suite's format: {error!r}") from error
            if task is not None:
                yield task

    return load


def humaneval(row: Mapping[str, Any]) -> Task:
    return Task(
        instruction=row["prompt"],
        reference=row["prompt"] + row["canonical_solution"],
        tests=row["test"],
        fields={"entry_point": row["entry_point"], "prompt": row["prompt"]},
        name=row["task_id"],
    )


def mbpp(row: Mapping[str, Any], keep: range = range(1, 975)) -> Task | None:
    """A row of mbpp.jsonl, or of the sanitized file (`prompt` and `test_imports` in place of `text` and set-up code)."""
    if row["task_id"] not in keep:
        return None
    asserts = [test.replace("\r\n", "\n").strip() for test in row["test_list"]]
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports", ()))
    code = row["code"].replace("\r\n", "\n")
    return Task(
        instruction="\n".join([row.get("text") or row["prompt"], "Test examples:", *asserts]),
        reference=code,
        tests="\n".join([setup.replace("\r\n", "\n"), *asserts]) + "\n",
        fields={"entry_point": called(asserts, code)},
        name=f"Mbpp/{row['task_id']}",
    )


def called(asserts: list[str], code: str) -> str:
    """The function under test: defined by the code, called by all asserts; of several, the one defined last."""
    defined = [n.name for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)]
    names = [{n.id for n in ast.walk(ast.parse(a)) if isinstance(n, ast.Name)} for a in asserts]
    shared = [name for name in defined if all(name in found for found in names)]
    return (shared or defined)[-1]


_HUMANEVAL = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"
_HUMANEVAL_PLUS = "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101"
_HUMANEVAL_PLUS_MINI = "91486741f1627101021fbe50523df08eebb5b0bf5e804b633dcd5ca3c14dbd2f"
_MBPP = "5da714a90c1b388857026ac955de6a98b42b311e570cee3d27683f98e1699923"
_MBPP_SANITIZED = "1d3a99b3b5e53518be0ddf386ffcbe6917cea27f3edb079e882759fc5dde8e8e"
_MBPP_PLUS = "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63"


def _mbpp(keep: range, file: str = "mbpp/mbpp.jsonl.gz", sha256: str = _MBPP) -> Benchmark:
    load = loader(partial(mbpp, keep=keep))
    hub = "google-research-datasets/mbpp"
    return Benchmark(load=load, sha256=sha256, licence="CC-BY-4.0", file=file, hub=hub)


def _plus(file: str, sha256: str, hub: str) -> Benchmark:
    load = loader(evalplus_task)
    return Benchmark(load=load, sha256=sha256, licence="Apache-2.0", profile="evalplus", file=file, hub=hub)


def _multiple(language: str) -> Benchmark:
    """MultiPL-E's HumanEval; the hash is recorded at first load because the upstream file is exported from the hub."""
    file = f"multiple/humaneval-{language}.jsonl"
    load = loader(multipl_e_task)
    hub = "nuprl/MultiPL-E"
    return Benchmark(load=load, sha256="", licence="MIT", profile="multipl-e", file=file, hub=hub)


BENCHMARKS: Mapping[str, Benchmark] = {
    "humaneval": Benchmark(
        load=loader(humaneval), sha256=_HUMANEVAL, licence="MIT", file="humaneval/HumanEval.jsonl.gz", hub="openai/openai_humaneval",
    ),
    "humaneval-plus": _plus("humaneval_plus/HumanEvalPlus.jsonl.gz", _HUMANEVAL_PLUS, "evalplus/humanevalplus"),
    "humaneval-plus-mini": _plus("humaneval_plus/HumanEvalPlus-Mini.jsonl.gz", _HUMANEVAL_PLUS_MINI, ""),
    "mbpp": _mbpp(MBPP_TEST),
    "mbpp-dev": _mbpp(MBPP_DEV),  # for evol-stop: shares no task with "mbpp"
    "mbpp-all": _mbpp(range(1, 975)),
    "mbpp-sanitized": _mbpp(range(1, 975), "mbpp/sanitized-mbpp.json.gz", _MBPP_SANITIZED),
    "mbpp-plus": _plus("mbpp_plus/MbppPlus.jsonl.gz", _MBPP_PLUS, "evalplus/mbppplus"),
    "ds1000": Benchmark(
        load=loader(ds1000_task), sha256="", licence="CC-BY-SA-4.0", profile="ds1000", file="ds1000/ds1000.jsonl.gz", hub="xlangai/DS-1000",
    ),
    "multipl-e-js": _multiple("js"),
    "multipl-e-cpp": _multiple("cpp"),
}  # fmt: skip
