"""Roots and functions with their arguments: `\\sqrt[3]{8}`, `\\sin^2 x`, `\\log_2 8`, `\\sin^{-1}(x)`, `max(1, 2)`."""

from evoltune_math.answers.nodes import ONE, Node, const, div, fn, neg, num, product
from evoltune_math.answers.syntax.brackets import call
from evoltune_math.answers.syntax.grammar import POWER, PRODUCT, Cursor, closes
from evoltune_math.answers.syntax.tokens import Token
from evoltune_math.answers.vocabulary import CONSTANTS, GREEK, word_set

ROOTS = {"sqrt": None, "Sqrt": None, "root": None, "cbrt": num(3), "fourthroot": num(4)}
"""Command -> its index; None: two, or the index that is written."""
_INVERTIBLE = word_set("sin cos tan cot sec csc sinh cosh tanh")
MAX_FACTORS = 40


def root(cursor: Cursor, name: str) -> Node:
    index: Node | None = ROOTS[name]
    if cursor.accept("op", "["):
        index = cursor.items(closes("]"))
        cursor.take()
    if cursor.peek().is_op("("):
        args = call(cursor)
        if len(args) == 2 and name in ("root", "Sqrt", "sqrt"):
            return Node("root", args)
        inside = args[0]
    elif cursor.peek().kind == "num":  # `\\sqrt12` is the root of twelve, although TeX prints that of one
        inside = cursor.prefix()
    else:
        inside = cursor.argument()
    return fn("sqrt", inside) if index is None or index == num(2) else Node("root", (inside, index))


def function(cursor: Cursor, name: str) -> Node:
    """A known function; the cursor is after its name."""
    if name in ("sqrt", "cbrt"):
        return root(cursor, name)
    power = base = None
    while cursor.peek().is_op("^", "_"):
        mark = cursor.take().text
        argument = cursor.argument() if mark == "_" or cursor.peek().text == "{" else cursor.expression(POWER)
        power, base = (argument, base) if mark == "^" else (power, argument)
    if name in ("log2", "log10"):
        base, name = num(int(name[3:])), "log"
    args = _arguments(cursor)
    if power == neg(ONE) and name in _INVERTIBLE:
        name, power = ("ar" if name.endswith("h") else "arc") + name, None
    if name == "pow" and len(args) == 2:
        return Node("pow", args)
    if name == "factorial":
        return Node("fact", args, "!")
    if name == "abs":
        return Node("abs", args)
    if name == "log" and base is not None:
        args = (*args, base)
    node = Node("pow", (const("e"), args[0])) if name == "exp" and len(args) == 1 else fn(name, *args)
    return Node("pow", (node, power)) if power is not None else node


def _arguments(cursor: Cursor) -> tuple[Node, ...]:
    token = cursor.peek()
    if token.is_op("("):
        return call(cursor)
    if token.is_op("["):
        cursor.take()
        inside = cursor.items(closes("]"))
        cursor.take()
        return (inside,)
    return cursor.prefix().args if token.is_op("\\{") else (_bare_argument(cursor),)


def _bare_argument(cursor: Cursor) -> Node:
    """`\\sin 2x \\cos y`: the factors side by side, up to the next function, bracket or sign."""
    factors = [cursor.expression(PRODUCT if cursor.peek().text in ("-", "+") else POWER - 1)]
    while len(factors) < MAX_FACTORS:
        token = cursor.peek()
        if cursor.integrals and token.text == "d" and cursor.peek(1).kind == "sym":
            break
        if token.is_op("/") and cursor.peek(1).kind in ("num", "sym"):
            cursor.take()
            factors = [div(product(factors), cursor.expression(POWER - 1))]
        elif _is_factor(token) and not (token.kind == "num" and factors[-1].op in ("num", "dec")):
            factors.append(cursor.expression(POWER - 1))
        else:
            break
    return product(factors)


def _is_factor(token: Token) -> bool:
    if token.kind == "cmd":
        return token.text in GREEK or token.text in CONSTANTS or token.text in ("frac", "dfrac", "tfrac", "sqrt")
    return token.kind in ("num", "sym")
