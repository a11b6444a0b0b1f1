"""Which columns hold what: Alpaca, chat messages, ShareGPT, prompt and completion, question and answer.

    recognise({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}).form  ->  "sharegpt"

Each row is recognised by itself, in one fixed order, so mixed files work. `layout` is shown before work begins.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

Form = Literal["alpaca", "chat", "sharegpt", "pair", "task"]
PROMPT_COLUMNS = ("instruction", "prompt", "question", "problem", "query", "text")
RESPONSE_COLUMNS = ("output", "completion", "response", "answer", "solution", "code")
CONVERSATION_COLUMNS: Mapping[str, Form] = {
    "messages": "chat", "conversations": "sharegpt", "conversation": "sharegpt",
}  # fmt: skip
OTHER_COLUMNS = frozenset("reference tests id name licence license skill category input".split())
"""Read as well, whatever the form."""
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "prompter": "user"}
_SAMPLE = 200  # rows that a layout is taken from


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A row of any form: the last user turn is the instruction, what the assistant said to it the output."""

    form: Form
    instruction: str
    output: str = ""
    history: tuple[tuple[str, str], ...] = ()
    """(role, content) of the turns before the instruction."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> the column that it was read from."""


def recognise(row: Mapping[str, Any]) -> Conversation | str:
    """The row as a conversation, or the reason why it is none."""
    for column, form in CONVERSATION_COLUMNS.items():
        if isinstance(row.get(column), list):
            return _conversation(row[column], column, form)
    prompt = next((c for c in PROMPT_COLUMNS if isinstance(row.get(c), str)), None)
    if prompt is None:
        columns, known = ", ".join(map(str, row)) or "none", ", ".join(PROMPT_COLUMNS)
        return f"no instruction: columns are {columns}; known: {known}, messages, conversations"
    if not row[prompt].strip():
        return f"column {prompt!r} is empty"
    response = next((c for c in RESPONSE_COLUMNS if c != prompt and isinstance(row.get(c), str)), "")
    context = row.get("input") if prompt == "instruction" else None
    has_context = isinstance(context, str) and context.strip()
    columns_read = {"instruction": f"{prompt} + input" if has_context else prompt}
    if response:
        columns_read["output"] = response
    return Conversation(
        form="task" if not response else "alpaca" if prompt == "instruction" else "pair",
        instruction=f"{row[prompt]}\n\n{context}" if has_context else row[prompt],
        output=row[response] if response else "",
        history=_alpaca_history(row, columns_read) if prompt == "instruction" else (),
        columns=columns_read,
    )


def _alpaca_history(row: Mapping[str, Any], columns_read: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """Earlier turns as LLaMA-Factory's Alpaca rows have them: `system`, and `history` as pairs of question and answer."""
    system, pairs = row.get("system"), row.get("history")
    turns = [("system", system)] if isinstance(system, str) and system.strip() else []
    for pair in pairs if isinstance(pairs, list) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(text, str) for text in pair):
            turns += [("user", pair[0]), ("assistant", pair[1])]
    columns_read |= {name: name for name, value in (("system", system), ("history", pairs)) if value and turns}
    return tuple(turns)


def _conversation(turns: list[Any], column: str, form: Form) -> Conversation | str:
    read: list[tuple[str, str]] = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            return f"column {column!r}: a turn is a {type(turn).__name__}, must be an object"
        role, content = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
        if not isinstance(role, str) or not isinstance(content, str):
            return f"column {column!r}: a turn has no role and content (or from and value) as text"
        read.append((_ROLES.get(role, role), content))
    is_answered = bool(read) and read[-1][0] == "assistant"
    output = read.pop()[1] if is_answered else ""
    if not read or read[-1][0] != "user" or not read[-1][1].strip():
        return f"column {column!r}: no user turn to answer"
    columns = {"instruction": f"{column}[last user]"}
    if is_answered:
        columns["output"] = f"{column}[last assistant]"
    return Conversation(form=form, instruction=read[-1][1], output=output, history=tuple(read[:-1]), columns=columns)


def layout(rows: Iterable[Mapping[str, Any]], known: Iterable[str] = ()) -> str:
    """The forms and columns of a source's first 200 rows, in one line.

    `alpaca (200 rows): instruction <- instruction + input, output <- output; not read: id`. `known`: further columns that
    the domain reads.
    """
    forms: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    columns: dict[str, str] = {}
    used = OTHER_COLUMNS | set(known)
    seen: dict[str, None] = {}
    for row in islice(rows, _SAMPLE):
        seen |= dict.fromkeys(map(str, row))
        found = recognise(row)
        if isinstance(found, str):
            problems[found] += 1
            continue
        forms[found.form] += 1
        for what, column in found.columns.items():
            columns.setdefault(what, column)
            used |= set(column.partition("[")[0].split(" + "))
    columns |= {c: c for c in ("reference", "tests", *known) if c in seen}
    read = ", ".join(f"{what} <- {column}" for what, column in columns.items())
    left = ", ".join(c for c in seen if c not in used)
    bad = "".join(f"; {n} x {reason}" for reason, n in problems.items())
    text = ", ".join(f"{form} ({n} rows)" for form, n in forms.items()) or "nothing readable"
    return f"{text}: {read}{f'; not read: {left}' if left else ''}{bad}"
