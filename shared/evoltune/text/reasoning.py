"""A reasoning model's thought apart from its answer, in the forms in which servers leave both in one text.

    split_reasoning("<think>\\nShort is best.\\n</think>\\n\\nIt rises.")  ->  ("It rises.", "Short is best.")
    join_reasoning("It rises.", "Short is best.")                       ->  the text above

Forms: tags around the thought (also where the chat template wrote the opening tag, so that only the closing one is there),
and the channels of the harmony format, as special tokens or as the plain words that are left when the tokens are removed.
Invariants: splitting what `join_reasoning` wrote gives its two parts back; an answer that was split once is not split again.
"""

import re
from bisect import bisect_left

_NAMES = r"think|thinking|thought|thoughts|reasoning|[a-z]{2,8}[:_]think|think[:_][a-z]{2,8}"
_OTHER_NAMES = r"reflection|reason|analysis|scratchpad|inner_?monologue|inner_?thoughts"
"""Names that people use for parts of an answer too: around a thought only where an answer follows."""
_TOKENS = {
    "[THINK]": "[/THINK]", "◁think▷": "◁/think▷", "<|begin_of_thought|>": "<|end_of_thought|>", "<|think|>": "<|/think|>",
    "<|START_THINKING|>": "<|END_THINKING|>", "<|channel>thought": "<channel|>", "<|inner_prefix|>": "<|inner_suffix|>",
    "[unused16]": "[unused17]", "<unused94>thought": "<unused95>",
}  # fmt: skip
"""Special tokens around a thought: Magistral, Kimi, Sky-T1 and OpenThinker, Command, Gemma, Apertus, Pangu, MedGemma."""
_OPEN = re.compile(
    rf"<(?P<tag>{_NAMES})(?:\s[^<>\n]{{0,80}})?>|<(?P<other>{_OTHER_NAMES})>|(?P<token>{'|'.join(map(re.escape, _TOKENS))})",
    re.IGNORECASE,
)
_CLOSE = re.compile(rf"</(?:{_NAMES})>|{'|'.join(map(re.escape, _TOKENS.values()))}", re.IGNORECASE)
_CLOSES = {opening.casefold(): closing for opening, closing in _TOKENS.items()}
_SOLUTION = re.compile(
    r"^\s*<\|begin_of_solution\|>(?P<solution>.*?)(?:<\|end_of_solution\|>\s*)?$"
    r"|^\s*<\|START_(?:RESPONSE|TEXT)\|>(?P<response>.*?)(?:<\|END_(?:RESPONSE|TEXT)\|>\s*)?$"
    r"|^\s*<\|begin_of_box\|>(?P<box>.*?)(?:<\|end_of_box\|>\s*)?$"
    r"|^\s*<(?P<tag>response|answer)>(?P<tagged>.*?)(?:</(?P=tag)>\s*)?$",
    re.DOTALL,
)
"""What some families put round the answer behind a thought."""
_QUOTES = "`\"'“”"
_SPACES, _WHITE = re.compile(" +"), re.compile(r"\s*")
MAX_LAYERS = 50
"""Of thoughts and answer tags around each other; a text with more is made to cost time."""
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
_FINAL_RESPONSE = re.compile(r"\A(.*)^[ \t]*\[BEGIN FINAL RESPONSE\](.*)\Z", re.DOTALL | re.MULTILINE)
_FINAL_RESPONSE_END = "[END FINAL RESPONSE]"
"""Apriel writes its answer between these marks."""
_PLAIN_CHANNELS = re.compile(r"^\s*analysis(?:\b|(?=[A-Z]))(.*?)assistant\n?final(.*)$", re.DOTALL)
_PLAIN_FINAL = re.compile(r"^\s*assistantfinal(.*)$", re.DOTALL)


def split_reasoning(text: str) -> tuple[str, str]:
    """(answer, thought) of a model's text; the thought is "" where there is none.

    A thought that is opened and never closed leaves no answer.
    """
    if "<" not in text and "[" not in text and "◁" not in text and not _PLAIN_START.match(text):
        return text, ""  # as most texts: twelve times cheaper
    thoughts: list[str] = []
    for _ in range(MAX_LAYERS):
        answer, thought = _split_once(text)
        thoughts.append(_without_closes(thought))
        if any(thoughts) and (solution := _SOLUTION.match(answer)):
            answer = (
                solution["solution"] or solution["response"] or solution["box"] or solution["tagged"] or ""
            ).strip()
        if answer == text:
            break
        text = answer
    return text, _joined(thoughts)


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
    if found := _FINAL_RESPONSE.match(text):
        return found[2].strip().removesuffix(_FINAL_RESPONSE_END).strip(), found[1].strip()
    if found := _PLAIN_CHANNELS.match(text):
        thought = re.sub(r"assistant\n?(?:commentary|analysis)", "\n\n", found[1])
        return found[2].strip(), thought.strip()
    if found := _PLAIN_FINAL.match(text):
        return found[1].strip(), ""
    return None


def _split_tags(text: str) -> tuple[str, str]:
    """One pass from the front, so that its time is linear however many tags there are."""
    at, preface, thoughts = 0, "", []
    low, marks = text.lower(), _Marks(text)
    while True:
        while not preface and (opened := _OPEN.match(text, _skipped(text, at))):
            name = opened["tag"] or opened["other"]
            close = (f"</{name}>" if name else _CLOSES[opened[0].casefold()]).lower()
            end = low.find(close, opened.end())
            if opened["other"] and (end < 0 or not text[end + len(close) :].strip()):
                break  # around a whole answer
            thoughts.append(text[opened.end() : end if end >= 0 else len(text)].strip())
            if end < 0:
                return "", _joined(thoughts)
            at = end + len(close)
        closing = next((m for m in _CLOSE.finditer(text, at) if not marks.are_around(m, at)), None)
        if closing is None:
            break
        loose = (m for m in _OWN_LINE_OPEN.finditer(text, at, closing.start()) if not marks.is_quoted(m, at))
        if opened := next(loose, None):  # a preface, then the block
            preface = (preface + text[at : opened.start()]).rstrip() + "\n\n"
            thoughts.append(text[opened.end() : closing.start()].strip())
        else:
            thoughts.append((preface + text[at : closing.start()]).strip())
            preface = ""
        at = closing.end()
    if not thoughts:
        return _without_unfinished(text, marks)
    return (preface + text[at:].lstrip()).strip(), _joined(thoughts)


def _without_unfinished(text: str, marks: "_Marks") -> tuple[str, str]:
    """(answer, thought) of a text without a closing tag: a thought behind a preface may have run out of tokens."""
    loose = (m for m in _OWN_LINE_OPEN.finditer(text) if not marks.is_quoted(m, 0))
    opened = next((m for m in loose if not m["other"]), None)
    if opened is None:
        return text, ""
    return text[: opened.start()].strip(), text[opened.end() :].strip()


def is_unfinished(text: str) -> bool:
    """Whether the last thought of a text never ends: what stands before it was not final. A tag that is quoted, stands in a fence or
    in the middle of a sentence begins no thought."""
    marks = None
    for opened in reversed([m for m in _OPEN.finditer(text) if not m["other"]]):
        marks = marks or _Marks(text)
        if not marks.are_around(opened, 0):
            close = f"</{opened['tag']}>" if opened["tag"] else _CLOSES[opened[0].casefold()]
            return close.lower() not in text[opened.end() :].lower()
    return False


class _Marks:
    """Where tags of a text close nothing: in a quotation, in a fence, in the middle of a sentence."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fences = [m.start() for m in re.finditer("```", text)]

    def are_around(self, tag: re.Match[str], at: int) -> bool:
        return self.is_quoted(tag, at) or self._is_in_a_sentence(tag, at)

    def is_quoted(self, tag: re.Match[str], at: int) -> bool:
        """Whether the tag stands beside a quotation mark, or in a fence that opens behind `at`."""
        before, after = self._text[max(at, tag.start() - 1) : tag.start()], self._text[tag.end() : tag.end() + 1]
        fences = bisect_left(self._fences, tag.start()) - bisect_left(self._fences, at)
        return fences % 2 == 1 or (before != "" and before in _QUOTES) or (after != "" and after in _QUOTES)

    def _is_in_a_sentence(self, tag: re.Match[str], at: int) -> bool:
        """Words before and behind it on its line, and no end of a sentence between them."""
        start, end = tag.start(), tag.end()
        while start > at and self._text[start - 1] == " ":
            start -= 1
        behind = _SPACES.match(self._text, end)
        before, after = (
            self._text[max(at, start - 1) : start],
            self._text[behind.end() : behind.end() + 1] if behind else "",
        )
        return behind is not None and after not in ("", "\n") and before not in ("", *".!?:;)…\n")


def _skipped(text: str, at: int) -> int:
    """The place of the first character from `at` on that is no white space."""
    found = _WHITE.match(text, at)
    return found.end() if found else at


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(t for t in thoughts if t)
