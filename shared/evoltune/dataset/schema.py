"""The rows of a dataset: their columns, and how a record becomes rows.

next(to_rows(record, recipe))["output"]    # the record's first answer that passed
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from evoltune.curate.licences import licence_of, terms_of
from evoltune.curate.quality import chosen_answers, difficulty
from evoltune.recipe import Recipe
from evoltune.record import Answer, Record
from evoltune.verification.records import times_repaired

Row = dict[str, Any]
COLUMNS: Mapping[str, tuple[str, str]] = {
    "id": ("string", "hash of the task and its lineage; `.1`, `.2` ... for further answers to one task"),
    "domain": ("string", "the domain whose verifier judged the row"),
    "instruction": ("string", "what is asked (the last user turn)"),
    "input": ("string", "always empty: context is part of the instruction; kept for Alpaca readers"),
    "output": ("string", "the answer that is trained on"),
    "messages": ("messages", "the same row as chat messages, earlier turns included"),
    "operator": ("string", "how the task was evolved from its parents; empty for a seed"),
    "round": ("int32", "round of evolution; 0 for a seed"),
    "parents": ("strings", "ids of the rows it was evolved from"),
    "skill": ("string", "what the row exercises"),
    "reasoning_kind": ("string", "the kind of reasoning that its operator or its seed names; empty where neither does"),
    "verified_by": ("string", "how the answer was verified; empty: it was not"),
    "confidence": ("float64", "the verifier's own, from 0 to 1; 1 where it is certain"),
    "difficulty": ("float64", "1 to 10; 0 where it is not known"),
    "licence": ("string", "licence of the seed"),
    "teacher_terms": ("string", "terms of the teacher that wrote the task or the answer"),
}
"""Column -> (type, meaning), in the order in which they are written."""
REASONING = "reasoning"
"""One more column where the recipe asks (`evolve.keep_reasoning`): the teacher's thought before the answer, or ""."""
REPAIRED = "repaired"
"""One more column where the recipe repairs (`evolve.repair`): how often the answer was sent back before it passed."""


def to_rows(record: Record, recipe: Recipe, most: int | None = None) -> Iterator[Row]:
    """One row for each chosen answer, at most `most` (None: `curate.answers_per_task`); none where no answer may stay."""
    task, most = record.task, recipe.curate.answers_per_task if most is None else most
    answers = chosen_answers(record, recipe.verify.keep, most)
    for i, answer in enumerate(answers):
        turns = [*task.history, ("user", task.instruction), ("assistant", answer.text)]
        verified_by, confidence = _verified_by(answer)
        more: Row = {REASONING: _thought(record, answer)} if recipe.evolve.keep_reasoning else {}
        if recipe.evolve.repair:
            more[REPAIRED] = times_repaired(record, [a.text for a in record.answers].index(answer.text))
        yield {
            "id": f"{record.id}.{i}" if i else record.id,
            "domain": record.domain,
            "instruction": task.instruction,
            "input": "",
            "output": answer.text,
            "messages": [{"role": role, "content": content} for role, content in turns],
            "operator": record.operator,
            "round": record.round,
            "parents": list(record.parents),
            "skill": str(task.fields.get("skill") or record.domain),
            "reasoning_kind": str(task.fields.get("reasoning") or ""),
            "verified_by": verified_by,
            "confidence": confidence,
            "difficulty": round(difficulty(record) or 0.0, 3),
            "licence": licence_of(record, recipe),
            "teacher_terms": terms_of(record, recipe),
            **more,
        }


def _thought(record: Record, answer: Answer) -> str:
    thoughts = record.evidence.get(REASONING, ())
    at = [a.text for a in record.answers].index(answer.text)
    return str(thoughts[at]) if at < len(thoughts) else ""


def _verified_by(answer: Answer) -> tuple[str, float]:
    """(how, confidence)"""
    if answer.verdict is None or answer.verdict.status != "pass":
        return "", 0.0
    evidence = answer.verdict.evidence
    how = evidence.get("verified_by") or evidence.get("method") or "verifier"
    confidence = evidence.get("confidence", 1.0)
    return str(how), float(confidence) if isinstance(confidence, int | float) else 1.0


def arrow_schema(recipe: Recipe) -> Any:
    """The schema of the recipe's rows as `datasets` writes it, so that `load_dataset` reads the files without a cast.
    `datasets` itself stays out: importing it took two thirds of the time of a small build."""
    import pyarrow as pa

    kinds = {name: kind for name, (kind, _) in COLUMNS.items()}
    kinds |= {REASONING: "string"} if recipe.evolve.keep_reasoning else {}
    kinds |= {REPAIRED: "int32"} if recipe.evolve.repair else {}
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    types = {"messages": pa.list_(turn), "strings": pa.list_(pa.string())}
    columns = [(name, types.get(kind) or pa.type_for_alias(kind)) for name, kind in kinds.items()]
    features = {"info": {"features": {name: _feature(kind) for name, kind in kinds.items()}}}
    return pa.schema(columns, metadata={"huggingface": json.dumps(features)})


def _feature(kind: str) -> Row:
    """A column's type in the words of `datasets`."""
    if kind == "messages":
        return {"feature": {"role": _feature("string"), "content": _feature("string")}, "_type": "List"}
    if kind == "strings":
        return {"feature": _feature("string"), "_type": "List"}
    return {"dtype": kind, "_type": "Value"}
