"""Which columns hold what: Alpaca, chat messages, ShareGPT, prompt and completion, question and answer.

    recognise({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]}).form  ->  "sharegpt"

Each row is recognised by itself, in one fixed order, so mixed files work. What is not read is known too: `Layout` collects
it, and it is printed before work begins.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal

from evoltune.rows.marks import objection
from evoltune.rows.turns import Turn, Turns, as_turns, is_nothing, problem_of, read_turns

Form = Literal["alpaca", "chat", "sharegpt", "pair", "task"]
PROMPT_COLUMNS = ("instruction", "prompt", "question", "problem", "query", "text")
RESPONSE_COLUMNS = ("output", "completion", "response", "solution", "answer", "code")
"""The first one with text is the answer: `solution` before `answer`, which beside it holds the bare result."""
CONTEXT_COLUMNS = ("input", "context")
SYSTEM_COLUMNS = ("system", "system_prompt")
CONVERSATION_COLUMNS: Mapping[str, Form] = {
    "messages": "chat", "conversations": "sharegpt", "conversation": "sharegpt",
}  # fmt: skip
OTHER_COLUMNS = frozenset("reference tests id name licence license skill category".split())
"""Read as well, whatever the form."""
OWN_COLUMNS = frozenset(
    "domain operator round parents verified_by confidence difficulty reasoning_kind repaired teacher_terms".split()
)
"""Notes in datasets that Evoltune wrote: nothing that belongs into a prompt."""
_SURELY = 20
"""Characters of an answer that no question ends with by chance."""
_ANNOUNCED = re.compile(r"(response|answer|assistant|output)\W*$", re.IGNORECASE)
_ASKS = re.compile(
    r"(#{2,3} ?(Response|Assistant|Output):?|<\|im_start\|>assistant|<\|assistant\|>|\[/INST\]|<start_of_turn>model"
    r"|<\|(start_header_id|header_start)\|>assistant<\|(end_header_id|header_end)\|>|<\|start\|>assistant|<\|CHATBOT_TOKEN\|>"
    r"|<[|\uff5c][Aa]ssistant[|\uff5c]>|USER:.*\sASSISTANT:|(\A|\n)(Human|User): .*\nAssistant:)\s*\Z",
    re.DOTALL,
)
"""Ends of prompts that the templates of Alpaca, ChatML, Zephyr, Llama, Gemma, DeepSeek, Command, gpt-oss, Vicuna or hh-rlhf wrote."""
_SAMPLE = 200  # rows that a layout is taken from


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A row of any form: the last user turn is the instruction, what the assistant said to it the output."""

    form: Form
    instruction: str
    """With the context as a second paragraph."""
    output: str = ""
    history: tuple[tuple[str, str], ...] = ()
    """(role, content) of the turns before the instruction."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Field -> the column that it was read from."""
    turns: tuple[Turn, ...] = ()
    """All turns; a first question without its context."""
    context: str = ""
    """Alpaca's `input`, or `context`, of a first question."""
    unread: tuple[str, ...] = ()
    """Columns and message keys that hold something and were not read."""
    problem: str = ""
    """Why the row cannot be trained on."""


def recognise(row: Mapping[str, Any]) -> Conversation | str:
    """The row as a conversation, or the reason why it is none."""
    for column, form in CONVERSATION_COLUMNS.items():
        if (messages := as_turns(row.get(column))) is not None:
            return _conversation(row, read_turns(messages, column), column, form)
    prompt = next((c for c in PROMPT_COLUMNS if isinstance(row.get(c), str)), None)
    asked = next((c for c in PROMPT_COLUMNS if _is_messages(row.get(c))), None)  # TRL's conversational prompts
    if asked is not None and prompt in (None, "text"):
        return _prompt_and_completion(row, asked)
    if prompt is None:
        return _no_instruction(row)
    if not row[prompt].strip():
        return f"column {prompt!r} is empty"
    return (_answered_already(row) if prompt == "text" else "") or _plain(row, prompt)


def lost_answer(row: Mapping[str, Any], found: Conversation) -> str:
    """Why a row that is read as a question alone should not be: it brings an answer that is no text, as `{"answer": 72}`."""
    if found.output.strip() or row.get("reference") is not None or row.get("tests") is not None:
        return ""
    wrong = next(
        (c for c in RESPONSE_COLUMNS if not isinstance(row.get(c), str) and row.get(c) not in (None, [], {})), ""
    )
    return wrong and f"column {wrong!r} holds {_kind(row[wrong])}, must be text, else this answer would be lost"


def _is_messages(value: Any) -> bool:
    messages = as_turns(value)
    return messages is not None and all(isinstance(message, Mapping) for message in messages)


def _no_instruction(row: Mapping[str, Any]) -> str:
    columns, known = ", ".join(map(str, row)) or "none", ", ".join(PROMPT_COLUMNS)
    if wrong := next((c for c in (*CONVERSATION_COLUMNS, *PROMPT_COLUMNS) if row.get(c) not in (None, [], "")), ""):
        needed = "a list of messages" if wrong in CONVERSATION_COLUMNS else "text or a list of messages"
        return f"column {wrong!r} holds {_kind(row[wrong])}, must be {needed}"
    if preference := _preference(row):
        return preference
    return f"no instruction: columns are {columns}; known: {known}, messages, conversations"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"a boolean ({value})"
    if isinstance(value, int | float):
        return f"a number ({value!r})"
    names = {"str": "text", "list": "a list", "dict": "an object", "bytes": "binary data", "NoneType": "nothing"}
    return names.get(type(value).__name__, f"a {type(value).__name__}")


def _answered_already(row: Mapping[str, Any]) -> str:
    """Why `text` is no question: it ends with the row's answer, as in copies of Alpaca that lost `instruction`."""
    for column in RESPONSE_COLUMNS:
        answer = row[column].strip() if isinstance(row.get(column), str) else ""
        before, found, after = row["text"].rpartition(answer) if answer else ("", "", "")
        if found and not after.strip() and (len(answer) >= _SURELY or _ANNOUNCED.search(before)):
            return (
                f"column 'text' holds question and answer together (it ends with column {column!r}), and no column has the "
                f"question alone: columns are {', '.join(map(str, row))}; known: {', '.join(PROMPT_COLUMNS[:-1])}"
            )
    return ""


def _plain(row: Mapping[str, Any], prompt: str) -> Conversation:
    """A row with one column for the question and one for the answer."""
    answers = [c for c in RESPONSE_COLUMNS if c != prompt and isinstance(row.get(c), str)]
    response = next((c for c in answers if row[c].strip()), next(iter(answers), ""))
    context = next((c for c in CONTEXT_COLUMNS if isinstance(row.get(c), str) and row[c].strip()), "")
    columns = {"instruction": f"{prompt} + {context}" if context else prompt}
    earlier, problem = _earlier(row, columns)
    instruction = f"{row[prompt]}\n\n{row[context]}" if context else row[prompt]
    is_apart = bool(context) and all(turn.role == "system" for turn in earlier)
    turns = [*earlier, Turn("user", row[prompt] if is_apart else instruction)]
    if response:
        columns["output"] = response
        turns.append(Turn("assistant", row[response]))
    return _finished(row, Conversation(
        form="task" if not response else "alpaca" if prompt == "instruction" else "pair",
        instruction=instruction,
        output=row[response] if response else "",
        history=tuple((turn.role, turn.content) for turn in earlier),
        columns=columns,
        turns=tuple(turns),
        context=row[context] if is_apart else "",
        problem=problem or _rendered(row, prompt) or _context_lost(row, context) or ("" if response else _no_answer(row)) or problem_of(turns),
    ))  # fmt: skip


def _context_lost(row: Mapping[str, Any], context: str) -> str:
    """Why a part of the question would be lost: it is no text, as in `{"instruction": "Square it.", "input": 7}`, or it has two columns."""
    for column in CONTEXT_COLUMNS:
        value = row.get(column)
        if not is_nothing(value) and not isinstance(value, str):
            return f"column {column!r} holds {_kind(value)}, must be text, else the question would lack it"
        if column != context and isinstance(value, str) and value.strip() and value.strip() not in row[context]:
            return f"columns {context!r} and {column!r} both belong to the question, and only {context!r} would be read: join them"
    return ""


def _rendered(row: Mapping[str, Any], prompt: str) -> str:
    """Why a question is none: it ends with the mark by which a prompt template asks for the answer."""
    # Few questions end so, and the search through a long one takes time.
    asks = row[prompt].rstrip().endswith((":", ">", "]", "assistant", "model", "Response", "Assistant", "Output"))
    found = _ASKS.search(row[prompt]) if asks else None
    return "" if found is None else (
        f"column {prompt!r} ends with {found[0].strip()!r}: a prompt to which a template was applied already, and train.template would be "
        "put around it again: bring the question alone"
    )  # fmt: skip


def _no_answer(row: Mapping[str, Any]) -> str:
    """Why a row with a question has no answer."""
    if preference := _preference(row):
        return preference
    if wrong := next((c for c in RESPONSE_COLUMNS if row.get(c) is not None), ""):
        return f"column {wrong!r} holds {_kind(row[wrong])}, must be text"
    columns = ", ".join(map(str, row))
    if not any(isinstance(row.get(c), str) for c in PROMPT_COLUMNS if c != "text"):
        return (
            f"plain text in column 'text' (columns are {columns}): fine-tuning needs question and answer apart, e.g. as "
            "instruction and output, or as messages"
        )
    return f"no answer: columns are {columns}; known: {', '.join(RESPONSE_COLUMNS)}, messages, conversations"


def _preference(row: Mapping[str, Any]) -> str:
    if row.get("chosen") and "rejected" in row:
        return (
            "preference pairs (columns chosen and rejected): this is supervised fine-tuning on one answer: keep the chosen "
            "answer as column output, or the chosen conversation as messages"
        )
    return ""


def _earlier(row: Mapping[str, Any], columns: dict[str, str]) -> tuple[list[Turn], str]:
    """(turns before the question, what is wrong with them): a system column, and `history` as pairs or messages."""
    turns: list[Turn] = []
    if system := _system_column(row):
        turns.append(Turn("system", row[system]))
        columns["system"] = system
    elif wrong := _system_lost(row):
        return turns, wrong
    history = row.get("history")
    if not history:
        return turns, ""
    columns["history"] = "history"
    if isinstance(history, list) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in history):
        if all(isinstance(text, str) for pair in history for text in pair):
            return [*turns, *(Turn(*turn) for q, a in history for turn in (("user", q), ("assistant", a)))], ""
    elif isinstance(messages := as_turns(history), list):
        found = read_turns(messages, "history")
        if not isinstance(found, str) and not (turns and found.turns[:1] and found.turns[0].role == "system"):
            return [*turns, *found.turns], ""
    return turns, "column 'history': must be pairs of question and answer, or messages without a second system text"


def _system_lost(row: Mapping[str, Any]) -> str:
    wrong = next((c for c in SYSTEM_COLUMNS if not is_nothing(row.get(c)) and not isinstance(row[c], str)), "")
    return wrong and f"column {wrong!r} holds {_kind(row[wrong])}, must be text"


def _system_column(row: Mapping[str, Any]) -> str:
    return next((c for c in SYSTEM_COLUMNS if isinstance(row.get(c), str) and row[c].strip()), "")


# ---- conversations


def _prompt_and_completion(row: Mapping[str, Any], prompt: str) -> Conversation | str:
    """Messages as prompt, and as completion: only the completion's answers carry loss, as in TRL."""
    asked = read_turns(as_turns(row[prompt]) or [], prompt)
    response = next((c for c in RESPONSE_COLUMNS if c != prompt and row.get(c)), "")
    if isinstance(asked, str):
        return asked
    context = tuple(replace(turn, trained=False) for turn in asked.turns)
    answered: Turns | str = Turns(turns=())
    if isinstance(row.get(response), str):
        answered = Turns(turns=(Turn("assistant", row[response]),))
    elif messages := as_turns(row.get(response)):
        answered = read_turns(messages, response)
    elif response:
        return f"column {response!r} holds {_kind(row[response])}, must be text or a list of messages"
    if isinstance(answered, str):
        return answered
    turns = (*context, *answered.turns)
    problem = ("" if response else _no_answer(row)) or problem_of(turns)
    both = Turns(turns=turns, unread=(*asked.unread, *answered.unread), problem=problem)
    return _conversation(row, both, f"{prompt} + {response}" if response else prompt, "chat")


def _conversation(row: Mapping[str, Any], found: Turns | str, column: str, form: Form) -> Conversation | str:
    if isinstance(found, str):
        return found
    turns, columns, problem = found.turns, {"instruction": f"{column}[last user]"}, found.problem
    if system := _system_column(row):
        if turns[:1] and turns[0].role == "system":
            same = turns[0].content.strip() == row[system].strip()
            problem = problem or ("" if same else f"column {system!r} and the conversation have different system texts")
        else:
            turns = (Turn("system", row[system]), *turns)
        columns["system"] = system
    elif not problem:
        problem = _system_lost(row)
    asked = max((i for i, turn in enumerate(turns) if turn.role == "user" and turn.content.strip()), default=-1)
    if asked < 0:
        return f"column {column!r}: no user turn to answer: roles are {', '.join(t.role for t in turns) or 'none'}"
    answers = [turn.content for turn in turns[asked:] if turn.role == "assistant"]
    if answers:
        columns["output"] = f"{column}[last assistant]"
    elif _preference(row):
        problem = _preference(row)
    return _finished(row, Conversation(
        form=form,
        instruction=turns[asked].content,
        output=answers[-1] if answers else "",
        history=tuple((turn.role, turn.content) for turn in turns[:asked]),
        columns=columns,
        turns=turns,
        unread=found.unread,
        problem=problem,
    ))  # fmt: skip


def _finished(row: Mapping[str, Any], found: Conversation) -> Conversation:
    """With the columns that were not read, and what they say against training on the row. One whose text stands in the
    conversation is none: our own datasets have both."""
    used = _parts(found.columns.values())
    known = used | OTHER_COLUMNS | OWN_COLUMNS
    texts = [turn.content for turn in found.turns]
    left = [str(c) for c, value in row.items() if c not in known and not is_nothing(value) and str(value) not in texts]
    problem = found.problem
    if not problem and found.output:
        problem = objection(row, asked=found.columns["instruction"].partition(" + ")[0], texts=texts)
    return replace(found, unread=(*left, *found.unread), problem=problem)


def _parts(columns: Iterable[str]) -> set[str]:
    """The names of columns in texts such as `instruction + input` and `messages[last user]`."""
    return {part for column in columns for part in column.partition("[")[0].split(" + ")}


class Layout:
    """The forms and columns of rows, and what was not read, collected row by row.

    `str(layout)`: `alpaca (200 rows): instruction <- instruction + input, output <- output; not read: topic`.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = tuple(known)
        self._forms: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()
        self._columns: dict[str, dict[str, None]] = {}
        self.unread: Counter[str] = Counter()

    def add(self, row: Mapping[str, Any], found: Conversation | str) -> None:
        for column in ("reference", "tests", *self._known):
            if column in row:
                self._columns.setdefault(column, {column: None})
        if isinstance(found, str):
            self._problems[found] += 1
            self.unread.update(str(c) for c in row if c not in OTHER_COLUMNS)
            return
        self._forms[found.form] += 1
        for what, column in found.columns.items():
            self._columns.setdefault(what, {})[column] = None
        self.unread.update(column for column in found.unread if column not in self._known)

    def __str__(self) -> str:
        read = ", ".join(f"{what} <- {' or '.join(columns)}" for what, columns in self._columns.items())
        used = _parts(column for columns in self._columns.values() for column in columns)
        left = ", ".join(
            f"{column} (in {n} {'row' if n == 1 else 'rows'})" if column in used else column
            for column, n in self.unread.items()
        )
        bad = "".join(f"; {n} x {reason}" for reason, n in self._problems.items())
        text = ", ".join(f"{form} ({n} rows)" for form, n in self._forms.items()) or "nothing readable"
        return f"{text}: {read}{f'; not read: {left}' if left else ''}{bad}"


def layout(rows: Iterable[Mapping[str, Any]], known: Iterable[str] = ()) -> str:
    """The layout of a source's first 200 rows. `known`: further columns that the domain reads."""
    found = Layout(known)
    for row in islice(rows, _SAMPLE):
        found.add(row, recognise(row))
    return str(found)
