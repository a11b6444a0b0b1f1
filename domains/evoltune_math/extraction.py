"""The final answer in a response: the last box, `#### x`, `the answer is ...`, the last formula, the last number.

    find("We get $x=3$, hence \\\\boxed{(2,7)}.") -> Found("(2,7)", "boxed")
    find("3/4")                                  -> Found("3/4", "bare")

Separate from equality: `method` says how the answer was found, None means that there is none. One pass, linear.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from evoltune.record import Task
from evoltune_math.answers.kinds import Text
from evoltune_math.answers.reading.cleanup import closing_brace as balanced
from evoltune_math.answers.reading.cleanup import repair_escapes as mended
from evoltune_math.answers.reading.cleanup import unwrapped as unwrap
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.reading.special_forms import is_special_text
from evoltune_math.answers.syntax.charset import to_ascii
from evoltune_math.answers.units import SHORT_UNITS
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK

MAX_TAIL = 40_000
"""The end of a response that is searched; answers stand at the end."""


MAX_SENTENCE = 300
"""An answer in words may be a sentence or two."""


@dataclass(frozen=True)
class Found:
    """`text`: the answer as written; `method`: bare, boxed, hashes, phrase, formula or number."""

    text: str
    method: str


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(\{)?")
_JOIN = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[,;]|\\q?quad|&|\\\\")
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
_LETTER_A = re.compile(r"(?:^|\n)A: *([^\n]+?)\s*$")
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_ANSWER = re.compile(
    r"(?:final |correct |right )?(?:answer|result|answers)\*{0,2}\s{0,3}(?:is|are|=|:|：|to the (?:question|problem) is)?\s{0,3}[:：=]?\*{0,2}\s{0,9}(?=\S)"
    r"|(?:答案|最终答案|答え|答|정답|답)(?:是|为|は|は、|：|:|은|는)?\s*[:：]?\s{0,3}(?=\S)"
    r"|(?:la\s+)?(?:réponse(?:\s+finale)?|respuesta(?:\s+final)?|risposta|resposta|antwort|ответ|उत्तर|الجواب|الإجابة)\s{0,3}(?:est|es|è|é|ist|lautet|है|هو|هي)?\s*[:：]?\s{0,3}(?=\S)",
    re.I,
)
_STRONG = re.compile(r"is|are|=|:|：|是|为|は|est|ist|\bes\b|lautet|है|هو|هي|ответ", re.I)
_FORMULA = re.compile(
    r"\$\$(.{1,1500}?)\$\$|\$([^$]{1,1500})\$|\\\((.{1,1500}?)\\\)|\\\[(.{1,1500}?)\\\]", re.S
)
_NUMBER = re.compile(
    r"(?<![\w.,/])-?\d{1,9}\s\d{1,9}/\d{1,9}(?![\w/])|"
    r"(?<![\w.,])-?(?:\\?\$\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d+)?(?:/\d+|\s?\\?%|\s?[$€£])?(?![.,]?\d|[A-Za-z]{4})|(?<![\w.])-?\.\d+"
)
_THINK_END = re.compile(r"</(?:think|thinking|thought|reasoning|scratchpad)>", re.I)
_WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}(?:['’][a-z]+)?")
_CLOSING = re.compile(r"(?:i hope it is correct|hope this helps).*$", re.I | re.S)
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|answer|total|in total|there are)\b[^\n]*$", re.I)
_VERBS = frozenset(["is", "it", "we", "so", "no", "to", "of"])
_VERDICT = re.compile(
    r"(yes|no|true|false)\s*[,.;:—-]\s*(?:because|since|as|it|the|this|there|they|we|for|so)\b", re.I
)
_JAPANESE_END = re.compile(r"(?:です|である|だ|입니다|이다)[。.]?$")
_BETWEEN = re.compile(r"\s*(?:,|and|or|,\s*and|,\s*or|;)\s*")
_SIGNS = re.compile(r"[=<>+*/^]")
_OPTION = re.compile(
    r"(?:choice|option|answer)\b[^.\n]{0,40}\bis\s{1,3}\*{0,2}\(?([A-J])\)?\*{0,2}(?![\w)])", re.I
)
_IS = re.compile(r"\b(?:is|are|equals|be|was|will be|becomes)\b\s*:?")


def find(response: str) -> Found | None:
    """The final answer of a response, or None. A bare answer is returned whole."""
    text = mended(response[-MAX_TAIL:] if len(response) > MAX_TAIL and _has_marker(response) else response)
    thought = last_match(_THINK_END, text)
    if thought is not None and text[thought.end() :].strip():
        text = text[thought.end() :]
    if not text.strip():
        return None
    if len(text) > MAX_TAIL:
        return Found(text.strip(), "bare")
    boxed = _boxed(text)
    if boxed is not None:
        last = text.rfind("boxed")
        return (_phrase(text[last:], final=True) if "inal answer is" in text[last:] else None) or boxed
    return _tagged(text) or _hashes(text) or _stated(text)


def _has_marker(response: str) -> bool:
    return "boxed" in response or "####" in response or " " in response[:2000].strip()


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last match of `pattern`."""
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


def _boxed(text: str) -> Found | None:
    boxes: list[tuple[int, int, str]] = []
    for found in _BOX.finditer(text):
        if boxes and found.start() < boxes[-1][1]:
            continue  # a box in a box
        if found[1]:
            end = balanced(text, found.end() - 1)
            if end < 0:
                rest = text[found.end() :].split("\n")[0].strip().rstrip("$").strip()
                if not boxes and rest:
                    boxes.append((found.start(), len(text), rest))
                break
            boxes.append((found.start(), end + 1, text[found.end() : end]))
        else:
            bare = re.match(r"[-+]?[\w.,/]+", text[found.end() :])
            if bare:
                boxes.append((found.start(), found.end() + bare.end(), bare[0]))
    if not boxes:
        return None
    group = [boxes[-1]]
    for box in reversed(boxes[:-1]):
        gap = text[box[1] : group[0][0]]
        if len(gap) > 90 or _SENTENCE_END.search(gap) or not _JOIN.search(gap):
            break
        group.insert(0, box)
    parts = [b[2].strip() for b in group]
    if len(parts) > 1 and len(set(parts)) == 1:
        parts = parts[:1]
    after = text[group[-1][1] : group[-1][1] + 16]
    percent = (
        "\\%"
        if len(parts) == 1 and re.match(r"[\s$\\)}]*(?:\\?%|percent)", after) and "%" not in parts[0]
        else ""
    )
    answer = ", ".join(parts).strip()
    return Found(answer + percent, "boxed") if answer else None


def _tagged(text: str) -> Found | None:
    end = text.lower().rfind("</answer>")
    start = text.lower().rfind("<answer>", 0, end) if end >= 0 else -1
    inside = text[start + 8 : end].strip() if start >= 0 else ""
    return Found(inside, "tagged") if inside else None


def _hashes(text: str) -> Found | None:
    found = _HASHES.findall(text)
    return Found(found[-1].strip(), "hashes") if found and found[-1].strip() else None


def _stated(text: str) -> Found | None:
    text = _CLOSING.sub("", text).strip()
    if not text:
        return None
    marked = _LETTER_A.search(text)
    if marked:
        return Found(marked[1], "phrase")
    verdict = _VERDICT.match(text)
    if verdict and len(text) <= MAX_SENTENCE and "nswer" not in text:
        return Found(verdict[1], "phrase")
    phrase = _phrase(text)
    if phrase is not None:
        return phrase
    if _bare(text):
        if (len(_prose(text)) > 3 and not re.match("all real", text, re.I)) or (
            _only_words(text) and len(_WORD.findall(to_ascii(text))) > 1
        ):
            first = _first_sentence(text)
            number = first or _option(text) or _conclusion(text) or _number(text)
            if number is not None:
                return number
        return Found(text, "bare")
    formulas = [f for f in _FORMULA.finditer(text) if _is_formula(f)]
    if formulas:
        concluded = _CONCLUSION.search(text[max(formulas[-1].end(), len(text) - 1000) :])
        if concluded is None or _number(concluded[0]) is None:
            return Found(_joined(formulas, text), "formula")
    found = _first_sentence(text) or _option(text) or _conclusion(text) or _number(text)
    short = len(text) <= MAX_SENTENCE and "\n" not in text
    return found or (Found(text, "bare") if short else None)


def _joined(formulas: list[re.Match[str]], text: str) -> str:
    """The last formula, with those before it that only `and`, `or` or a comma parts from it."""
    first = len(formulas) - 1
    while first and _BETWEEN.fullmatch(text[formulas[first - 1].end() : formulas[first].start()]):
        first -= 1
    if first < len(formulas) - 1:
        return text[formulas[first].start() : formulas[-1].end()]
    return next(g for g in formulas[-1].groups() if g is not None).strip()


def _is_formula(found: re.Match[str]) -> bool:
    """Not the text between two dollar signs of two amounts of money."""
    inside = found[2]
    if inside is None:
        return True
    prose = _prose(inside)
    if "\\" in inside:
        return len(prose) < 4
    return not prose or (len(prose) < 2 and bool(_SIGNS.search(inside)) and "\n" not in inside.strip())


def _phrase(text: str, final: bool = False) -> Found | None:
    """What stands behind the last `the answer is`, `Answer:`, `答案是` ...; `final`: only behind `final answer is`."""
    last = None
    for found in _ANSWER.finditer(text):
        tail = text[found.end() :].lstrip()
        if final and "inal answer is" not in found[0]:
            continue
        if (
            _STRONG.search(found[0])
            or tail[:1] in "$\\"
            or (found.start() == 0 and re.match(r"[-+\d($\\]", tail))
        ):
            last = found
    if last is None:
        return None
    tail = text[last.end() :].strip().lstrip("*").strip()
    ended = _first_end(tail)
    sentence = tail[:ended].strip() if ended else tail
    sentence = _JAPANESE_END.sub("", sentence.strip("*").strip())
    if not sentence:
        return None
    if _bare(sentence):
        return Found(sentence, "phrase")
    formulas = list(_FORMULA.finditer(sentence))
    if formulas and not _WORD.search(sentence[: formulas[0].start()]):
        stop = formulas[0].end()
        for formula in formulas[1:]:
            if _WORD.search(sentence[stop : formula.start()].replace("and", "").replace("or", "")):
                break
            stop = formula.end()
        return Found(sentence[formulas[0].start() : stop], "phrase")
    verb = last_match(_IS, sentence)
    if verb is not None and sentence[verb.end() :].strip():
        behind = sentence[verb.end() :].strip()
        return Found(behind, "phrase") if _bare(behind) else (_stated(behind) if verb.end() else None)
    if formulas:
        inside = next(g for g in formulas[-1].groups() if g is not None)
        return Found(inside.strip(), "phrase")
    return _number(sentence) or Found(sentence, "phrase")


def _first_end(tail: str) -> int:
    """Where the first sentence ends, outside of formulas; 0 when it never does."""
    spans = [m.span() for m in _FORMULA.finditer(tail)]
    for found in re.finditer(r"[!?](?=\s+[A-Z]|\s*$)|\.(?=\s+[A-Z(*]|\s*\n|\s*$)|\n|。", tail):
        if not any(a < found.start() < b for a, b in spans):
            return found.start()
    return 0


def _bare(text: str) -> bool:
    """Whether the text is an answer and nothing more: few words that are no mathematics."""
    if len(text) > 2000 and " " not in text.strip():
        return True
    if re.match(r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?all\s+real", text, re.I) and len(text) < 120:
        return True
    words = _prose(text)
    if not words:
        return True
    if _SENTENCE_END.search(text.strip()[:-1]) or (
        _FORMULA.search(text) and len(words) > 1 and unwrap(text) == text.strip().rstrip(".")
    ):
        return False
    return len(words) <= 6


def _prose(text: str) -> list[str]:
    """The words outside of commands that are neither mathematics nor units."""
    plain = re.sub(
        r"\\(?:text|mathrm|textbf|operatorname|mbox|begin|end|textrm)\*?\s*\{[^{}]*\}", " ", to_ascii(text)
    )
    return [w for w in _WORD.findall(plain) if not _mathematical(w)]


def _only_words(text: str) -> bool:
    answer = read(text)
    return isinstance(answer, Text) and not is_special_text(answer)


def _mathematical(word: str) -> bool:
    return (
        word in FUNCTIONS
        or word in CONSTANTS
        or word in GREEK
        or word in SHORT_UNITS
        or word in ("and", "or", "mod", "cm", "percent", "in")
        or word.isupper()
        or (len(word) < 3 and word.lower() not in _VERBS)
    )


def _first_sentence(text: str) -> Found | None:
    """`x = 2 or x = 3. Both satisfy the equation.`: an answer, then a remark without a number."""
    head, _, rest = text.partition(". ")
    if not rest or re.search(r"[\d$\\]", rest) or len(head) > MAX_SENTENCE or _prose(head) or not _bare(head):
        return None
    return None if _only_words(head) else Found(head, "bare")


def _option(text: str) -> Found | None:
    found = last_match(_OPTION, text)
    return Found(found[1], "phrase") if found else None


def _conclusion(text: str) -> Found | None:
    """The end of the last sentence, behind `is` or `=`."""
    last = text.rstrip(" .\n").rpartition("\n")[2]
    sentence = re.split(r"\.\s", last)[-1]
    verb = last_match(re.compile(r"\b(?:is|are|equals|be)\b|="), sentence)
    if verb is None:
        return None
    behind = sentence[verb.end() :].strip()
    return Found(behind, "phrase") if behind and _bare(behind) and re.search(r"\d", behind) else None


def _number(text: str) -> Found | None:
    last = last_match(_NUMBER, text)
    return Found(last[0].strip(), "number") if last else None


def extract(task: Task, response: str) -> str | None:
    """`Domain.extract`: the candidate answer; None is counted apart from a wrong one."""
    found = find(response)
    return found.text if found is not None else None
