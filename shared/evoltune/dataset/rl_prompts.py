"""Prompts for reinforcement learning, each with what its answers are verified by, in the rows that trainers read.

    export_prompts(prompts_of_rows("openai/gsm8k:main:train", load_domain("math")), Path("train.jsonl"), "verl")

Rows come from any source that `evoltune verify` reads, or from a run: of its dataset the tasks that have a reference or tests,
so that nothing is trained on that its certificate does not cover. Rows without either are left out, and counted.

Invariant: an answer has the same verdict under the exported columns as under the row's own.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evoltune.dataset.write import SPLITS
from evoltune.domain import Domain, to_task
from evoltune.errors import DataError, nearest
from evoltune.record import Answer, Record, Task
from evoltune.rows.columns import recognise
from evoltune.rows.files import jsonl_writer
from evoltune.rows.readers import in_full, read_located, read_rows
from evoltune.run.paths import MANIFEST
from evoltune.run.run import Run
from evoltune.run.store import Store
from evoltune.verification.row_forms import plain_row, with_our_names


@dataclass(frozen=True, kw_only=True)
class VerifiablePrompt:
    """What is asked, and the columns that an answer is verified by: `reference`, `tests` and the domain's own."""

    id: str
    domain: str
    messages: tuple[dict[str, str], ...]
    columns: Mapping[str, Any]

    @property
    def truth(self) -> str:
        """The columns as JSON text: one string in every row, whatever the columns of the others are."""
        return json.dumps({name: self.columns[name] for name in sorted(self.columns)})


def prompts_of_rows(ref: str, domain: Domain, left_out: list[str] | None = None) -> Iterator[VerifiablePrompt]:
    """Of a file, folder or hub dataset; a reference also under the names `answer`, `solution`, `ground_truth`.

    Args:
        left_out: gets `where: reason` of each row without reference and tests; without the list such a row is a DataError.
    """
    for where, row in read_located(ref):
        found = recognise(row)
        if isinstance(found, str):
            raise DataError(f"{in_full(ref, where)}: {found}")
        own = with_our_names(plain_row(row), apart=True)
        try:
            task = to_task(domain, {**own, "instruction": found.instruction}, where)
        except DataError:
            task = Task(instruction=found.instruction)
        prompt = _prompt(domain, task, found.history, task.name or where)
        if prompt:
            yield prompt
        elif left_out is None:
            raise DataError(f"{in_full(ref, where)}: neither reference nor tests: nothing can verify an answer to it")
        else:
            left_out.append(f"{in_full(ref, where)}: neither reference nor tests")


def trained_records(work: Run) -> Iterator[Record]:
    """The verified records of a run's finished dataset, its training split. Raises DataError where there is none."""
    if not (work.dataset / MANIFEST).is_file() or not work.has_store:
        raise DataError(f"{work.folder}: no finished dataset and store: run `evoltune build` first, or give rows")
    trained = {str(row["id"]).partition(".")[0] for row in read_rows(work.dataset / f"{SPLITS[0]}.parquet")}
    with Store.open(work.folder) as store:
        for record in store.kept(work.verify_step):
            if record.id in trained:
                yield record


def prompts_of_run(work: Run, left_out: list[str] | None = None) -> Iterator[VerifiablePrompt]:
    """Of a run's finished dataset: its training rows' tasks. Raises DataError where there is none."""
    for record in trained_records(work):
        prompt = _prompt(work.domain, record.task, record.task.history, record.id)
        if prompt:
            yield prompt
        elif left_out is not None:
            left_out.append(f"{record.id}: neither reference nor tests")


def _prompt(domain: Domain, task: Task, history: Iterable[tuple[str, str]], name: str) -> VerifiablePrompt | None:
    if task.reference in (None, "") and not task.tests:
        return None
    turns = [*history, ("user", task.instruction)]
    known = {"reference": task.reference, "tests": task.tests} | {
        column: task.fields[column] for column in domain.columns if column in task.fields
    }
    return VerifiablePrompt(
        id=name, domain=domain.name,
        messages=tuple({"role": role, "content": content} for role, content in turns),
        columns={key: value for key, value in known.items() if value not in (None, "", [], {})},
    )  # fmt: skip


def as_record(domain: Domain, prompt: VerifiablePrompt, texts: Sequence[str]) -> Record:
    """The different texts as answers to a prompt, to be verified. The verdict is on the last turn: reference and tests are its
    own, and what was said before it is the task's history."""
    *before, last = ((message["role"], message["content"]) for message in prompt.messages)
    task = to_task(domain, {"instruction": last[1], **prompt.columns}, prompt.id)
    return Record(
        domain=domain.name, task=replace(task, history=tuple(before)),
        answers=tuple(Answer(text=text, model="policy") for text in dict.fromkeys(texts)),
    )  # fmt: skip


def _trl(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """GRPOTrainer and RLOOTrainer pass further columns to the reward by name."""
    return {"prompt": list(prompt.messages), **prompt.columns}


def _verl(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """RLHFDataset; `data_source` chooses the scorer, and verl has none of its own under this name."""
    return {
        "data_source": f"evoltune/{prompt.domain}", "prompt": list(prompt.messages), "ability": prompt.domain,
        "reward_model": {"style": "rule", "ground_truth": prompt.truth},
        "extra_info": {"index": index, "id": prompt.id, "prompt": prompt.messages[-1]["content"]},
    }  # fmt: skip


def _openrlhf(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """With --data.input_key prompt --data.label_key label --data.apply_chat_template."""
    label = json.dumps({"domain": prompt.domain, **json.loads(prompt.truth)})
    return {"prompt": list(prompt.messages), "label": label, "datasource": prompt.domain}


def _open_instruct(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """`dataset` names the verifier, `ground_truth` is what it gets: tests as they are, else the reference."""
    truth = prompt.columns.get("tests", prompt.columns.get("reference"))
    return {"messages": list(prompt.messages), "ground_truth": truth, "dataset": prompt.domain}


def _verifiers(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """For verifiers' environments and prime-rl, which runs them; `info` as JSON text, as rows differ in their columns."""
    return {
        "prompt": list(prompt.messages), "answer": str(prompt.columns.get("reference", "")), "info": prompt.truth,
        "task": prompt.domain,
    }  # fmt: skip


def _nemo_gym(prompt: VerifiablePrompt, index: int) -> dict[str, Any]:
    """`responses_create_params` goes to the model, the other fields to the resources server's `/verify`."""
    return {
        "responses_create_params": {"input": list(prompt.messages)}, "id": prompt.id, "domain": prompt.domain,
        **prompt.columns,
    }  # fmt: skip


PROMPT_FORMS: Mapping[str, Callable[[VerifiablePrompt, int], dict[str, Any]]] = {
    "trl": _trl, "verl": _verl, "openrlhf": _openrlhf, "open-instruct": _open_instruct, "verifiers": _verifiers,
    "nemo-gym": _nemo_gym,
}  # fmt: skip
"""Form -> a row of it."""


def export_prompts(prompts: Iterable[VerifiablePrompt], target: Path, form: str) -> int:
    """Writes prompts as JSONL in a trainer's form; returns their number. Raises DataError where there is none."""
    if form not in PROMPT_FORMS:
        raise DataError(f"form {form!r}: {nearest(form, PROMPT_FORMS)}")
    rows = with_one_type([PROMPT_FORMS[form](prompt, index) for index, prompt in enumerate(prompts)])
    if not rows:
        raise DataError(f"{target}: no row has a reference or tests: nothing would be verified, so nothing is written")
    with jsonl_writer(target) as write:
        for row in rows:
            write(row)
    return len(rows)


def with_one_type(rows: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """The rows with the same columns in each, and one type in a column, as `datasets` needs them.

    A column stays as it is where it holds text only, whole numbers, fractions, lists of texts, or one structure of message lists;
    else what is no text becomes JSON text, which verifiers read as what it holds: tests may be text in one row and a table of
    inputs in the next.
    """
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add("structure" if name in _OURS else _kind(value))
    as_text = {name for name, found in kinds.items() if len(found - {"none"}) > 1 or "other" in found}
    return [
        {
            name: json.dumps(value) if name in as_text and not isinstance(value, str | None) else value
            for name, value in ((name, row.get(name)) for name in kinds)
        }
        for row in rows
    ]


_OURS = ("prompt", "messages", "reward_model", "extra_info", "responses_create_params")
"""Columns that a form gives one structure in each row."""


def _kind(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
        return "texts"
    return type(value).__name__ if isinstance(value, str | bool | int | float) else "other"
