"""Which columns hold what: Alpaca, chat messages, ShareGPT, prompt and completion, question and answer.

Each row is recognised by itself, in one fixed order, so mixed files work; `Layout.describe` is shown before work begins.

    recognise({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}).form  ->  "sharegpt"
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

Form = Literal["alpaca", "chat", "sharegpt", "pair", "task"]
ASKS = ("instruction", "prompt", "question", "problem", "query", "text")
REPLIES = ("output", "completion", "response", "answer", "solution", "code")
CONVERSATIONS: Mapping[str, Form] = {
    "messages": "chat",
    "conversations": "sharegpt",
    "conversation": "sharegpt",
}
_ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "prompter": "user"}
_SAMPLE = 200  # rows looked at before a layout is shown


@dataclass(frozen=True, kw_only=True)
class Turns:
    """A row in one shape: a conversation whose last user turn is the instruction."""

    form: Form
    instruction: str
    output: str = ""
    history: tuple[tuple[str, str], ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    """What was read from which column."""


def recognise(row: Mapping[str, Any]) -> Turns | str:
    """The row's conversation, or the reason why it has none."""
    for column, form in CONVERSATIONS.items():
        if isinstance(row.get(column), list):
            return _conversation(row[column], column, form)
    ask = next((c for c in ASKS if isinstance(row.get(c), str)), None)
    if ask is None:
        return f"no instruction: columns are {', '.join(map(str, row)) or 'none'}; known: {', '.join(ASKS)}, messages, conversations"
    if not row[ask].strip():
        return f"column {ask!r} is empty"
    reply = next((c for c in REPLIES if c != ask and isinstance(row.get(c), str)), "")
    more = row.get("input")
    context = more if ask == "instruction" and isinstance(more, str) and more.strip() else ""
    instruction = f"{row[ask]}\n\n{context}" if context else row[ask]
    single: Form = "task" if not reply else "alpaca" if ask == "instruction" else "pair"
    columns = {"instruction": f"{ask} + input" if context else ask, **({"output": reply} if reply else {})}
    return Turns(form=single, instruction=instruction, output=row[reply] if reply else "", columns=columns)


def _conversation(turns: list[Any], column: str, form: Form) -> Turns | str:
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
    columns = {
        "instruction": f"{column}[last user]",
        **({"output": f"{column}[last assistant]"} if is_answered else {}),
    }
    return Turns(form=form, instruction=read[-1][1], output=output, history=tuple(read[:-1]), columns=columns)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What the first rows of a source look like."""

    forms: Mapping[str, int]
    columns: Mapping[str, str]
    unread: tuple[str, ...]
    """Columns that nothing reads."""
    problems: Mapping[str, int]

    def describe(self) -> str:
        """One line: `alpaca (200 rows): instruction <- instruction + input, output <- output; not read: id`."""
        forms = ", ".join(f"{form} ({n} rows)" for form, n in self.forms.items()) or "nothing readable"
        read = ", ".join(f"{what} <- {column}" for what, column in self.columns.items())
        unread = f"; not read: {', '.join(self.unread)}" if self.unread else ""
        bad = "".join(f"; {n} x {reason}" for reason, n in self.problems.items())
        return f"{forms}: {read}{unread}{bad}"


READ = {"reference", "tests", "id", "name", "licence", "license", "skill", "category", "input"}


def layout(rows: Iterable[Mapping[str, Any]], known: Iterable[str] = ()) -> Layout:
    """The layout of a source, from its first 200 rows. known: further columns that the domain reads."""
    forms: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    columns: dict[str, str] = {}
    used = READ | set(known)
    seen: dict[str, None] = {}
    for row in islice(rows, _SAMPLE):
        seen |= dict.fromkeys(map(str, row))
        turns = recognise(row)
        if isinstance(turns, str):
            problems[turns] += 1
            continue
        forms[turns.form] += 1
        for what, column in turns.columns.items():
            columns.setdefault(what, column)
            used |= set(column.partition("[")[0].split(" + "))
    columns |= {c: c for c in ("reference", "tests", *known) if c in seen}
    return Layout(
        forms=dict(forms),
        columns=columns,
        unread=tuple(c for c in seen if c not in used),
        problems=dict(problems),
    )
