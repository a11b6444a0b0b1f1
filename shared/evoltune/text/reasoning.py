"""A reasoning model's thought apart from its answer, in the forms in which servers leave both in one text.

    split_reasoning("<think>\\nShort is best.\\n</think>\\n\\nIt rises.")  ->  ("It rises.", "Short is best.")
    join_reasoning("It rises.", "Short is best.")                       ->  the text above

Forms: tags around the thought (also where the chat template wrote the opening tag, so that only the closing one is there),
and the channels of the harmony format, as special tokens or as the plain words that are left when the tokens are removed.
Invariants: splitting what `join_reasoning` wrote gives its two parts back; an answer that was split once is not split again.
"""

import re
from collections.abc import Iterator

_NAMES = r"think|thinking|thought|thoughts|reasoning|[a-z]{2,6}:think"
_OTHER_NAMES = r"reflection|reason|analysis|scratchpad|inner_?monologue|inner_?thoughts"
"""Names that people use for parts of an answer too: around a thought only where an answer follows."""
_TOKENS = {
    "[THINK]": "[/THINK]", "◁think▷": "◁/think▷", "<|begin_of_thought|>": "<|end_of_thought|>", "<|think|>": "<|/think|>",
    "<|START_THINKING|>": "<|END_THINKING|>", "<|channel>thought": "<channel|>",
}  # fmt: skip
"""Special tokens around a thought: Magistral, Kimi, Sky-T1 and OpenThinker, Command, Gemma."""
_OPEN = re.compile(
    rf"<(?P<tag>{_NAMES})>|<(?P<other>{_OTHER_NAMES})>|(?P<token>{'|'.join(map(re.escape, _TOKENS))})", re.IGNORECASE
)
_CLOSE = re.compile(rf"</(?:{_NAMES})>|{'|'.join(map(re.escape, _TOKENS.values()))}", re.IGNORECASE)
_CLOSES = {opening.casefold(): closing for opening, closing in _TOKENS.items()}
_SOLUTION = re.compile(
    r"^\s*<\|begin_of_solution\|>(?P<solution>.*?)(?:<\|end_of_solution\|>\s*)?$"
    r"|^\s*<\|START_(?:RESPONSE|TEXT)\|>(?P<response>.*?)(?:<\|END_(?:RESPONSE|TEXT)\|>\s*)?$"
    r"|^\s*<(?P<tag>response|answer)>(?P<tagged>.*?)(?:</(?P=tag)>\s*)?$",
    re.DOTALL,
)
"""What some families put round the answer behind a thought."""
_OWN_LINE_OPEN = re.compile(rf"^[ \t]*(?:{_OPEN.pattern})", re.IGNORECASE | re.MULTILINE)

_FINAL = re.compile(
    r"(?:<\|end\|>\s*)?(?:<\|start\|>\s*assistant\s*)?<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
)
_HARMONY_START = re.compile(r"\s*(?:<\|start\|>\s*assistant\s*)?<\|channel\|>")
_HARMONY_TOKEN = re.compile(
    r"<\|start\|>\s*assistant|<\|channel\|>\s*\w+[^<]*<\|message\|>|<\|(?:start|end|return|call|message|channel)\|>"
)
_HARMONY_END = re.compile(r"<\|(?:return|end|call)\|>")
_PLAIN_START = re.compile(r"\s*(?:analysis|assistantfinal|here(?:'s| is) my thought process)", re.IGNORECASE)
_PLAIN_WORDS = re.compile(
    r"^\s*here(?:'s| is) my thought process:(.*?)^[ \t]*here(?:'s| is) my response:(.*)$",
    re.DOTALL | re.IGNORECASE | re.MULTILINE,
)
"""Granite writes its thought between these sentences."""
_PLAIN_CHANNELS = re.compile(r"^\s*analysis(?:\b|(?=[A-Z]))(.*?)assistant\n?final(.*)$", re.DOTALL)
_PLAIN_FINAL = re.compile(r"^\s*assistantfinal(.*)$", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str]:
    """(answer, thought) of a model's text; the thought is "" where there is none.

    A thought that is opened and never closed leaves no answer.
    """
    if "<" not in text and "[" not in text and "◁" not in text and not _PLAIN_START.match(text):
        return text, ""  # as most texts: twelve times cheaper
    thoughts: list[str] = []
    while True:
        answer, thought = _split_once(text)
        thoughts.append(_without_closes(thought))
        if any(thoughts) and (solution := _SOLUTION.match(answer)):
            answer = (solution["solution"] or solution["response"] or solution["tagged"] or "").strip()
        if answer == text:
            return answer, _joined(thoughts)
        text = answer


def _split_once(text: str) -> tuple[str, str]:
    if not _OPEN.match(text.lstrip()):
        for split in (_split_harmony, _split_plain_channels):
            if (found := split(text)) is not None:
                return found
    return _split_tags(text)


def join_reasoning(answer: str, thought: str) -> str:
    """The answer behind its thought, in the form that most open models write."""
    if not thought:
        return answer
    return f"<think>\n{_without_closes(thought)}\n</think>\n\n{answer}"


def _without_closes(thought: str) -> str:
    """A thought that speaks of closing tags would end at the first of them."""
    return _CLOSE.sub(lambda m: m[0].replace("/", "/ "), thought)


def _split_harmony(text: str) -> tuple[str, str] | None:
    if "<|message|>" not in text and "<|channel|>" not in text:
        return None
    final = _FINAL.search(text)
    starts = _HARMONY_START.match(text) is not None
    if not starts and (final is None or "<|start|>" not in final[0]):
        return None  # a text that only mentions the tokens
    thought, answer = (text, "") if final is None else (text[: final.start()], text[final.end() :])
    thought = "\n\n".join(part.strip() for part in _HARMONY_TOKEN.split(thought) if part.strip())
    end = _HARMONY_END.search(answer)
    return answer[: end.start() if end else None].strip(), thought


def _split_plain_channels(text: str) -> tuple[str, str] | None:
    """Harmony whose special tokens were removed: `analysisThe user wants ...assistantfinalHere it is.`"""
    if found := _PLAIN_WORDS.match(text):
        return found[2].strip(), found[1].strip()
    if found := _PLAIN_CHANNELS.match(text):
        thought = re.sub(r"assistant\n?(?:commentary|analysis)", "\n\n", found[1])
        return found[2].strip(), thought.strip()
    if found := _PLAIN_FINAL.match(text):
        return found[1].strip(), ""
    return None


def _split_tags(text: str) -> tuple[str, str]:
    before_closings: list[str] = []
    """Thoughts that a closing tag without an opening one ended; what follows may hold further blocks."""
    while True:
        rest, thoughts = text, list[str]()
        while opened := _OPEN.match(rest.lstrip()):
            inside, closed, behind = _inside(rest.lstrip()[opened.end() :], opened)
            if opened["other"] and not behind.strip():
                break
            thoughts.append(inside)
            rest = behind
            if not closed:
                return "", _joined([*before_closings, *thoughts])
        if thoughts:
            return rest.strip(), _joined([*before_closings, *thoughts])
        closing = _first_close(rest)
        if closing is None:
            break
        before, text = rest[: closing.start()], rest[closing.end() :]
        if opened := next(_loose_opens(before), None):  # a preface, then the block
            text = before[: opened.start()].rstrip() + "\n\n" + text.lstrip()
            before = before[opened.end() :]
        before_closings.append(before.strip())
    answer, thought = _without_unfinished(text)
    return (answer.strip(), _joined([*before_closings, thought])) if before_closings else (answer, thought)


def _without_unfinished(text: str) -> tuple[str, str]:
    """(answer, thought) of a text without a closing tag: a thought behind a preface may have run out of tokens."""
    opened = next((m for m in _loose_opens(text) if not m["other"]), None)
    if opened is None:
        return text, ""
    return text[: opened.start()].strip(), text[opened.end() :].strip()


def _inside(text: str, opened: re.Match[str]) -> tuple[str, bool, str]:
    """(the thought, whether it is closed, what follows) of a text behind an opening tag."""
    name = opened["tag"] or opened["other"]
    close = f"</{name}>" if name else _CLOSES[opened[0].casefold()]
    at = text.lower().find(close.lower())
    if at < 0:
        return text.strip(), False, ""
    return text[:at].strip(), True, text[at + len(close) :]


def _first_close(text: str) -> re.Match[str] | None:
    """The first closing tag that closes something: one in a quotation or in the middle of a sentence does not."""
    return next((m for m in _CLOSE.finditer(text) if not _is_quoted(text, m) and not _is_in_a_sentence(text, m)), None)


def _loose_opens(text: str) -> Iterator[re.Match[str]]:
    return (m for m in _OWN_LINE_OPEN.finditer(text) if not _is_quoted(text, m))


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    before, after = text[: tag.start()], text[tag.end() :]
    quotes = ("`", '"', "'", "“", "”")
    return before.count("```") % 2 == 1 or before.endswith(quotes) or after.startswith(quotes)


def _is_in_a_sentence(text: str, tag: re.Match[str]) -> bool:
    """Words before and behind it on its line, and no end of a sentence between them."""
    before, after = text[: tag.start()].rstrip(" "), text[tag.end() :]
    return after.startswith(" ") and after.strip(" ")[:1] not in ("", "\n") and before[-1:] not in ("", *".!?:;)…\n")


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(t for t in thoughts if t)
