"""Text-to-SQL on SQLite: a query is right when its result equals the reference's, in order where the reference orders."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from evoltune import Answer, Benchmark, Context, Domain, KnownAnswers, Operator, Record, Task, Verdict
from evoltune_sql.execution import Refused, Result, execute

HERE = Path(__file__).parent
FENCE = re.compile(r"```(?:sql|sqlite)?[ \t]*\r?\n(.*?)```", re.DOTALL | re.IGNORECASE)


def extract(task: Task, response: str) -> str | None:
    """The last fenced block, else the text from the first SELECT or WITH to a blank line."""
    blocks = FENCE.findall(response)
    text = blocks[-1] if blocks else response
    start = re.search(r"\b(select|with)\b", text, re.IGNORECASE)
    return text[start.start() :].split("\n\n")[0].strip() or None if start else None


def verify(task: Task, candidate: str, context: Context) -> Verdict:
    """Compares results on the task's database, and on an emptied one, so that a constant does not pass."""
    schema, reference = task.fields.get("schema"), task.reference
    if not isinstance(schema, str) or reference is None:
        return Verdict(status="unverifiable", reason="the task has no schema or no reference query")
    empty = re.sub(r"(?is)\binsert\s+into\b[^;]*;", "", schema)
    for database in (schema, empty):
        try:
            expected = execute(database, reference)
        except (sqlite3.Error, Refused, TimeoutError) as error:
            return Verdict(status="error", reason=f"the reference query fails: {error}")
        try:
            got = execute(database, candidate)
        except TimeoutError as error:
            return Verdict(status="timeout", reason=str(error))
        except (sqlite3.Error, sqlite3.Warning, Refused, ValueError, OverflowError) as error:
            return Verdict(status="fail", reason=f"{type(error).__name__}: {str(error)[:200]}")
        if not same(got, expected, ordered=orders(reference)):
            return Verdict(status="fail", reason=f"{len(got.rows)} rows differ from the expected {len(expected.rows)}")
    return Verdict(status="pass")


def orders(query: str) -> bool:
    """Whether the outermost query has an ORDER BY (parentheses and strings aside)."""
    text, inner = re.sub(r"'(?:[^']|'')*'", "''", query), None
    while inner != text:
        inner, text = text, re.sub(r"\([^()]*\)", " ", text)
    return re.search(r"\border\s+by\b", text, re.IGNORECASE) is not None


def same(got: Result, expected: Result, *, ordered: bool) -> bool:
    """Equal results: the same columns in order; rows as a list where order counts, else as a multiset."""
    a, b = ([tuple(_cell(c) for c in row) for row in r.rows] for r in (got, expected))
    return got.columns == expected.columns and (a == b if ordered else Counter(a) == Counter(b))


def _cell(value: object) -> object:
    return round(float(value), 6) if isinstance(value, int | float) else value


def tasks(path: Path) -> Iterator[tuple[Task, dict]]:
    schemas = json.loads((HERE / "schemas.json").read_text(encoding="utf-8"))
    for i, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        schema = schemas[row["database"]]
        tables = "\n".join(s.strip() + ";" for s in schema.split(";") if s.strip().upper().startswith("CREATE"))
        instruction = f"{row['question']}\n\nWrite one SQLite query for these tables:\n{tables}"
        yield (
            Task(instruction=instruction, reference=row["answer"], fields={"schema": schema}, name=f"{path.stem}:{i}"),
            row,
        )


def seeds() -> Iterable[Record]:
    for task, row in tasks(HERE / "seeds.jsonl"):
        answer = f"```sql\n{row['answer']}\n```"
        yield Record(domain="sql", task=task, answers=(Answer(text=answer, model="seed"),))


def known_answers() -> Iterable[KnownAnswers]:
    for task, row in tasks(HERE / "seeds.jsonl"):
        yield KnownAnswers(task=task, right=tuple(row.get("right", ())), wrong=tuple(row.get("wrong", ())))


def keeps_tables(parent: Task | None, child: Task, answer: str | None) -> str | None:
    """Drops a child without table definitions: nobody could answer it."""
    return None if "create table" in child.instruction.lower() else "lost its tables"


def prompt(name: str) -> str:
    return (HERE / "prompts" / f"{name}.txt").read_text(encoding="utf-8").partition("\n")[2]


domain = Domain(
    name="sql",
    seeds=seeds,
    operators=(
        Operator(name="harder", template=prompt("harder")),
        Operator(name="broader", template=prompt("broader"), kind="breadth"),
    ),
    verify=verify,
    extract=extract,
    known_answers=known_answers,
    answer_prompt="{instruction}\n\nReply with the query in a ```sql block.",
    eliminators=(keeps_tables,),
    columns=("schema",),
    benchmarks={
        "sql-heldout": Benchmark(
            load=lambda path: (task for task, _ in tasks(path)),
            sha256="",
            licence="Apache-2.0",
            file=str(HERE / "heldout.jsonl"),
        )
    },
)
