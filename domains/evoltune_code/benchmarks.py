"""The code suites: turns upstream's files into tasks.

Files are .jsonl, .json, either also as .gz. A HumanEval task keeps its prompt in `fields.prompt` (the prefix that a
completion continues); an MBPP task shows its asserts in the instruction, as every published MBPP setting does.

    tasks = list(BENCHMARKS["humaneval"].load(Path("humaneval/HumanEval.jsonl.gz")))

Invariant: one malformed row is an error with its place, never a shorter suite.
"""

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
from evoltune_code.other_languages import task as multipl_e_task
from evoltune_code.syntax import called

MBPP_TEST, MBPP_DEV = range(11, 511), range(511, 975)
"""The paper's splits: 1-10 prompts, 11-510 test, 511-600 validation, 601-974 training."""
MBPP_HUB = "google-research-datasets/mbpp"


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
    prompt, fields = row["prompt"], {"entry_point": row["entry_point"], "prompt": row["prompt"]}
    reference = prompt + row["canonical_solution"]
    return Task(instruction=prompt, reference=reference, tests=row["test"], fields=fields, name=row["task_id"])


def mbpp(row: Mapping[str, Any], keep: range = range(1, 975)) -> Task | None:
    """A row of mbpp.jsonl, or of the sanitized file (`prompt` and `test_imports` in place of `text` and set-up code)."""
    if row["task_id"] not in keep:
        return None
    asserts = [test.replace("\r\n", "\n").strip() for test in row["test_list"]]
    setup = row.get("test_setup_code") or "\n".join(row.get("test_imports", ()))
    code = row["code"].replace("\r\n", "\n")
    return Task(
        instruction="\n".join([row.get("text") or row["prompt"], "Test examples:", *asserts]), reference=code,
        tests="\n".join([setup.replace("\r\n", "\n"), *asserts]) + "\n",
        fields={"entry_point": called(asserts, code)}, name=f"Mbpp/{row['task_id']}",
    )  # fmt: skip


def _suite(
    convert: Callable[[dict[str, Any]], Task | None], file: str, licence: str, hub: str, sha256: str = "", profile: str = "sound"
) -> Benchmark:  # fmt: skip
    return Benchmark(load=loader(convert), file=file, licence=licence, hub=hub, sha256=sha256, profile=profile)


def _mbpp(keep: range, splits: str) -> Benchmark:
    sha256 = "5da714a90c1b388857026ac955de6a98b42b311e570cee3d27683f98e1699923"
    hub = f"{MBPP_HUB}:full:{splits}"
    return _suite(partial(mbpp, keep=keep), "mbpp/mbpp.jsonl.gz", "CC-BY-4.0", hub, sha256)


BENCHMARKS: Mapping[str, Benchmark] = {
    "humaneval": _suite(
        humaneval, "humaneval/HumanEval.jsonl.gz", "MIT", "openai/openai_humaneval",
        "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
    ),
    "humaneval-plus": _suite(
        evalplus_task, "humaneval_plus/HumanEvalPlus.jsonl.gz", "Apache-2.0", "evalplus/humanevalplus",
        "272720b90ac375502c8ed23cd791c2a93dfb22a911641a494da74a426c09f101", profile="evalplus",
    ),
    "humaneval-plus-mini": _suite(
        evalplus_task, "humaneval_plus/HumanEvalPlus-Mini.jsonl.gz", "Apache-2.0", "",
        "91486741f1627101021fbe50523df08eebb5b0bf5e804b633dcd5ca3c14dbd2f", profile="evalplus",
    ),
    "mbpp": _mbpp(MBPP_TEST, "test"),
    "mbpp-dev": _mbpp(MBPP_DEV, "validation+train"),  # for evol-stop: shares no task with "mbpp"
    "mbpp-all": _mbpp(range(1, 975), "prompt+test+validation+train"),
    "mbpp-sanitized": _suite(
        mbpp, "mbpp/sanitized-mbpp.json.gz", "CC-BY-4.0", f"{MBPP_HUB}:sanitized:prompt+test+validation+train",
        "1d3a99b3b5e53518be0ddf386ffcbe6917cea27f3edb079e882759fc5dde8e8e",
    ),
    "mbpp-plus": _suite(
        evalplus_task, "mbpp_plus/MbppPlus.jsonl.gz", "Apache-2.0", "evalplus/mbppplus",
        "af43697e8791c4c149bdfd6b489d8b5412507551ac20e28a439f650b8225db63", profile="evalplus",
    ),
    "ds1000": _suite(ds1000_task, "ds1000/ds1000.jsonl.gz", "CC-BY-SA-4.0", "xlangai/DS-1000", profile="ds1000"),
    # No hash: upstream's file is exported from the hub, so that of the first load is recorded.
    **{
        f"multipl-e-{name}": _suite(multipl_e_task, f"multiple/humaneval-{name}.jsonl", "MIT", f"nuprl/MultiPL-E:humaneval-{name}", profile="multipl-e")
        for name in ("js", "cpp")
    },
}  # fmt: skip
