"""The final answer in a response: the last box, `#### x`, `the answer is ...`, the last formula, the last number.

    find("We get $x=3$, hence \\\\boxed{(2,7)}.") -> Found("(2,7)", "boxed")
    find("3/4")                                  -> Found("3/4", "bare")

It does not depend on the reference. It takes time linear in the response.
"""

import re
from collections import deque
from dataclasses import dataclass

from evoltune.record import Task
from evoltune.text.responses import final_text
from evoltune_math.answers.kinds import Text
from evoltune_math.answers.reading.cleanup import closing_brace, repair_escapes, to_ascii, unwrapped
from evoltune_math.answers.reading.reader import read
from evoltune_math.answers.reading.special_forms import is_special_text
from evoltune_math.answers.units import SHORT_UNITS
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK

MAX_TAIL = 40_000  # characters at the end of a response that are searched; answers stand at the end
MAX_CONCLUSION = 1_000
MAX_BARE_WORDS = 6
MAX_SENTENCE = 300  # an answer in words may be a sentence or two
MAX_GAP = 90  # characters between two boxes that belong together


@dataclass(frozen=True)
class Found:
    text: str  # the answer as written
    method: str  # bare, boxed, tagged, hashes, phrase, formula or number


_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s*(\{)?")
_BOXED_WORD = re.compile(r"[-+]?[\w.,/]*[^\W_][\w.,/]*")
_JOIN = re.compile(r"(?<![A-Za-z])(?:and|or)(?![A-Za-z])|[,;]|\\q?quad|&|\\\\")
_PERCENT_AFTER = re.compile(r"[\s$\\)}]*(?:\\?%|percent)")
_LETTER_A = re.compile(r"(?:^|\n)A: *([^\n]+?)\s*$")
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
_PHRASE = re.compile(
    r"(?:final |correct |right )?(?:answer|result|answers)\*{0,2}\s{0,3}(?:is|are|=|:|：|to the (?:question|problem) is)?\s{0,3}[:：=]?\*{0,2}\s{0,9}(?=\S)"
    r"|(?:答案|最终答案|答え|答|정답|답)(?:是|为|は|は、|：|:|은|는)?\s*[:：]?\s{0,3}(?=\S)"
    r"|(?:la\s+)?(?:réponse(?:\s+finale)?|respuesta(?:\s+final)?|risposta|resposta|antwort|ответ|उत्तर|الجواب|الإجابة)\s{0,3}(?:est|es|è|é|ist|lautet|है|هو|هي)?\s*[:：]?\s{0,3}(?=\S)",
    re.I,
)
"""`the answer is`, in the languages that models answer in."""
_STATES = re.compile(r"is|are|=|:|：|是|为|は|est|ist|\bes\b|lautet|है|هو|هي|ответ", re.I)
"""What makes a phrase a statement of the answer, also if no formula or number follows at once."""
_NUMBER = re.compile(
    r"(?<![\w.,/])-?\d{1,9}\s\d{1,9}/\d{1,9}(?![\w/])|"
    r"(?<![\w.,])-?(?:\\?\$\s?)?(?:\d{1,3}(?:,\d{3})+|\d+)(?:[.,]\d+)?(?:/\d+|\s?\\?%|\s?[$€£])?(?![.,]?\d|[A-Za-z]{4})|(?<![\w.])-?\.\d+"
)
_CLOSING = re.compile(r"(?:i hope it is correct|hope this helps).*$", re.I | re.S)
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|answer|total|in total|there are)\b[^\n]*$", re.I)
_TRUTH_VALUE = re.compile(
    r"(yes|no|true|false)\s*[,.;:—-]\s*(?:because|since|as|it|the|this|there|they|we|for|so)\b", re.I
)
_JAPANESE_END = re.compile(r"(?:です|である|だ|입니다|이다)[。.]?$")
_BETWEEN_FORMULAS = re.compile(r"\s*(?:,|and|or|,\s*and|,\s*or|;)\s*")
_OPTION = re.compile(r"(?:choice|option|answer)\b[^.\n]{0,40}\bis\s{1,3}\*{0,2}\(?([A-J])\)?\*{0,2}(?![\w)])", re.I)
_VERB = re.compile(r"\b(?:is|are|equals|be|was|will be|becomes)\b\s*:?")
_VERB_OR_EQUALS = re.compile(r"\b(?:is|are|equals|be)\b|=")
_FIRST_END = re.compile(r"[!?](?=\s+[A-Z]|\s*$)|\.(?=\s+[A-Z(*]|\s*\n|\s*$)|\n|。")
_FORMULA = re.compile(r"\$\$(.{1,1500}?)\$\$|\$([^$]{1,1500})\$|\\\((.{1,1500}?)\\\)|\\\[(.{1,1500}?)\\\]", re.S)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|\n\s*\n|。")
_WORD = re.compile(r"(?<![\\A-Za-z])[^\W\d_]{2,}(?:['’][a-z]+)?")
_TEXT_COMMAND = re.compile(r"\\(?:text|mathrm|textbf|operatorname|mbox|begin|end|textrm)\*?\s*\{[^{}]*\}")
_ALL_REALS = re.compile(r"(?:x\s+is\s+)?(?:the\s+set\s+of\s+)?all\s+real", re.I)
_SIGNS = re.compile(r"[=<>+*/^]")
_MATHEMATICAL_WORDS = frozenset(
    [*FUNCTIONS, *CONSTANTS, *GREEK, *SHORT_UNITS, "and", "or", "mod", "cm", "percent", "in"]
)
_SHORT_PROSE = frozenset(["is", "it", "we", "so", "no", "to", "of"])


def extract(task: Task, response: str) -> str | None:
    """`Domain.extract`: the candidate answer; None is counted apart from a wrong one."""
    found = find(response)
    return found.text if found is not None else None


def find(response: str) -> Found | None:
    """The final answer of a response, or None. A bare answer is returned whole."""
    response = final_text(response)
    is_bare = "boxed" not in response and "####" not in response and " " not in response[:2000].strip()
    text = repair_escapes(response if is_bare else response[-MAX_TAIL:])
    if not text.strip():
        return None
    if len(text) > MAX_TAIL:
        return Found(text.strip(), "bare")
    boxed = _boxed(text)
    if boxed is not None:
        after = text[text.rfind("boxed") :]
        return (_phrase(after, final=True) if "inal answer is" in after else None) or boxed
    return _tagged(text) or _last(_HASHES, text, "hashes", 1) or _stated(text)


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None


# ---- marked answers --------------------------------------------------------------------------------------------------


def _boxed(text: str) -> Found | None:
    """The last box, with those before it that belong to it: `$\\boxed{2}$ and $\\boxed{3}$` are one answer."""
    boxes = _boxes(text)
    if not boxes:
        return None
    first = len(boxes) - 1
    while first:
        gap = text[boxes[first - 1][1] : boxes[first][0]]
        if len(gap) > MAX_GAP or _SENTENCE_END.search(gap) or not _JOIN.search(gap):
            break
        first -= 1
    parts = [content.strip() for _, _, content in boxes[first:]]
    if len(set(parts)) == 1:
        parts = parts[:1]
    answer, end = ", ".join(parts).strip(), boxes[-1][1]
    if not answer:
        return None
    if len(parts) == 1 and "%" not in answer and _PERCENT_AFTER.match(text[end : end + 16]):
        answer += "\\%"
    return Found(answer, "boxed")


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """(start, end, content) of each box; a box in a box is part of its content."""
    boxes: list[tuple[int, int, str]] = []
    for found in _BOX.finditer(text):
        if boxes and found.start() < boxes[-1][1]:
            continue
        if not found[1]:
            word = _BOXED_WORD.match(text, found.end())
            if word:
                boxes.append((found.start(), word.end(), word[0]))
            continue
        end = closing_brace(text, found.end() - 1)
        if end >= 0:
            boxes.append((found.start(), end + 1, text[found.end() : end]))
            continue
        rest = text[found.end() :].split("\n")[0].strip().rstrip("$").strip()
        if not boxes and rest:  # the response was cut off
            boxes.append((found.start(), len(text), rest))
        break
    return boxes


def _tagged(text: str) -> Found | None:
    low = text.lower()
    end = low.rfind("</answer>")
    start = low.rfind("<answer>", 0, end) if end >= 0 else -1
    inside = text[start + len("<answer>") : end].strip() if start >= 0 else ""
    return Found(inside, "tagged") if inside else None


def _last(pattern: re.Pattern[str], text: str, method: str, group: int = 0) -> Found | None:
    """The last match of a pattern, unless it is empty."""
    last = last_match(pattern, text)
    answer = last[group].strip() if last else ""
    return Found(answer, method) if answer else None


# ---- answers in prose ------------------------------------------------------------------------------------------------


def _stated(text: str) -> Found | None:
    text = _CLOSING.sub("", text).strip()
    if not text:
        return None
    marked = _LETTER_A.search(text)
    if marked:
        return Found(marked[1], "phrase")
    truth = _TRUTH_VALUE.match(text)
    if truth and len(text) <= MAX_SENTENCE and "nswer" not in text:
        return Found(truth[1], "phrase")
    phrase = _phrase(text)
    if phrase is not None:
        return phrase
    if _is_bare_answer(text):
        return (_in_sentence(text) if _is_sentence(text) else None) or Found(text, "bare")
    formulas = [f for f in _FORMULA.finditer(text) if _is_formula(f)]
    if formulas:
        concluded = _CONCLUSION.search(text[max(formulas[-1].end(), len(text) - MAX_CONCLUSION) :])
        if concluded is None or not _NUMBER.search(concluded[0]):
            return Found(_last_formulas(formulas, text), "formula")
    found = _in_sentence(text)
    is_short = len(text) <= MAX_SENTENCE and "\n" not in text
    return found or (Found(text, "bare") if is_short else None)


def _in_sentence(text: str) -> Found | None:
    option = _last(_OPTION, text, "phrase", 1)
    return _first_sentence(text) or option or _conclusion(text) or _last(_NUMBER, text, "number")


def _last_formulas(formulas: list[re.Match[str]], text: str) -> str:
    """The last formula, with those before it that only `and`, `or` or a comma separates from it."""
    first = len(formulas) - 1
    while first and _BETWEEN_FORMULAS.fullmatch(text[formulas[first - 1].end() : formulas[first].start()]):
        first -= 1
    if first < len(formulas) - 1:
        return text[formulas[first].start() : formulas[-1].end()]
    return _formula_content(formulas[-1])


def _phrase(text: str, final: bool = False) -> Found | None:
    """What follows the last `the answer is`, `Answer:`, `答案是` ...; `final`: only `final answer is` counts."""
    last = None
    for found in _PHRASE.finditer(text):
        if final and "inal answer is" not in found[0]:
            continue
        tail = text[found.end() :].lstrip()
        starts_text = found.start() == 0 and re.match(r"[-+\d($\\]", tail)
        if _STATES.search(found[0]) or tail[:1] in "$\\" or starts_text:
            last = found
    if last is None:
        return None
    sentence = _first_part(text[last.end() :].strip().lstrip("*").strip())
    if not sentence:
        return None
    if _is_bare_answer(sentence):
        return Found(sentence, "phrase")
    formulas = list(_FORMULA.finditer(sentence))
    if formulas and not _WORD.search(sentence[: formulas[0].start()]):
        return Found(_first_formulas(formulas, sentence), "phrase")
    verb = last_match(_VERB, sentence)
    behind = sentence[verb.end() :].strip() if verb is not None else ""
    if behind:
        return Found(behind, "phrase") if _is_bare_answer(behind) else _stated(behind)
    if formulas:
        return Found(_formula_content(formulas[-1]), "phrase")
    return _last(_NUMBER, sentence, "number") or Found(sentence, "phrase")


def _first_part(tail: str) -> str:
    """The first sentence; full stops inside of formulas do not end it."""
    formulas = [m.span() for m in _FORMULA.finditer(tail)]
    for found in _FIRST_END.finditer(tail):
        if not any(a < found.start() < b for a, b in formulas):
            tail = tail[: found.start()].strip() or tail
            break
    return _JAPANESE_END.sub("", tail.strip("*").strip())


def _first_formulas(formulas: list[re.Match[str]], sentence: str) -> str:
    """The first formula, with those after it that no word but `and` and `or` separates from it."""
    end = formulas[0].end()
    for formula in formulas[1:]:
        if _WORD.search(sentence[end : formula.start()].replace("and", "").replace("or", "")):
            break
        end = formula.end()
    return sentence[formulas[0].start() : end]


def _first_sentence(text: str) -> Found | None:
    """`x = 2 or x = 3. Both satisfy the equation.`: an answer, then a remark without a number."""
    head, _, rest = text.partition(". ")
    if not rest or re.search(r"[\d$\\]", rest) or len(head) > MAX_SENTENCE or _non_math_words(head):
        return None
    return Found(head, "bare") if _is_bare_answer(head) and not _is_words_only(head) else None


def _conclusion(text: str) -> Found | None:
    """The end of the last sentence, after `is` or `=`."""
    last = text.rstrip(" .\n").rpartition("\n")[2]
    sentence = re.split(r"\.\s", last)[-1]
    verb = last_match(_VERB_OR_EQUALS, sentence)
    if verb is None:
        return None
    behind = sentence[verb.end() :].strip()
    return Found(behind, "phrase") if behind and _is_bare_answer(behind) and re.search(r"\d", behind) else None


# ---- prose or mathematics ----------------------------------------------------------------------------------------------


def _non_math_words(text: str) -> list[str]:
    """The words outside of commands that are neither mathematics nor units."""
    return [
        word
        for word in _WORD.findall(_TEXT_COMMAND.sub(" ", to_ascii(text)))
        if word not in _MATHEMATICAL_WORDS and not word.isupper() and (len(word) > 2 or word.lower() in _SHORT_PROSE)
    ]


def _is_bare_answer(text: str) -> bool:
    """Whether the text is an answer and nothing more: it has few words that are not mathematics."""
    if len(text) > 2000 and " " not in text.strip():
        return True
    if len(text) < 120 and _ALL_REALS.match(text):
        return True
    words = _non_math_words(text)
    if not words:
        return True
    if _SENTENCE_END.search(text.strip()[:-1]):
        return False
    if len(words) > 1 and _FORMULA.search(text) and unwrapped(text) == text.strip().rstrip("."):
        return False
    return len(words) <= MAX_BARE_WORDS


def _is_sentence(text: str) -> bool:
    """Whether a text that could be a bare answer is a sentence of words, such as `He buys 3 apples a day`."""
    if len(_non_math_words(text)) > 3 and not re.match("all real", text, re.I):
        return True
    return _is_words_only(text) and len(_WORD.findall(to_ascii(text))) > 1


def _is_words_only(text: str) -> bool:
    """Whether the text is read as words, and not as a time, a date or another convention."""
    answer = read(text)
    return isinstance(answer, Text) and not is_special_text(answer)


def _is_formula(found: re.Match[str]) -> bool:
    """Whether a match of _FORMULA is one, and not the text between the dollar signs of two amounts of money."""
    inside = found[2]
    if inside is None:
        return True
    if not any(c.isalnum() for c in inside):  # the sign of `width $=$ height`, the backslash of `$\\$5$`
        return False
    words = _non_math_words(inside)
    if "\\" in inside:
        return len(words) < 4
    return not words or (len(words) < 2 and bool(_SIGNS.search(inside)) and "\n" not in inside.strip())


def _formula_content(found: re.Match[str]) -> str:
    return next(g for g in found.groups() if g is not None).strip()
