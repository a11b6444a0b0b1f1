"""Rules for values, options of a multiple choice, and words: `no solution`, `Even`, `True` have one canonical form."""

import re

from evoltune_math.answers import units
from evoltune_math.answers.equality.comparison import Comparison, Rules, before
from evoltune_math.answers.equality.parameters import equal_up_to_constants
from evoltune_math.answers.kinds import Answer, Choice, Text, Value
from evoltune_math.answers.nodes import EULER, IMAGINARY, INF, NEG_INF, Node, has, mul, num, substitute, symbols, walk
from evoltune_math.answers.reading.cleanup import without_spaces
from evoltune_math.answers.reading.spoken import are_different
from evoltune_math.answers.vocabulary import number_in_words, word_set

_MARKUP = re.compile(
    r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|textrm|mbox|emph|operatorname|rm|bf|left|right|displaystyle)\*?(?![A-Za-z])|[{}$*`\"]|\\[,;:! ]|~"
)
_IGNORED = re.compile(r"\b(?:the|a|an|is|are|it|its|there|answer|that|final)\b|[.,;:!?'()\[\]]|\s+-\s+")
_APOSTROPHE = re.compile(r"(?<=n)['’](?=t\b)")
_STATED = re.compile(
    r"\b(?:(does not exist|doesnt exist)|(?:no|not have any|doesnt have any) (?:real |integer |positive |rational )*(?:solutions?|roots?|zeros?)(?: exists?)?(?: (?:to|of|for|in) [a-z ]+)?|no such [a-z]+(?: [a-z]+)?(?: exists?)?|(infinitely many)(?: such)?(?: [a-z]+){0,2}|(neither)(?: [a-z]+ nor [a-z]+)?|(undefined)(?: (?:at|for|there|here|in|when|since|because)(?: [a-z]+)*)?)$"
)
STATEMENTS = frozenset(("does not exist", "no solution", "infinitely many", "neither", "undefined"))
"""What `_STATED` comes to."""
_CONVERGENCE = re.compile(
    r"(?:(?:improper |infinite |power |given )?(?:series|sequence|integral|sum|limit) )?(does not |doesnt |not )?(converge|diverge)(?:s|nt)?"
)
_DANGLING = re.compile(r"^\s*-|[-(\[]\s*$|^[^*]*\*[^*]*$")
"""Signs without an operand, which words lose as punctuation: `x -`, `x(` and `x*` are no x; `*x*` is one in italics."""
_MARKED = re.compile(r"[?!]")
"""Nor are `x?` and `!x`, where `Even!` is even."""
_PART_SEPARATOR = re.compile(r",|;|\band\b|\bor\b|\}\s*(?=\\text)")
_SYNONYMS = {
    "yes": "true", "correct": "true", "no": "false", "incorrect": "false", "t": "true", "f": "false",
    "dne": "does not exist", "doesnt exist": "does not exist", "not exist": "does not exist", "none exist": "none", "null": "none",
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution", "has no solution": "no solution",
    "no solution exists": "no solution", "no solutions exist": "no solution", "not defined": "undefined", "undef": "undefined",
    "cannot be determined": "not determined", "can not be determined": "not determined", "infinite": "infinity",
    "infinitely many solutions": "infinitely many", "infinite solutions": "infinitely many", "infinite number": "infinitely many",
    "empty set": "no solution", "emptyset": "no solution", "linear function": "linear",
}  # fmt: skip
_KINDS_OF_NUMBER = word_set(
    "prime composite odd even multiple power root square cube triangular fibonacci perfect factor divisor percentile catalan"
)
"""The 40th of these is a number of its own."""
_PYTHON_CONSTANTS = {"I": IMAGINARY, "E": EULER}
HOURS = 12  # on a clock's face
MAX_CANONICAL = 5_000
MAX_STATEMENT = 100
MAX_LIST = 500


def _value_value(comparison: Comparison, a: Value, b: Value) -> bool:
    policy, equal = comparison.policy, comparison.expressions.equal
    a, b = _with_letter_unit(a, b), _with_letter_unit(b, a)
    if a.degrees != b.degrees and units.is_radian(b.unit if a.degrees else a.unit):
        return equal(*(Node("deg", (v.node,)) if v.degrees else v.node for v in (a, b)))
    if not units.agree(a.unit, b.unit, policy.units):
        factor = units.factor(a.unit, b.unit)  # `1 km` = `1000 m`
        return factor is not None and equal(mul(a.node, num(factor)), b.node)
    if policy.degrees == "required" and a.degrees != b.degrees:
        return _same_in_radians(comparison, a, b)
    x, y = a.node, b.node
    if policy.units != "required":
        x, y = _without_letter_unit(x, y), _without_letter_unit(y, x)
    if equal(x, y):
        return True
    if (renamed := _with_python_constants(x, y)) is not None and equal(*renamed):
        return True
    if a.degrees != b.degrees and _same_in_radians(comparison, a, b):
        return True
    if policy.percent == "either" and has(x, "pct") != has(y, "pct"):
        return equal(_without_percent(x), _without_percent(y))
    may_be_missing = policy.constant == "optional"
    return _same_option(x, y) or equal_up_to_constants(comparison.expressions, x, y, may_be_missing=may_be_missing)


def _with_python_constants(x: Node, y: Node) -> tuple[Node, Node] | None:
    """`2*I + 1` beside `1 + 2i`, `E**x` beside `e^x`: SymPy's name of a constant that only the other answer has."""
    for own, other in ((x, y), (y, x)):
        for name in (symbols(own) - symbols(other)) & _PYTHON_CONSTANTS.keys():
            constant = _PYTHON_CONSTANTS[name]
            if own.op != "sym" and constant in walk(other) and constant not in walk(own):
                return substitute(own, {name: constant}), other
    return None


def _same_in_radians(comparison: Comparison, a: Value, b: Value) -> bool:
    """`90^\\circ` = `\\pi/2`; a plain number is never taken for radians."""
    x, y = (Node("deg", (v.node,)) if v.degrees else v.node for v in (a, b))
    other = b.node if a.degrees else a.node
    return not symbols(other) and other.op not in ("num", "dec") and comparison.expressions.equal(x, y)


def _with_letter_unit(a: Value, b: Value) -> Value:
    """`5000 m` beside `5 km`: the letter is a unit."""
    if a.node.note == "unit?" and (b.unit or b.node.note == "unit?") and a.node.args[1].op == "sym":
        return Value(a.node.args[0], str(a.node.args[1].value))
    return a


def _without_letter_unit(x: Node, y: Node) -> Node:
    """`438 m` beside `438`: the letter is a unit if the other side has no letter."""
    return x.args[0] if x.note == "unit?" and not symbols(y) else x


def _without_percent(node: Node) -> Node:
    if node.op == "pct":
        return node.args[0]
    return node._replace(args=tuple(map(_without_percent, node.args))) if node.args else node


def _same_option(x: Node, y: Node) -> bool:
    """`b` and `B` as options of a multiple choice."""
    names = [str(n.value).upper() for n in (x, y) if n.op in ("sym", "const")]
    return len(names) == 2 and names[0] == names[1] and len(names[0]) == 1 and names[0] in "ABCDEFGHIJ"


def _text_text(comparison: Comparison, a: Text, b: Text) -> bool:
    if are_different(a.subject, b.subject):
        return False
    if a.words.startswith("ordinal ") and b.words.startswith("ordinal "):  # `15th` is the `15th day`
        (_, place, *noun), (_, other, *more) = a.words.split(), b.words.split()
        names = noun or more
        is_left_out = len(noun + more) == 1 and _KINDS_OF_NUMBER.isdisjoint(names)
        return place == other and (noun == more or is_left_out)
    return a.words == b.words == "..." or same_words(a.words, b.words, comparison.policy.text)


def _choice_choice(comparison: Comparison, a: Choice, b: Choice) -> bool:
    if a.letter != b.letter:
        return False
    if a.body is None or b.body is None or isinstance(a.body, Text) or isinstance(b.body, Text):
        return True
    return comparison.same(a.body, b.body)


def _any_choice(comparison: Comparison, a: Answer, b: Choice) -> bool:
    name = a.words if isinstance(a, Text) else ""
    if isinstance(a, Value) and a.node.op in ("sym", "const"):
        name = str(a.node.value)
    if len(name) == 1:
        return name.upper() == b.letter
    return comparison.policy.choices == "either" and b.body is not None and comparison.same(b.body, a)


def canonical(text: str) -> str:
    """Lower case, without markup, articles and punctuation; synonyms become one word."""
    if len(text) > MAX_CANONICAL:
        return text
    plain = _IGNORED.sub(" ", _APOSTROPHE.sub("", _MARKUP.sub(" ", text).lower()))
    plain = " ".join(plain.replace("-", " ").split())
    if len(plain) < MAX_STATEMENT and (found := _STATED.search(plain)):
        return "does not exist" if found[1] else found[2] or found[3] or found[4] or "no solution"
    if found := _CONVERGENCE.fullmatch(plain):
        return "converges" if bool(found[1]) != (found[2] == "converge") else "diverges"
    return _SYNONYMS.get(plain, plain)


def same_words(a: str, b: str, policy: str) -> bool:
    """`policy`: loose or exact, see `Policy.text`. Text without a letter or digit equals nothing."""
    if without_spaces(a) == without_spaces(b):
        return any(c.isalnum() for c in a)
    if policy == "exact":
        return False
    parts_a, parts_b = _parts(a), _parts(b)
    if parts_a == parts_b and len(parts_a) > 1:
        return True
    x, y = canonical(a), canonical(b)
    return any(c.isalnum() for c in x) and x.replace(" ", "") == y.replace(" ", "")


def _parts(text: str) -> list[str]:
    """The members of a list of words, sorted: `Alice and Bob` is `Bob, Alice`."""
    if len(text) > MAX_LIST:
        return []
    return sorted(filter(None, map(canonical, _PART_SEPARATOR.split(text))))


def means_empty_set(words: str) -> bool:
    return canonical(words) in ("no solution", "none")


def names_value(words: str, value: Value) -> bool:
    """Whether words name a value: `infinity`, `three`; a symbol or a product of letters spelled as a word."""
    if words.startswith("ordinal "):  # `12th` is 12
        _, place, *noun = words.split()
        return value.node == num(int(place)) and _KINDS_OF_NUMBER.isdisjoint(noun)
    if words.startswith("time ") and words.endswith(":00"):  # `3 o'clock` is 3
        return value.node == num(int(words[5:-3])) and int(words[5:-3]) <= HOURS
    plain = canonical(words)
    if plain in ("infinity", "positive infinity", "negative infinity"):
        return value.node == (NEG_INF if plain.startswith("negative") else INF)
    number = number_in_words(plain)
    if number is not None:
        return value.node.op in ("num", "dec") and value.node.value == number and not _DANGLING.search(words)
    spelled = _spelled(value.node)
    if not spelled or spelled != plain.replace(" ", "") or _DANGLING.search(words):
        return False
    return not (len(spelled) == 1 and _MARKED.search(words))


def _spelled(node: Node) -> str | None:
    if node.op in ("sym", "const", "text"):
        return str(node.value).lower()
    letters = [_spelled(a) for a in node.args] if node.op == "mul" else [None]
    return None if None in letters else "".join(map(str, letters))


RULES: Rules = {
    (Value, Value): _value_value,
    (Value, Text): lambda comparison, a, b: names_value(b.words, a),
    (Text, Text): _text_text,
    **{(kind, Choice): _any_choice for kind in before(Choice)},
    (Choice, Choice): _choice_choice,
}
