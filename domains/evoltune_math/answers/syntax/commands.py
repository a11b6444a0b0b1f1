"""Commands that read arguments of their own: fractions, roots, functions, bars, matrices, sums, integrals.

`command(parser, name)` is called with the cursor behind `\\name` (or behind the plain word `name`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from evoltune_math.answers.nodes import HALF, Node, const, fn, num, seq, sym, walk
from evoltune_math.answers.syntax import scripts
from evoltune_math.answers.syntax.lexer import Token, Unreadable
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, NUMBER_SETS, word_set

if TYPE_CHECKING:
    from evoltune_math.answers.syntax.parser import Parser

PRODUCT, POWER = 30, 50
_ACCENTS = word_set(
    "vec hat bar overline tilde widehat overrightarrow mathbb mathcal mathfrak mathscr dot ddot "
    "underline overleftrightarrow widetilde check breve overarc wideparen acute grave"
)
_PAIRS = {
    "lfloor": ("rfloor", "floor"),
    "lceil": ("rceil", "ceil"),
    "lvert": ("rvert", "abs"),
    "lVert": ("rVert", "norm"),
}
_BIG = {"sum": "sum", "prod": "prod", "int": "int", "lim": "lim", "iint": "int", "oint": "int"}
_MATRICES = word_set(
    "matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix array psmallmatrix bsmallmatrix"
)


def fraction(digits: str) -> Fraction:
    return Fraction(int(digits))


def numeric(node: Node) -> bool:
    """Whether the tree is a number that may carry a unit."""
    return all(n.op in ("num", "dec", "neg", "div", "add", "mul", "pow", "pm", "base", "pct", "seq", "ratio") or (n.op == "const" and n.value == "pi") or (n.op == "fn" and n.value == "sqrt") or n.op == "root" for n in walk(node))  # fmt: skip


def measurable(node: Node) -> bool:
    """Whether a text that follows can be its unit: no text in it, no relation."""
    return all(n.op not in ("text", "rel") for n in walk(node))


def mixed(parser: Parser, whole: Node) -> Node | None:
    """`11\\frac{5}{12}` and `11 5/12`: a whole number before a proper fraction of whole numbers."""
    token = parser.peek()
    if token.kind == "cmd" and token.text in ("frac", "dfrac", "tfrac", "cfrac"):
        start = parser.at
        saved = list(parser.tokens)
        parser.take()
        top, bottom = parser.argument(), parser.argument()
        if top.op == bottom.op == "num" and _proper(top, bottom):
            return Node("add", (whole, Node("div", (top, bottom))))
        parser.at, parser.tokens = start, saved
        return None
    slash, below = parser.peek(1), parser.peek(2)
    if (
        token.kind == "num"
        and slash.text == "/"
        and below.kind == "num"
        and token.value is not None
        and below.value is not None
    ):
        top, bottom = num(token.value), num(below.value)
        if _proper(top, bottom):
            parser.at += 3
            return Node("add", (whole, Node("div", (top, bottom))))
    return None


def _proper(top: Node, bottom: Node) -> bool:
    assert isinstance(top.value, Fraction) and isinstance(bottom.value, Fraction)
    return 0 <= top.value < bottom.value and bottom.value.denominator == top.value.denominator == 1


def bars(parser: Parser, op: str, closer: str) -> Node:
    """`|...|` and `||...||`: the cursor is behind the opening bar."""
    parser.bars.append(closer)
    inside = parser.expression(0)
    parser.bars.pop()
    for _ in closer:
        if (
            parser.accept("op", "|") is None
            and parser.accept("cmd", "vert", "rvert", "|", "Vert", "rVert") is None
        ):
            raise Unreadable("a bar is not closed")
        if (
            parser.tokens[parser.at - 1].text in ("|", "Vert", "rVert")
            and parser.tokens[parser.at - 1].kind == "cmd"
        ):
            break
    return Node(op, (inside,))


def splits(token: Token, opener: str) -> bool:
    """Whether the token splits a group in two: `n \\choose k`, `a \\over b`, `{x | x > 3}`."""
    if opener == "\\{":
        return (token.kind == "op" and token.text in (":", "|")) or (
            token.kind == "cmd" and token.text in ("mid", "colon", "vert", "middle")
        )
    return token.text in ("choose", "over") and token.kind in ("cmd", "word")


def split_group(parser: Parser, left: Node, opener: str, ends: bool = False) -> Node:
    mark = parser.take().text
    right = parser.items(
        lambda t: (ends and t.kind == "end") or (t.kind == "op" and t.text in ("}", ")", "\\}", "]"))
    )
    if opener == "\\{":
        return Node("builder", (left, right))
    return fn("binom", left, right) if mark == "choose" else Node("div", (left, right))


def command(parser: Parser, name: str) -> Node:
    """The node of `\\name` with its arguments."""
    if name in ("frac", "dfrac", "tfrac", "cfrac"):
        return Node("div", (parser.argument(), parser.argument()))
    if name in ("binom", "dbinom", "tbinom"):
        return (
            fn("binom", *_call(parser))
            if parser.peek().text == "("
            else fn("binom", parser.argument(), parser.argument())
        )
    if name in ("sqrt", "cbrt", "fourthroot", "Sqrt", "root"):
        return _root(parser, name)
    if name in _PAIRS:
        closer, op = _PAIRS[name]
        inside = parser.items(lambda t: t.kind == "cmd" and t.text == closer)
        parser.take()
        return fn(op, inside) if op in ("floor", "ceil") else Node(op, (inside,))
    if name in ("|", "Vert"):
        return bars(parser, "norm", "|")
    if name == "vert":
        return bars(parser, "abs", "|")
    if name in ("langle", "lang"):
        inside = parser.items(lambda t: t.kind == "cmd" and t.text in ("rangle", "rang"))
        parser.take()
        return seq("<>", inside.args if inside.op == "seq" and inside.value == "" else (inside,))
    if name in _ACCENTS:
        return _accent(parser, name)
    if name in _BIG:
        return _big(parser, _BIG[name])
    if name[:6] == "begin:":
        return _environment(parser, name[6:])
    if name in ("pm", "mp"):
        inside = parser.expression(PRODUCT - 1)
        return Node("pm", (num(0), inside if name == "pm" else Node("neg", (inside,))))
    return _named(parser, name)


def _named(parser: Parser, name: str) -> Node:
    if name in CONSTANTS:
        return const(CONSTANTS[name])
    if name in FUNCTIONS:
        return _function(parser, FUNCTIONS[name])
    if name in GREEK:
        return scripts.called(parser, sym(name))
    if name in ("emptyset", "varnothing"):
        return seq("{}", ())
    if name in (
        "angle",
        "triangle",
        "measuredangle",
        "sphericalangle",
        "square",
        "odot",
        "therefore",
        "forall",
        "exists",
        "neg",
        "Box",
    ):
        if name in ("therefore",):
            return parser.expression(0)
        return fn("?" + ("angle" if name == "measuredangle" else name), parser.expression(PRODUCT - 1))
    if name in ("Re", "Im", "R", "N", "Z", "Q", "C", "reals", "Reals"):
        return const(NUMBER_SETS.get(name, name))
    if name in ("ldots", "dots", "cdots"):
        return Node("text", (), "...")
    if name in ("imath", "jmath"):
        return sym(name[0])
    if name in ("approx", "sim", "simeq"):
        return parser.expression(10)
    if name.isalpha() and len(name) > 0:
        return scripts.called(parser, sym("\\" + name))
    raise Unreadable(f"unexpected \\{name}")


def _root(parser: Parser, name: str) -> Node:
    index: Node | None = num(3) if name == "cbrt" else num(4) if name == "fourthroot" else None
    if parser.accept("op", "["):
        index = parser.items(lambda t: t.kind == "op" and t.text == "]")
        parser.take()
    if parser.peek().text == "(" and parser.peek().kind == "op":
        args = _call(parser)
        if len(args) == 2 and name in ("root", "Sqrt", "sqrt"):
            return Node("root", args)
        inside = args[0]
    elif parser.peek().kind == "num":  # sqrt12 is the root of twelve, whatever TeX would print
        inside = parser.prefix()
    else:
        inside = parser.argument()
    if index is None or index == num(2):
        return fn("sqrt", inside)
    return Node("root", (inside, index))


def _call(parser: Parser) -> tuple[Node, ...]:
    """The arguments in round brackets."""
    parser.expect("op", "(")
    bars_before, parser.bars = parser.bars, []
    inside = parser.items(lambda t: t.kind == "op" and t.text == ")")
    parser.bars = bars_before
    parser.take()
    return inside.args if inside.op == "seq" and inside.value == "" else (inside,)


def _function(parser: Parser, name: str) -> Node:
    """`\\sin^2 x`, `\\log_2 8`, `\\sin^{-1}(x)`, `\\ln 3x`, `max(1, 2)`."""
    if name == "sqrt":
        return _root(parser, "sqrt")
    if name == "cbrt":
        return _root(parser, "cbrt")
    power = base = None
    while parser.peek().kind == "op" and parser.peek().text in ("^", "_"):
        mark = parser.take().text
        argument = parser.argument() if mark == "_" or parser.peek().text == "{" else parser.expression(POWER)
        power, base = (argument, base) if mark == "^" else (power, argument)
    if name in ("log2", "log10"):
        base, name = num(int(name[3:])), "log"
    args = _arguments(parser)
    if power == Node("neg", (num(1),)) and name in (
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "sinh",
        "cosh",
        "tanh",
    ):
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


def _arguments(parser: Parser) -> tuple[Node, ...]:
    token = parser.peek()
    if token.kind == "op" and token.text == "(":
        return _call(parser)
    if token.kind == "op" and token.text == "[":
        parser.take()
        inside = parser.items(lambda t: t.kind == "op" and t.text == "]")
        parser.take()
        return (inside,)
    if token.kind == "op" and token.text == "\\{":
        inside = parser.prefix()
        return inside.args
    return (_bare_argument(parser),)


def _bare_argument(parser: Parser) -> Node:
    """`\\sin 2x \\cos y`: factors side by side, up to the next function, bracket or sign."""
    factors = [
        parser.expression(POWER - 1) if parser.peek().text not in ("-", "+") else parser.expression(PRODUCT)
    ]
    while True:
        token = parser.peek()
        plain = token.kind in ("num", "sym") or (
            token.kind == "cmd"
            and (
                token.text in GREEK
                or token.text in CONSTANTS
                or token.text in ("frac", "dfrac", "tfrac", "sqrt")
            )
        )
        if parser.integrals and token.text == "d" and parser.peek(1).kind == "sym":
            return _product(factors)
        slash = token.kind == "op" and token.text == "/" and parser.peek(1).kind in ("num", "sym")
        if slash and len(factors) < 40:
            parser.take()
            factors = [Node("div", (_product(factors), parser.expression(POWER - 1)))]
        elif plain and not (token.kind == "num" and factors[-1].op in ("num", "dec")) and len(factors) < 40:
            factors.append(parser.expression(POWER - 1))
        else:
            return _product(factors)


def _product(factors: list[Node]) -> Node:
    return factors[0] if len(factors) == 1 else Node("mul", tuple(factors))


def _accent(parser: Parser, name: str) -> Node:
    inside = parser.argument()
    if name == "mathbb" and inside.op == "sym":
        plus = ""
        while (
            parser.peek().text in ("^", "_")
            and parser.peek(1).text in ("+", "-", "*", "{", "n", "2", "3")
            and parser.peek(1).kind in ("op", "num", "sym")
        ):
            parser.take()
            start = parser.at
            if parser.accept("op", "+", "-", "*") is None:
                if parser.peek().text == "{":
                    depth = 0
                    while True:
                        t = parser.take()
                        depth += (t.text == "{") - (t.text == "}")
                        if depth <= 0 or t.kind == "end":
                            break
                else:
                    parser.argument()
            plus += "".join(t.text for t in parser.tokens[start : parser.at] if t.text not in "{}")
        return const(f"{inside.value}{plus}")
    text = "".join(str(n.value) for n in walk(inside) if n.value is not None)
    if inside.op == "const" and name in ("hat", "vec", "overrightarrow"):
        return sym(str(inside.value), "v")
    if inside.op == "sym":
        marked = name not in ("mathcal", "mathfrak", "mathscr")
        return scripts.called(
            parser,
            sym(f"{inside.value}", "v")
            if name in ("hat", "vec", "overrightarrow") and inside.value in ("i", "j", "k", "x", "y", "z")
            else sym(f"{name}:{text}" if marked else text),
        )
    return sym(f"{name}:{text}")


def _big(parser: Parser, op: str) -> Node:
    """`\\sum_{k=1}^{n} k`, `\\int_0^1 x dx`, `\\lim_{x \\to 0} f`: (body, below, above)."""
    below = above = None
    while parser.peek().text in ("_", "^") and parser.peek().kind == "op":
        mark = parser.take().text
        if parser.peek().text == "{":
            argument = parser.argument()
        else:
            argument = Node("neg", (parser.argument(),)) if parser.accept("op", "-") else parser.argument()
        below, above = (argument, above) if mark == "_" else (below, argument)
    empty = seq("", ())
    if op != "int":
        body, below = _bound(parser.expression(PRODUCT - 1), below)
        return Node("bigop", (body, below or empty, above or empty), op)
    parser.integrals += 1
    body, variable = _integrand(parser.expression(19))
    parser.integrals -= 1
    return Node("bigop", (body, below or empty, above or empty), op, variable)


def _bound(body: Node, below: Node | None) -> tuple[Node, Node | None]:
    """The body and `k = 1` with the index under a name of its own, so that its letter does not matter."""
    if below is None or below.op != "rel" or below.args[0].op not in ("sym", "const"):
        return body, below
    index, level = below.args[0], sum(n.op == "bigop" for n in walk(body))
    name = sym(f"?{level}")

    def renamed(node: Node) -> Node:
        if node == index:
            return name
        return node._replace(args=tuple(renamed(a) for a in node.args)) if node.args else node

    return renamed(body), renamed(below)


def _integrand(body: Node) -> tuple[Node, str]:
    """The integrand without its `dx`, and the variable."""
    if body.op == "mul":
        args = list(body.args)
        for at in range(len(args) - 1):
            if args[at] == sym("d") and args[at + 1].op == "sym":
                rest = args[:at] + args[at + 2 :]
                return (_product(rest) if rest else num(1)), str(args[at + 1].value)
    if body.op == "div":
        inner, variable = _integrand(body.args[0])
        return Node("div", (inner, body.args[1])), variable
    raise Unreadable("an integral without its dx")


def _environment(parser: Parser, name: str) -> Node:
    if name == "array" and parser.peek().text in ("{", "["):
        depth = 0
        while True:
            token = parser.take()
            depth += (token.text in "{[") - (token.text in "}]") if token.kind == "op" else 0
            if depth == 0 or token.kind == "end":
                break
    if name not in _MATRICES and name[-5:] != "cases":
        parser.tokens[parser.at :] = [t for t in parser.tokens[parser.at :] if t.text != "&"]
    rows: list[tuple[Node, ...]] = []
    row: list[Node] = []
    bars_before, parser.bars = parser.bars, []
    while True:
        token = parser.peek()
        if token.kind == "end":
            raise Unreadable(f"\\begin{{{name}}} is not closed")
        cell = parser.items(_cell_end) if not _cell_end(token) else seq("", ())
        row.append(cell)
        mark = parser.take()
        if mark.text in ("\\", "cr") or mark.text[:4] == "end:":
            if row != [seq("", ())]:
                rows.append(tuple(row))
            row = []
        if mark.text[:4] == "end:":
            break
    parser.bars = bars_before
    if name == "array" and len(rows) == 1 and len(rows[0]) == 1:
        return rows[0][0]
    if (
        name in ("cases", "dcases", "rcases", "array")
        and len(rows) > 0
        and all(len(r) == 1 and r[0].op == "rel" for r in rows)
    ):
        return seq("", tuple(r[0] for r in rows))
    if name in _MATRICES:
        kind = "det" if name == "vmatrix" else "array" if name == "array" else name
        return Node("matrix", tuple(seq("row", r) for r in rows), None, kind)
    if name in ("cases", "dcases", "rcases"):
        return Node("cases", tuple(seq("row", r) for r in rows))
    cells = tuple(c for r in rows for c in r if c != seq("", ()))
    return cells[0] if len(cells) == 1 else seq("", cells)


def _cell_end(token: Token) -> bool:
    return (token.kind == "op" and token.text == "&") or (
        token.kind == "cmd" and (token.text in ("\\", "cr") or token.text[:4] == "end:")
    )


__all__ = ["HALF", "bars", "command", "mixed", "numeric"]
