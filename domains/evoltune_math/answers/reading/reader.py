"""The text of an answer -> Answer: cleaned up, trimmed, parsed and classified.

    read("\\\\boxed{\\\\textbf{(A) } 12}") -> Choice("A", Value(12));   read("twenty-five") -> Value(25)

No text raises: what is outside of the grammar or over a size limit becomes `Text` and is compared as text. Readings are
cached, so that an answer which extraction has read is not parsed again when it is verified.
"""

import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

from evoltune_math.answers.algebra.ellipsis import is_dots
from evoltune_math.answers.kinds import NO_VALUE, SEVERAL_VALUES, Answer, Either, Group, Named, Text, Value
from evoltune_math.answers.nodes import Node, bare_items, depth, sym, walk
from evoltune_math.answers.reading.cases import cases_in_words
from evoltune_math.answers.reading.classify import classify
from evoltune_math.answers.reading.cleanup import cached, normalised, plain_number
from evoltune_math.answers.reading.languages import in_english
from evoltune_math.answers.reading.notation import in_one_notation, with_multiplicity
from evoltune_math.answers.reading.phrases import changes_meaning, in_signs, words_of
from evoltune_math.answers.reading.special_forms import special_form
from evoltune_math.answers.reading.spoken import bound, predicate, subject
from evoltune_math.answers.syntax.grammar import END, Token, Unreadable
from evoltune_math.answers.syntax.lexer import tokenize
from evoltune_math.answers.syntax.parser import parse_tokens
from evoltune_math.answers.units import CURRENCY_CODES, CURRENCY_SIGNS, may_have_price
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, MODIFIERS, RELATIONS, word_set

MAX_TEXT, MAX_DEPTH = 12_000, 150
_CURRENCY = re.compile(r"\\\$|\\(?:euro|pounds|yen|rupee|cent)(?![A-Za-z])")
_AMOUNT = re.compile(r"(\\\$|\$|\\(?:euro|pounds|yen|rupee|cent)(?![A-Za-z]))\s?(\d[\d,]*(?:\.\d+)?)(?!\d)")
"""An amount, where an answer has several currencies."""
_CURRENCY_CODE = re.compile(rf"({'|'.join(CURRENCY_CODES)})\b\.?\s*(?=\d)")
_LAKHS = re.compile(r"(?<![\d,])\d{1,2}(?:,\d\d)+,\d{3}(?![\d,])")
_LONE_DOLLAR = re.compile(r"(?<!\\)\$\s?\d|\d\s?\$")
OUR_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_REMARK_STARTS = word_set(
    "which where since because using when if whenever assuming so thus therefore hence i.e. namely as rounded only exactly "
    "altogether for"
)
"""Words after an answer that start a remark."""
_INTEGERS = word_set("integer integers")
_ARBITRARY = word_set("arbitrary some parameter constant")
_CONDITION_STARTS = ("for", "if", "when")
_CASES = word_set("if when whenever")
_ELSE = word_set("otherwise else elsewhere")
_INDICES = ("n", "k", "m", "i", "j")
_CONDITIONS = (*_CONDITION_STARTS, "whenever", "where", "unless", "with", "provided")
_INEQUALITIES = ("lt", "gt", "le", "ge", "leq", "geq", "leqslant", "geqslant", "ne", "neq", "in")
_COMPUTATIONS = ("add", "mul", "div", "neg", "pow", "fn")
_LEVELS = {"(": 1, "[": 1, "{": 1, "\\{": 1, ")": -1, "]": -1, "}": -1, "\\}": -1}
_VERBS = word_set("is are equals equal be becomes")
_LEADING_WORDS = word_set(
    "approximately about approx roughly exactly is are equals answer solution solutions the final total value result "
    "ratio in be only just around either both thus so hence therefore it that we have get and or namely there to of at all every any "
    "insgesamt altogether en au totale 共 一共 总共 共有 一共有 总共有 共计 合计 合計 合計で 全部で 总计 총 모두 всего итого"
)
_PROSE_SIGNS = {"sym": "aI", "op": ",.'-;:!?"}  # what may stand between words
_LEADING_COMMANDS = ("approx", "sim", "simeq", "therefore", "implies", "Rightarrow", "to", "rightarrow")


def read(text: str, lists: bool = False) -> Answer:
    """The answer in `text`. `lists`: read `100,200,300` as three numbers."""
    is_whole = len(text) > MAX_TEXT or text.startswith((SEVERAL_VALUES, NO_VALUE))
    return Text(text) if is_whole else _read(normalised(text), lists)


@cached
def _read(text: str, lists: bool) -> Answer:
    if code := _CURRENCY_CODE.match(text):
        amount = text[code.end() :]
        unit = CURRENCY_CODES[code[1]]
        return _in_currency(_read_number_or_more(_without_lakhs(amount) if unit == "rupee" else amount, lists), unit)
    if "\\rupee" in text or "upees" in text or (",0" in text and _LAKHS.fullmatch(text)):
        text = _without_lakhs(text)
    answer = _read_number_or_more(text, lists)
    if "$" not in text and not _CURRENCY.search(text):
        return answer
    currencies = set(_CURRENCY.findall(text))
    if text.count("$") == 1 and _LONE_DOLLAR.search(text):
        currencies.add("\\$")
    if len(currencies) > 1:
        return _read_number_or_more(_AMOUNT.sub(_amount_in_words, text), lists)
    return _in_currency(answer, CURRENCY_SIGNS[currencies.pop()]) if len(currencies) == 1 else answer


def _without_lakhs(text: str) -> str:
    """`4,50,000`, as amounts of rupees are written, as `450000`."""
    return _LAKHS.sub(lambda m: m[0].replace(",", ""), text)


def _amount_in_words(found: re.Match[str]) -> str:
    unit = CURRENCY_SIGNS["\\$" if found[1] == "$" else found[1]]
    return f"{found[2]} \\text{{ {unit}}}"


def _in_currency(answer: Answer, unit: str) -> Answer:
    """The amounts of an answer in the currency whose sign it has."""
    if isinstance(answer, Value) and not answer.degrees and may_have_price(answer.unit):
        return replace(answer, unit=f"{unit} {answer.unit}".strip())
    if isinstance(answer, Group):
        return replace(answer, items=tuple(_in_currency(i, unit) for i in answer.items))
    return replace(answer, value=_in_currency(answer.value, unit)) if isinstance(answer, Named) else answer


def _read_number_or_more(text: str, lists: bool) -> Answer:
    number = plain_number(text)
    if number is not None:
        digits = text.lstrip("-") if "." in text else ""
        return Value(Node("dec" if digits else "num", (), number, digits))
    if (repeated := with_multiplicity(text)) is not None:
        once, each = repeated
        return Either(_read(once, lists), _read(each, lists))
    text = in_one_notation(text)
    try:
        special = special_form(text, read) or cases_in_words(text, read)
        if special is None and (said := predicate(text)):
            special = read(said)
            special = replace(special, subject=subject(text)) if isinstance(special, Text) else special
        if special is not None:
            return special
        english = in_english(text)
        if " " in english and (limited := bound(english, read)):
            return limited
        tokens = tokenize(english)
        if lists:
            tokens = [t for token in tokens for t in _split_thousands(token)]
        return _from_tokens(trimmed(in_signs(tokens)), text)
    except (Unreadable, RecursionError, *OUR_FAULTS):  # even then the answer is still compared as text
        return Text(text)


def _split_thousands(token: Token) -> list[Token]:
    if token.kind != "num" or token.note or len(token.text) < 4 or not token.text.isdigit():
        return [token]
    head = len(token.text) % 3 or 3
    groups = [token.text[:head], *(token.text[i : i + 3] for i in range(head, len(token.text), 3))]
    found: list[Token] = []
    for group in groups:
        found += [Token("num", group, False, Fraction(int(group))), Token("op", ",")]
    return found[:-1]


def _from_tokens(tokens: list[Token], text: str) -> Answer:
    if not tokens or is_prose(tokens) or changes_meaning(tokens):
        return Text(text)
    try:
        return _parsed(tokens, text)
    except Unreadable:
        shorter = without_lead(tokens)
        if shorter is None:
            raise
        return _parsed(shorter, text)


def _parsed(tokens: list[Token], text: str) -> Answer:
    node = parse_tokens(list(tokens))
    if any(t.is_op("[") for t in tokens):
        node = _with_brackets_as_groups(node)
    if depth(node) > MAX_DEPTH:
        raise Unreadable(f"a tree of more than {MAX_DEPTH} levels")
    if _names_are_words(tokens):
        return classify(_with_words_as_names(node))
    first = node.args[0] if node.op == "rel" else node
    starts_with_text = first.op == "mul" and first.args[0].op == "text"
    if starts_with_text or (node.op == "seq" and any(n.op == "text" and not is_dots(n) for n in bare_items(node))):
        shorter = without_lead(tokens)
        if shorter is not None:
            return _parsed(shorter, text)
    if node.op in ("text", "mul", "add", "neg", "pow") and any(n.op == "text" and not is_dots(n) for n in walk(node)):
        return Text(text)
    return classify(node)


def _with_brackets_as_groups(node: Node) -> Node:
    """`2[x + 1]^2` as `2(x + 1)^2`: within a computation square brackets only group."""
    args = tuple(map(_with_brackets_as_groups, node.args))
    if node.op in _COMPUTATIONS:
        args = tuple(a.args[0] if a.op == "seq" and a.value == "[]" and len(a.args) == 1 else a for a in args)
    return node if args == node.args else node._replace(args=args)


def _names_are_words(tokens: list[Token]) -> bool:
    """`\\text{base} \\times \\text{height}`: words that only signs of arithmetic join."""
    kinds = [t.kind for t in tokens]
    if "text" not in kinds or "word" in kinds or "sep" in kinds:
        return False
    signs = sum(t.is_op("+", "-", "*", "/", "^") or t.is_cmd("times", "cdot", "frac", "dfrac", "tfrac") for t in tokens)
    if not signs or any(t.is_op(",", ":") for t in tokens):
        return False
    sides = [(a, b) for a, b in pairwise(kinds) if "text" in (a, b)]
    return len(sides) > 0 and all({a, b} & {"op", "cmd"} for a, b in sides)


def _with_words_as_names(node: Node) -> Node:
    if node.op == "text":
        return sym(f"text:{node.value}")
    return node._replace(args=tuple(map(_with_words_as_names, node.args))) if node.args else node


def trimmed(tokens: list[Token]) -> list[Token]:
    """The tokens of the answer itself; perhaps none."""
    tokens = _without_remark(_without_introduction(tokens))
    start, end = 0, len(tokens)
    while end and _is_separator(tokens[end - 1], "."):
        end -= 1
    while start < end and (_is_separator(tokens[start]) or _is_leading(tokens[start])):
        start += 1
    return tokens[start:end]


def _is_separator(token: Token, *more: str) -> bool:
    return token.kind == "sep" or token.is_op(",", ";", ":", "\n", *more)


def _is_leading(token: Token) -> bool:
    if token.kind in ("word", "text"):
        return all(w.lower() in _LEADING_WORDS for w in token.text.split())
    return token.is_cmd(*_LEADING_COMMANDS) or token.is_op("=", "&")


def _without_introduction(tokens: list[Token]) -> list[Token]:
    """Without `Domain:` and without `the ratio is` before mathematics."""
    at = 0
    while at < len(tokens) and (
        tokens[at].kind in ("word", "text")
        or (tokens[at].kind == "sym" and len(tokens) > at + 1 and tokens[at + 1].text in _VERBS)
    ):
        if tokens[at].text.endswith(":"):
            return tokens[at + 1 :]
        at += 1
    if at == 0 or at >= len(tokens):
        return tokens
    if tokens[at].text == ":" and (at > 1 or len(tokens[0].text) > 2) and tokens[0].text not in FUNCTIONS:
        return tokens[at + 1 :]
    verbs = [k for k in range(at) if tokens[k].text in _VERBS]
    if any(w in MODIFIERS for token in tokens[:at] for w in words_of(token)):
        return tokens  # `x cannot be 5`
    return tokens[verbs[-1] + 1 :] if verbs else tokens


def _without_remark(tokens: list[Token]) -> list[Token]:
    """Cut at the first remark outside of brackets, unless several conditions make the answer a case distinction."""
    starts = {at: t.text.split()[0].lower() for at, t in enumerate(tokens) if t.kind in ("word", "text")}
    conditions = sum(word in _CONDITION_STARTS for word in starts.values())
    if conditions > 1 or (conditions and any(w in _ELSE for at in starts for w in words_of(tokens[at]))):
        return tokens
    level = seen = 0
    for at, word in starts.items():
        level += sum(_LEVELS.get(t.text, 0) for t in tokens[seen:at] if t.kind == "op")
        seen = at
        is_remark = word in _REMARK_STARTS or _is_place(tokens[at:])
        if at and level == 0 and is_remark and tokens[at - 1].kind != "sep":  # `5 or so` is no remark
            if word in _CASES and _states_another_value(tokens[at:]):
                return tokens
            return tokens[:at] + (_condition(tokens[:at], tokens[at:]) or _declaration(tokens[:at], tokens[at:]))
    return tokens


def _is_place(remark: list[Token]) -> bool:
    """`at x = 2`: where a value is reached."""
    return words_of(remark[0]) == ["at"] and len(remark) > 2 and remark[1].kind == "sym" and remark[2].is_op("=")


def _states_another_value(remark: list[Token]) -> bool:
    """`if x > 0, 5`: what follows the last comma is neither a condition nor words."""
    comma = max((at for at, token in enumerate(remark) if token.is_op(",")), default=len(remark))
    last = remark[comma + 1 :]
    return bool(last) and not any(t.kind in ("word", "text", "sep") or _is_relation(t) for t in last)


def _is_relation(token: Token) -> bool:
    return _is_inequality(token) or token.is_op("=") or (token.kind == "cmd" and f"\\{token.text}" in RELATIONS)


def _condition(formula: list[Token], remark: list[Token]) -> list[Token]:
    """`for x > 0` as `, x > 0` where the formula before has that letter (`x^2`, not `x = 3`); nothing for other remarks."""
    if formula[-1].is_op(","):
        formula = formula[:-1]
    at = next((k for k, t in enumerate(remark) if t.kind not in ("word", "text", "sep")), len(remark))
    lead = [w for token in remark[:at] for w in words_of(token)]
    condition = remark[at:]
    if not lead or lead[0] not in _CONDITIONS or not any(map(_is_inequality, condition)) or _is_index_range(condition):
        return []
    equals = max((k for k, t in enumerate(formula) if t.is_op("=")), default=-1)
    own = {t.text for t in formula[equals + 1 :] if t.kind == "sym"}
    return [Token("op", ","), *condition] if own & {t.text for t in condition if t.kind == "sym"} else []


def _is_index_range(condition: list[Token]) -> bool:
    """`n \\ge 1`: every index begins at 0 or 1."""
    if len(condition) != 3 or condition[0].text not in _INDICES or condition[2].text not in ("0", "1"):
        return False
    return condition[1].is_op(">", ">=") or condition[1].is_cmd("gt", "ge", "geq", "geqslant")


def _is_inequality(token: Token) -> bool:
    return token.is_op("<", ">", "<=", ">=", "!=") or token.is_cmd(*_INEQUALITIES)


def _declaration(formula: list[Token], remark: list[Token]) -> list[Token]:
    """`for some integer t` as `, t \\in \\mathbb{Z}`; nothing for other remarks, and for the argument of a function: `f(x) = x` for all x."""
    words = [w for token in remark for w in words_of(token)]
    letters = [
        t for before, t in pairwise([END, *remark]) if t.kind == "sym" and (t.text != "a" or before.text != "is")
    ]
    kind = "Z" if _INTEGERS.intersection(words) else "R" if _ARBITRARY.intersection(words) else ""
    if (
        len(letters) != 1
        or _is_argument(letters[0].text, formula)
        or not kind
        or not all(t.kind in ("word", "text", "sym") for t in remark)
    ):
        return []
    number_set = [Token("cmd", "mathbb"), Token("op", "{"), Token("sym", kind), Token("op", "}")]
    return [Token("op", ","), letters[0], Token("cmd", "in"), *number_set]


def _is_argument(letter: str, formula: list[Token]) -> bool:
    """Whether a letter is what a function or a sequence on the left side takes: `f(x) = x`, `a_n = n`."""
    equals = next((at for at, t in enumerate(formula) if t.is_op("=")), 0)
    return any(t.is_op("(", "_", ",") and following.text == letter for t, following in pairwise(formula[:equals]))


def without_lead(tokens: list[Token]) -> list[Token] | None:
    """The tokens after an introduction in words: `Solution is: ...`, `width ... = 10`; None if there is none."""
    at = 0
    while at < len(tokens) and (tokens[at].kind in ("text", "word", "sep") or tokens[at].is_op(":", ",", "=")):
        at += 1
    if any("times" in words_of(token) for token in tokens[:at]):  # `three times 25`
        return None
    while at and tokens[at - 1].kind == "word" and _is_name(tokens[at - 1].text):
        at -= 1
    return tokens[at:] if 0 < at < len(tokens) else None


def _is_name(word: str) -> bool:
    return word in FUNCTIONS or word in CONSTANTS


def is_prose(tokens: list[Token]) -> bool:
    """Whether the tokens are only words: no number and no mathematics."""
    if not all(t.kind in ("text", "word", "sep") or t.text in _PROSE_SIGNS.get(t.kind, ()) for t in tokens):
        return False
    words = [t.text for t in tokens if t.kind == "word" and len(t.text) > 3]
    are_words = any(not (_is_name(w) or w in GREEK or w.isupper()) for w in words)
    return are_words or any(t.kind == "text" for t in tokens)
