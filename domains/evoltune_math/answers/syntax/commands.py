"""LaTeX commands, and words that are written without a backslash but mean one (`sqrt(2)`, `pi`).

`command(cursor, name)` reads the arguments of `\\name`; the cursor is after the name.
"""

from evoltune_math.answers.nodes import Node, const, div, fn, neg, num, seq, sym, walk
from evoltune_math.answers.syntax.big_operators import BIG_OPERATORS, big_operator
from evoltune_math.answers.syntax.brackets import FENCES, bars, call, fence, skip_group
from evoltune_math.answers.syntax.environments import environment
from evoltune_math.answers.syntax.functions import ROOTS, function, root
from evoltune_math.answers.syntax.grammar import FRACTIONS, RELATION, SIGNED, Cursor
from evoltune_math.answers.syntax.scripts import maybe_call
from evoltune_math.answers.syntax.tokens import Unreadable
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, NUMBER_SETS, word_set

_ARROWS = ("hat", "vec", "overrightarrow")
_ALPHABETS = ("mathcal", "mathfrak", "mathscr")
_ACCENTS = word_set(
    "vec hat bar overline tilde widehat overrightarrow mathbb mathcal mathfrak mathscr dot ddot "
    "underline overleftrightarrow widetilde check breve overarc wideparen acute grave"
)
_PREFIX_SIGNS = word_set("angle triangle measuredangle sphericalangle square odot forall exists neg Box")


def command(cursor: Cursor, name: str) -> Node:
    """The node of `\\name` with its arguments. Raises `Unreadable`."""
    if name in FRACTIONS:
        return div(cursor.argument(), cursor.argument())
    if name in ("binom", "dbinom", "tbinom"):
        if cursor.peek().text == "(":
            return fn("binom", *call(cursor))
        return fn("binom", cursor.argument(), cursor.argument())
    if name in ROOTS:
        return root(cursor, name)
    if name in FENCES or name in ("langle", "lang"):
        return fence(cursor, name)
    if name in ("|", "Vert"):
        return bars(cursor, "norm", "|")
    if name == "vert":
        return bars(cursor, "abs", "|")
    if name in _ACCENTS:
        return _accent(cursor, name)
    if name in BIG_OPERATORS:
        return big_operator(cursor, BIG_OPERATORS[name])
    if name.startswith("begin:"):
        return environment(cursor, name[6:])
    if name in ("pm", "mp"):
        inside = cursor.expression(SIGNED)
        return Node("pm", (num(0), inside if name == "pm" else neg(inside)))
    return _named(cursor, name)


def _named(cursor: Cursor, name: str) -> Node:
    if name in CONSTANTS:
        return const(CONSTANTS[name])
    if name in FUNCTIONS:
        return function(cursor, FUNCTIONS[name])
    if name in GREEK:
        return maybe_call(cursor, sym(name))
    if name in ("emptyset", "varnothing"):
        return seq("{}", ())
    if name == "therefore":
        return cursor.expression(0)
    if name in _PREFIX_SIGNS:
        return fn("?angle" if name == "measuredangle" else f"?{name}", cursor.expression(SIGNED))
    if name in ("R", "N", "Z", "Q", "C", "reals", "Reals"):
        return const(NUMBER_SETS[name])
    if name in ("ldots", "dots", "cdots"):
        return Node("text", (), "...")
    if name in ("imath", "jmath"):
        return sym(name[0])
    if name in ("approx", "sim", "simeq"):
        return cursor.expression(RELATION)
    if name.isalpha():
        return maybe_call(cursor, sym("\\" + name))
    raise Unreadable(f"unexpected \\{name}")


def _accent(cursor: Cursor, name: str) -> Node:
    """`\\vec{v}`, `\\overline{AB}`, `\\mathbb{R}`: a symbol whose name says what is above it."""
    inside = cursor.argument()
    if name == "mathbb" and inside.op == "sym":
        return const(f"{inside.value}{_set_suffix(cursor)}")
    if inside.op == "const" and name in _ARROWS:
        return sym(str(inside.value), "v")
    text = "".join(str(n.value) for n in walk(inside) if n.value is not None)
    if inside.op != "sym":
        return sym(f"{name}:{text}")
    if name in _ARROWS and inside.value in ("i", "j", "k", "x", "y", "z"):
        return maybe_call(cursor, sym(str(inside.value), "v"))
    return maybe_call(cursor, sym(text if name in _ALPHABETS else f"{name}:{text}"))


def _set_suffix(cursor: Cursor) -> str:
    """What qualifies a number set: the `+` of `\\mathbb{Z}^+`, the `>0` of `\\mathbb{R}_{>0}`."""
    suffix = ""
    while (
        cursor.peek().text in ("^", "_")
        and cursor.peek(1).text in ("+", "-", "*", "{", "n", "2", "3")
        and cursor.peek(1).kind in ("op", "num", "sym")
    ):
        cursor.take()
        start = cursor.at
        if cursor.accept("op", "+", "-", "*") is None:
            if cursor.peek().text == "{":
                skip_group(cursor)
            else:
                cursor.argument()
        suffix += "".join(t.text for t in cursor.tokens[start : cursor.at] if t.text not in "{}")
    return suffix
