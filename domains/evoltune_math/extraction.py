"""The final answer in a response: the last box, `#### x`, `the answer is ...`, the last formula, the last number.

    find("We get $x=3$, hence \\\\boxed{(2,7)}.") -> Found("(2,7)", "boxed")
    find("3/4")                                  -> Found("3/4", "bare")

It does not depend on the reference. It takes time linear in the response.
"""

import re
from collections import deque

from evoltune.text.responses import final_text
from evoltune_math.answers.kinds import NO_VALUE, SEVERAL_VALUES, Named, Value, letters
from evoltune_math.answers.reading.cleanup import repair_escapes, shorten_blanks, without_emphasis
from evoltune_math.answers.reading.languages import in_english, numbers_apart, without_verb_prefix
from evoltune_math.answers.reading.reader import read
from evoltune_math.boxes import Found, boxed, last_box, structured, tagged
from evoltune_math.claims import NOTHING, claim, stated
from evoltune_math.conclusions import (
    LAST_SENTENCE,
    MAX_SENTENCE,
    NAMED_VALUES,
    all_denied,
    chosen_option,
    conclusion,
    in_sentence,
    last_number,
    odds,
    option_with_text,
    value_after_denial,
)
from evoltune_math.formula_choice import about_letter, first_formulas, last_formulas
from evoltune_math.labels import is_cut
from evoltune_math.prose import (
    ALL_REALS,
    FORMULA,
    NUMBER,
    WORD,
    expression_around,
    formula_content,
    is_bare_answer,
    is_formula,
    is_sentence,
    is_words_only,
    last_match,
    non_math_words,
    refuses,
    states_cases,
)
from evoltune_math.remarks import check, supposition, without_remarks
from evoltune_math.single_value import SEVERAL, STATES_NONE, last_place, only, sentence_of

MAX_TAIL = 40_000  # characters at the end of a response that are searched; answers stand at the end
MAX_CONCLUSION = 1_000

_DECIMAL_COMMA = re.compile(r"-?\d+,\d{1,2}|-?0,\d+")
_USES_COMMA = re.compile(
    r"(?:(?:le|la|el|il|das)\s+)?(?:résultat|resultado|risultato|ergebnis|результат|réponse|respuesta|risposta|resposta|antwort|ответ)"
)
_LETTER_A = re.compile(r"(?:^|\n)A: *([^\n]+?)\s*$")
_LABEL = re.compile(
    r"(?:answer|result|(?:final|requested|required|desired|wanted|sought)(?: [a-z]+){1,3})\W{0,4}(?::|=|\bis\b|\bare\b)",
    re.I,
)
"""What a label after a box looks like; without it nothing there is searched."""
_OPTION_LETTER = re.compile(r"[*$\s]*(?:\\(?:text|mathrm|textbf|mathbf)\{)?\(?[A-J]\)?\}?[*$.\s]*")
ANSWERED = re.compile(r"boxed|####|answer(?:\*\*)?\s{0,3}(?::|is\b)|</answer>", re.I)
_NEXT_QUESTION = re.compile(
    r"\n[^\S\n]*(?:#{1,4}\s*)?\**(?:(?:next|new|another)\s+)?(?:problem|question|exercise|example|q|human|user|instruction|input)\**(?:\s*\d{1,4})?(?:\s*\*+)?\s*[:.\n]"
    r"|\n[^\S\n]*\n(?:find|compute|calculate|determine|evaluate|solve|simplify|what (?:is|are)|how (?:many|much))\b[^\n]*\n\s*\**(?:solution|answer)\b"
    r"|(?<=[.!])[ \t]+(?:(?:next|new|another)\s+)?(?:problem|question)(?:\s\d{1,4})?:\s",
    re.I,
)
_ASIDE = re.compile(r"\s*,?\s*\b(?:(?:and )?not|but|rather than|instead of)\b[^,;$\\]*$", re.I)
"""What the end of a sentence denies or doubts: `7, not 5`, `7 but I am not sure`."""
_DENIAL = re.compile(r",?\s(?:and\s)?(?:not|rather than|instead of|as opposed to)\s", re.I)
_NOT_ANOTHER = re.compile(r"([\d$}](?:\s[A-Za-z]{1,12})?)\s*,?\s+(?:and\s+)?not\s+[^,;]*\d[^,;]*$", re.I)
"""`7, not 5` at the end of an answer."""
_CONTRACTED = re.compile(r"(^\W*|[,;.:]\s)(it|that|there)['’]s\b", re.I)
_LETTERED = re.compile(r"\(?[A-J][.)]\)?\s-?\$?\d[\w.,/ %$°]{0,40}")
"""An option with its text: `B. 12 apples`."""
_LETTERS = re.compile(r"[(（]?([A-J]+)")
_NOTE = re.compile(r"(\$?-?\d[\d.,/]*\$?)\s*\((?![^()]*\b(?:mod|base)\b)[^()$]*[A-Za-z]{2,} [^()$]*\)\.?$")
"""A number and a remark in brackets: `18 (9 per side)`."""
_AMOUNT = r"\.?\d[\d,]*(?:\.\d+)?"
_SIGN = "[-+*/x×÷–=]"
_MONEY = re.compile(
    rf"\$(?:(?<![\\$\w]\$)(?=\.?\d[^$\n\\]{{0,80}}{_SIGN}\s?\$\.?\d)"
    rf"|(?:(?<={_SIGN}\$)|(?<={_SIGN}\s\$))(?={_AMOUNT}(?![\d.,]*\s?\$)(?![^$\n]*\$(?!\d)))"
    rf"|(?<![\\$\w]\$)(?={_AMOUNT}(?:\s+(?!mod\b)[A-Za-z]{{2,}}(?![\w\s]*\$(?!\d))|/[a-z]{{3}}|[.,;:!?)]?(?:\s|$)(?![^$\n]{{0,20}}\$(?!\d)|[^$\n]*\\[A-Za-z]+[^$\n]*\$(?!\d)))))"
)
"""A dollar sign that is money: no formula starts here."""
_SPACED = re.compile(r"(?<=[$€£₹])\s?\d{1,3}(?:[ \u202f\xa0]\d{3})+(?![\d,]|\.\d)")
"""`$400 000`: behind the sign of a currency, blanks part the thousands of one amount."""
_HASHES = re.compile(r"####[ \t]*([^\n]*)")
MAX_MARKS = 20  # marks of an answer, from the end, that may be headings
_HEADING = re.compile(
    r"\**(?:(?:step|part|case|phase|method|solution|section|question|problem)\b|\d+[.)]\s+[A-Za-z]{2,})", re.I
)
"""How the heading of a section begins that has a number."""
PHRASE = re.compile(
    r"(?:final |correct |right )?(?:answer|result|answers|\bans(?=\.?\s?[:=]))\*{0,2}(?:\s\([a-z][^()\n]{0,40}\)(?=\s?[:=]))?\s{0,3}(?:(?:is|are)(?!n['’]t)|=|:|：|to the (?:question|problem) is)?(?!n['’]t|sn['’]t)\s{0,3}(?:[:：=]|[–—](?=\s))?\*{0,2}\s{0,9}(?=\S)"
    r"|\b(?:final|requested|required|desired|wanted|sought)(?: [a-z]+){1,3}? is\s{0,3}(?=[\d$\\-])"
    r"|^#{1,6}[ \t]*\*{0,2}(?:final )?answer\*{0,2}[ \t]*:?[ \t]*\n\s{0,9}(?=\S)"
    r"|(?:答案|最终答案|答え|答|정답|답)(?:是|为|は|は、|：|:|은|는)?\s*[:：]?\s{0,3}(?=\S)"
    r"|(?<![不别没未若果])选\s?[:：]?\s?(?=[(（]?[A-J]{1,5}(?![A-Za-z\d]|[^。\n]{0,4}[错不]))"
    r"|(?:(?:le|la|el|il|das)\s+)?(?:résultat|resultado|risultato|ergebnis|результат)\s{0,3}(?:est|es|è|é|ist|lautet|:|=)\s*:?\s{0,3}(?=\S)"
    r"|(?:la\s+)?(?:réponse(?:\s+finale)?|respuesta(?:\s+final)?|risposta|resposta|antwort|ответ|उत्तर|الجواب|الإجابة)\s{0,3}(?:est|es|è|é|ist|lautet|है|هو|هي)?\s*[:：]?\s{0,3}(?=\S)",
    re.I | re.M,
)
"""`the answer is`, in the languages that models answer in."""
_PHRASE_WORDS = (
    "ans",
    "result",
    "final",
    "request",
    "requir",
    "desir",
    "want",
    "sought",
    "respuesta",
    "risposta",
    "resposta",
    "antwort",
    "risultat",
    "ergebnis",
)
"""Without one of these in it, a text of ASCII has no such phrase."""
_STATES = re.compile(r"^#|is|are|=|:|：|选|是|为|は|est|ist|\bes\b|lautet|है|هو|هي|ответ", re.I)
"""What makes a phrase a statement of the answer, also if no formula or number follows at once."""
_EMOJI = re.compile("[✅✔☑✓⭐✨\U0001f300-\U0001faff\ufe0f]\\s*")
_SMILEY = re.compile(r"(?<=[\w.!])\s[:;]-?[)D]$")
_OPINION = re.compile(
    r"^I(?:['’]d|['’]ll| would| will)? (?:go (?:with|for)|choose|pick|select)(?: (?:option|choice|answer))? (?=\(?[A-J]\)?[.!]?\s*$)"
    r"|^I(?:['’]d| would)? (?:say|think|believe)(?: that)?,? (?=(?:(?:it|that)(?:['’]s| is) |the answer is )?[-\d$\\])|(?<=[\d$}]),? I (?:think|believe|guess)(?=[.!]?\s*$)"
)
"""`I'd say 9`, `9, I think.`: an answer all the same."""
_CLOSING = re.compile(
    r"^(?:i hope it is correct|i? ?hope this helps)[^.!\n]*[.!\n]\s*(?=.*\d)|(?:i hope it is correct|hope this helps).*$",
    re.I | re.S,
)
_CONCLUSION = re.compile(r"\b(?:so|therefore|thus|hence|answer|total|in total|there are)\b[^\n]*$", re.I)
TRUTH_VALUE = re.compile(
    r"(yes|no|true|false)\s*[,.;:—-]\s*(?:because|since|as|it|the|this|there|they|we|for|so)\b", re.I
)
_VERDICT = re.compile(r"(true|false)\s?[:–—]\s(?=[a-z]+\s[a-z])", re.I)
"""`True: every such graph has 25 edges.`"""
_JAPANESE_END = re.compile(r"(?:です|である|だ|입니다|이다)[。.]?$")
_VERB = re.compile(r"\b(?:is|are|equals|be|was|will be|becomes)\b\s*:?")
_FIRST_END = re.compile(r"[!?](?=\s+[A-Z]|\s*$)|\.(?=\s+[A-Z(*]|\s*\n|\s*$)|\n|。")
_DISPLAY = re.compile(r"\\begin\{(align\*?|gather\*?|eqnarray\*?)\}.{1,1400}?\\end\{\1\}", re.S)
"""Formulas of several rows in a text, which need no other delimiter."""
_UNIT_POWER = re.compile(r"\b(cm|mm|km|m|in|ft|units?|inches|feet|met(?:er|re)s)\s?\$\^\{?(\d)\}?\$")
"""`cm$^2$`"""
_IS_ALL = re.compile(r"(?:\b(?:is|are|includes)|:)\s+((?:all|every|any)\s+real\b[^.\n]*)\.?\s*$", re.I)
_LABELLED = re.compile(
    r"(?:[A-Za-z][A-Za-z' ]{1,30}?\s?[:=]\s?[^\s,;:=][^,;:=\n]{0,20}?(?:\s?[,;\n]\s?|\s?[,;]?\sand\s|\.?$)){2,9}"
)
"""A list of labels with a value each, and nothing more: `first term = 5, ratio = 2`."""
_SUMS_UP = re.compile(r"\b(?:total|sum|answer|result|final|so|thus|hence|therefore|step)\b", re.I)
_STATEMENT = re.compile(
    r"(?!(?:this|that|these|those|it|they|note|here|if|for|since|when|check|but)\b)"
    r"(?![^.]*\b(?:check|verif\w+|since|because|satisf\w+|substitut\w+|works?|holds?|digits?|root|solution|case|step|equation|formula|other)\b)"
    r"[a-z][^.:=]*\b(?:is|are|was|were|has|have|had|equals|takes?|needs?|gets?|pays?|costs?|earns?|makes?|leaves?|weighs?|receives?|spends?|remains?)\b",
    re.I,
)
"""How a sentence begins that states a result, and is no check and no reason."""
_THEREFORE = re.compile(
    r"(?<=[\d$)}\]A-Za-z])[,;.]?\s+(?:and\s+)?(?:so|thus|hence|therefore)\s+(?=\$?-?\\?[A-Za-z\d({]{1,12}[^A-Za-z]*=|\$|\\\()",
    re.I,
)
"""Between a formula and the one that follows from it."""


def find(response: str) -> Found | None:
    """The final answer of a response, or None. A bare answer is returned whole."""
    response = final_text(response)
    is_bare = "boxed" not in response and "####" not in response and " " not in response[:2000].strip()
    text = shorten_blanks(repair_escapes(response if is_bare else response[-MAX_TAIL:]))
    if not text.strip():
        return None
    if len(text) > MAX_TAIL:
        return Found(text.strip(), "bare")
    if "\n" in text or "uestion" in text or "roblem" in text:
        text = _before_next_question(text)
    if "{" in response[:20] and (field := structured(response)) is not None:
        return _stated(field.text) if " " in field.text else field
    in_box = boxed(text)
    if in_box is not None:
        return _labelled_after(text[last_box(text) :]) or in_box
    return tagged(text) or _hashed(text) or _stated(text)


def _before_next_question(text: str) -> str:
    """The text up to a question that the model asks itself after its answer, and then answers too."""
    for found in _NEXT_QUESTION.finditer(text):
        if ANSWERED.search(text, 0, found.start()):
            return text[: found.start()]
    return text


def _labelled_after(text: str) -> Found | None:
    """The answer that a label states after the last box: `\\boxed{x > 2}, so the answer is B`. The label's word counts more
    than an earlier box; a sentence about the answer (`The answer is correct`) is no label."""
    stated = tagged(text) or _hashed(text)
    if stated is None and _LABEL.search(text):
        stated = _phrase(text, after_box=True)
    if stated is None or not is_bare_answer(stated.text):
        return None
    is_answer = any(c.isdigit() for c in stated.text) or "\\" in stated.text or _OPTION_LETTER.fullmatch(stated.text)
    return stated if is_answer or len(WORD.findall(stated.text)) == 0 else None


# ---- marked answers --------------------------------------------------------------------------------------------------


def _hashed(text: str) -> Found | None:
    """What the last `####` marks, unless it is the heading of a section: `#### Step 2: Solve`."""
    if "####" not in text:
        return None
    for mark in reversed(deque(_HASHES.finditer(text), maxlen=MAX_MARKS)):
        answer = mark[1].strip()
        is_heading = text[mark.end() :].strip() and (_HEADING.match(answer) or not any(map(str.isdigit, answer)))
        if answer.strip("#* ") and not (is_heading and "\\" not in answer):
            return Found(answer, "hashes")
    return None


# ---- answers in prose ------------------------------------------------------------------------------------------------


def _stated(text: str) -> Found | None:
    """The answer that prose states, unless the sentence that has it states others too."""
    text = _SMILEY.sub("", without_emphasis(_CLOSING.sub("", text).strip()))
    if "I" in text:
        text = _OPINION.sub("", text)
    text = numbers_apart(text if text.isascii() else _EMOJI.sub("", text))
    if not text:
        return None
    if "'s " in text or "’s " in text:
        text = _CONTRACTED.sub(r"\1\2 is", text)
    if "\\begin{" in text and "$" not in text:
        text = _DISPLAY.sub(r"$$\g<0>$$", text)
    if "$^" in text:
        text = _UNIT_POWER.sub(r"\1^\2", text)
    if "$" in text or not text.isascii():
        text = _SPACED.sub(lambda m: "".join(m[0].split()), text)
    if "$" in text:
        text = _MONEY.sub(r"\\$", text)
    if states_cases(text):
        return Found(text, "bare")
    if (at := check(text)) is not None and ANSWERED.search(text, 0, at):
        text = text[:at].rstrip("\n")
    if (at := supposition(text)) is not None:
        if not NUMBER.search(text, 0, at):
            return Found(NO_VALUE + text[at:].strip(), "prose")
        text = text[:at].rstrip()
    has_words = WORD.search(text) is not None
    if has_words:
        text = without_remarks(without_verb_prefix(text))
    if has_words and is_cut(text):
        return _phrase(text) or Found(NO_VALUE + LAST_SENTENCE.split(text)[-1], "prose")
    found = _in_prose(text)
    if found is None or (found.method == "bare" and not non_math_words(found.text)):
        return found
    return _with_factors(text, _single(text, found))


def _with_factors(text: str, found: Found) -> Found:
    """A number with the factors that it has in prose: `So it has 25π cm` says nothing of 25."""
    number = NUMBER.search(found.text) if found.method == "number" else None
    at = last_place(text, written := number[0].strip()) if number else -1
    if number is None or at < 0:
        return found
    whole = expression_around(text, at, at + len(written))
    if not whole or whole in found.text:
        return found
    return Found(found.text.replace(written, whole, 1), "number")


def _single(text: str, found: Found) -> Found:
    """The answer, or the one value that its sentence states instead of it, or the whole sentence where it states several."""
    start, end = sentence_of(text, found.text)
    sentence = in_english(text[start:end])
    span = only(sentence, found.text) if non_math_words(sentence) or "\\" not in sentence else None
    if span is None or set(WORD.findall(FORMULA.sub("", sentence))) <= {"for", "all"}:
        return found
    if span == SEVERAL and _LABELLED.fullmatch(text) and not _SUMS_UP.search(text):
        return Found(text, "bare")
    if span in (SEVERAL, STATES_NONE):
        return Found((SEVERAL_VALUES if span == SEVERAL else NO_VALUE) + sentence.strip(), "prose")
    content = sentence[slice(*span)]
    if denial := _DENIAL.search(sentence, span[1]):
        sentence = sentence[: denial.start()]
    formula = FORMULA.fullmatch(content)
    return Found(stated(sentence, *span, formula_content(formula) if formula else content), "number")


def _in_prose(text: str) -> Found | None:
    marked = _LETTER_A.search(text)
    if marked:
        return Found(marked[1], "phrase")
    if _LETTERED.fullmatch(text):
        return Found(text, "bare")
    if (marked_by := odds(text) or option_with_text(text)) is not None:
        return marked_by
    truth = TRUTH_VALUE.match(text)
    if truth and len(text) <= MAX_SENTENCE and "nswer" not in text:
        return Found(truth[1], "phrase")
    if (verdict := _VERDICT.match(text)) and len(text) <= MAX_SENTENCE:
        return Found(verdict[1], "phrase")
    phrase = _phrase(text)
    if phrase is not None:
        return phrase
    last = text.rstrip().rpartition("\n")[2]
    if by_cases := next((part for part in (last, LAST_SENTENCE.split(last)[-1]) if states_cases(part)), None):
        return Found(by_cases, "bare")
    text = text[: check(text)].rstrip("\n")
    if (reals := _IS_ALL.search(text)) and not is_words_only(reals[1]):
        return Found(reals[1], "phrase")
    if (
        " " in text
        and len(text) <= MAX_SENTENCE
        and not ALL_REALS.match(text)
        and not text.startswith("\\begin{")
        and (refuted := all_denied(text, text)) is not None
    ):
        return refuted
    end = text[-MAX_SENTENCE:]
    if refuses(end) and any(c.isdigit() for c in end):
        return None
    text = _NOT_ANOTHER.sub(r"\1", text) if " not " in text else text
    if len(text) <= MAX_SENTENCE and (conclusions := _THEREFORE.split(text)[1:]) and _is_one_answer(conclusions[-1]):
        return _in_prose(conclusions[-1])
    if is_bare_answer(text):
        if (named := NAMED_VALUES.search(text, max(0, len(text) - MAX_SENTENCE))) and WORD.search(
            text, 0, named.start()
        ):
            return conclusion(text)
        return (in_sentence(text) if is_sentence(text) else None) or Found(text, "bare")
    formulas = [f for f in FORMULA.finditer(text) if is_formula(f)]
    if formulas:
        if (chosen := chosen_option(text)) is not None:
            return chosen
        concluded = _CONCLUSION.search(text[max(formulas[-1].end(), len(text) - MAX_CONCLUSION) :])
        if (about := about_letter(text, formulas)) is not None:
            return about
        if _is_letter_value(formulas[-1]) and (later := _stated_after(text, formulas[-1].end())) is not None:
            return later
        if concluded is None or not NUMBER.search(concluded[0]):
            return Found(last_formulas(formulas, text), "formula")
    found = in_sentence(text)
    is_short = len(text) <= MAX_SENTENCE and "\n" not in text
    return found or (Found(text, "bare") if is_short else None)


def _is_one_answer(conclusion: str) -> bool:
    """Whether what follows `hence` is an answer and nothing more, also no further sentence."""
    return is_bare_answer(conclusion) and len(LAST_SENTENCE.split(conclusion.strip())) == 1


def _is_letter_value(formula: re.Match[str]) -> bool:
    """Whether a formula only says what a letter is, which may be a step: `x = 7`."""
    answer = read(formula_content(formula))
    return (
        isinstance(answer, Named)
        and answer.name.op == "sym"
        and isinstance(answer.value, Value)
        and not letters(answer)
    )


def _stated_after(text: str, end: int) -> Found | None:
    """The number that a last sentence behind a letter's value states: `... gives $x = 7$. The train needs 21 hours.`"""
    rest = text[end:].rstrip()
    last = LAST_SENTENCE.split(rest.rpartition("\n")[2])[-1]
    if last == rest:  # the formula's own sentence
        return None
    if not _STATEMENT.match(last) or not NUMBER.search(last):
        return None
    numbers = deque(NUMBER.finditer(last), maxlen=1)
    found = in_sentence(last) if not claim(last, *numbers[-1].span()).denied else None
    return found if found is not None and only(last, found.text) not in (SEVERAL, STATES_NONE) else None


def _phrase(text: str, after_box: bool = False) -> Found | None:
    """What follows the last `the answer is`, `Answer:`, `答案是` ...; `after_box`: only what names an answer or a result."""
    low = text.lower()
    if text.isascii() and not any(word in low for word in _PHRASE_WORDS):
        return None
    last = None
    for found in PHRASE.finditer(text):
        if after_box and not _LABEL.match(
            found[0][found[0].lower().find("answer") :] if "nswer" in found[0] else found[0]
        ):
            continue
        tail = text[found.end() :].lstrip()
        starts_text = found.start() == 0 and re.match(r"[-+\d($\\]", tail)
        if _STATES.search(found[0]) or tail[:1] in "$\\" or starts_text:
            last = found
    if last is None:
        return None
    if last[0][0] == "选" and (option_letters := _LETTERS.match(text, last.end())):
        return Found(option_letters[1], "phrase")
    if _LETTERED.fullmatch(option := text[last.end() :].strip(" .*")):
        return Found(option, "phrase")
    sentence = _ASIDE.sub("", _first_part(text[last.end() :].strip().lstrip("*#").strip()))
    if not sentence:
        return None
    if states_cases(sentence):
        return Found(sentence, "phrase")
    if _DECIMAL_COMMA.fullmatch(sentence) and _USES_COMMA.match(last[0].lower()):
        return Found(sentence.replace(",", "."), "phrase")
    if (note := _NOTE.match(sentence)) and claim(sentence, *note.span(1)) == NOTHING:
        return Found(note[1], "phrase")
    if (refuted := all_denied(sentence, text)) is not None:
        return refuted
    if (chosen := value_after_denial(sentence)) is not None:
        return chosen
    if is_bare_answer(sentence):
        at = text.find(sentence, last.end())
        is_number = at >= 0 and NUMBER.fullmatch(sentence.strip("$"))
        return Found(claim(text, at, at + len(sentence)).of(sentence) if is_number else sentence, "phrase")
    formulas = list(FORMULA.finditer(sentence))
    if formulas and not WORD.search(sentence[: formulas[0].start()]):
        return Found(first_formulas(formulas, sentence), "phrase")
    verb = last_match(_VERB, sentence)
    behind = sentence[verb.end() :].strip() if verb is not None else ""
    if behind:
        return Found(behind, "phrase") if is_bare_answer(behind) else _in_prose(behind)
    if formulas:
        return Found(stated(sentence, *formulas[-1].span(), formula_content(formulas[-1])), "phrase")
    return last_number(sentence) or Found(sentence, "phrase")


def _first_part(tail: str) -> str:
    """The first sentence; full stops inside of formulas do not end it."""
    formulas = [m.span() for m in FORMULA.finditer(tail)]
    for found in _FIRST_END.finditer(tail):
        if not any(a < found.start() < b for a, b in formulas):
            tail = tail[: found.start() + (found[0] == "?")].strip() or tail  # `5?` is no answer
            break
    return _JAPANESE_END.sub("", tail.strip("*").strip())
