"""LaTeX commands, and words that are written without a backslash but mean one: `\\vec{v}`, `\\sin^2 x`, `sqrt(2)`, `\\sum`.

`command(cursor, name)` reads the arguments of `\\name`; the cursor is after the name.
"""

from itertools import pairwise

from evoltune_math.answers.nodes import EMPTY, ONE, Node, const, div, fn, neg, num, product, seq, sym, walk
from evoltune_math.answers.syntax.brackets import FENCES, bars, bounds, call, environment, fence, skip_group
from evoltune_math.answers.syntax.grammar import FRACTIONS, Bind, Cursor, Unreadable, closes
from evoltune_math.answers.syntax.scripts import maybe_call
from evoltune_math.answers.vocabulary import CONSTANTS, FUNCTIONS, GREEK, NUMBER_SETS, word_set

_ARROWS = ("hat", "vec", "overrightarrow")
_FIXED: dict[str, Node] = {
    **{name: const(meaning) for name, meaning in CONSTANTS.items()},
    **{name: const(NUMBER_SETS[name]) for name in ("R", "N", "Z", "Q", "C", "reals", "Reals")},
    **dict.fromkeys(["emptyset", "varnothing"], seq("{}", ())),
    **dict.fromkeys(["ldots", "dots", "cdots"], Node("text", (), "...")),
    **{"imath": sym("i"), "jmath": sym("j")},
}
_ALPHABETS = ("mathcal", "mathfrak", "mathscr")
_ACCENTS = word_set(
    "vec hat bar overline tilde widehat overrightarrow mathbb mathcal mathfrak mathscr dot ddot "
    "underline overleftrightarrow widetilde check breve overarc wideparen acute grave"
)
_PREFIX_SIGNS = word_set("angle triangle measuredangle sphericalangle square odot forall exists neg Box")
ROOTS = {"sqrt": None, "Sqrt": None, "surd": None, "root": None, "cbrt": num(3), "fourthroot": num(4)}
"""Command -> its index; None: two, or the index that is written."""
_INVERTIBLE = word_set("sin cos tan cot sec csc sinh cosh tanh")
_FACTORS = frozenset([*GREEK, *CONSTANTS, "frac", "dfrac", "tfrac", "sqrt"])
MAX_FACTORS = 40
_DIFFERENTIALS = {"int": 1, "oint": 1, "iint": 2, "iiint": 3, "oiint": 2}
"""An integral's command -> how many differentials it takes at most: `\\iint_D f\\,dA` has one."""
BIG_OPERATORS = frozenset(["sum", "prod", "lim", *_DIFFERENTIALS])
_BOUNDED_BELOW = frozenset(["max", "min", "gcd", "lcm"])
"""Functions of several values; of a single one they take the extreme over something that is not written."""


def command(cursor: Cursor, name: str) -> Node:
    """The node of `\\name` with its arguments. Raises `Unreadable`."""
    if name in FRACTIONS:
        return div(cursor.argument(), cursor.argument())
    if name in ("binom", "dbinom", "tbinom"):
        return fn("binom", *(call(cursor) if cursor.peek().text == "(" else (cursor.argument(), cursor.argument())))
    if name in ROOTS:
        return root(cursor, name)
    if name in FENCES or name in ("langle", "lang"):
        return fence(cursor, name)
    if name in ("|", "Vert", "vert"):
        return bars(cursor, "abs" if name == "vert" else "norm", "|")
    if name in _ACCENTS:
        return _accent(cursor, name)
    if name in BIG_OPERATORS:
        return big_operator(cursor, name)
    if name.startswith("begin:"):
        return environment(cursor, name[6:])
    if name in ("pm", "mp"):
        inside = cursor.expression(Bind.SIGNED)
        return Node("pm", (num(0), inside if name == "pm" else neg(inside)))
    return _named(cursor, name)


def _named(cursor: Cursor, name: str) -> Node:
    if name in _FIXED:
        return _FIXED[name]
    if name in FUNCTIONS:
        return function(cursor, FUNCTIONS[name])
    if name in GREEK:
        return maybe_call(cursor, sym(name))
    if name == "therefore":
        return cursor.expression(0)
    if name in _PREFIX_SIGNS:
        return fn("?angle" if name == "measuredangle" else f"?{name}", cursor.expression(Bind.SIGNED))
    if name in ("approx", "sim", "simeq"):
        return cursor.expression(Bind.RELATION)
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
    if (
        name in ("overline", "bar")
        and inside.op in ("add", "mul", "neg")
        and any(n == const("i") for n in walk(inside))
    ):
        return fn("conj", inside)
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
        argument = cursor.argument() if mark == "_" or cursor.peek().text == "{" else cursor.expression(Bind.POWER)
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
    elif base is not None or (name in _BOUNDED_BELOW and len(args) == 1):  # `\\max_{x \\in D} f(x)`
        args, name = (*args, base or EMPTY), f"?{name}"
    elif name == "det" and args[0].op == "matrix":
        return args[0]._replace(note="det")
    node = Node("pow", (const("e"), args[0])) if name == "exp" and len(args) == 1 else fn(name, *args)
    return Node("pow", (node, power)) if power is not None else node


def _arguments(cursor: Cursor) -> tuple[Node, ...]:
    if cursor.peek().is_op("("):
        return call(cursor)
    if cursor.accept("op", "["):
        inside = cursor.items(closes("]"))
        cursor.take()
        return (inside,)
    return cursor.prefix().args if cursor.peek().is_op("\\{") else (_bare_argument(cursor),)


def _bare_argument(cursor: Cursor) -> Node:
    """`\\sin 2x \\cos y`: the factors side by side, up to the next function, bracket or sign."""
    factors = [cursor.expression(Bind.PRODUCT if cursor.peek().text in ("-", "+") else Bind.POWER - 1)]
    while len(factors) < MAX_FACTORS:
        token = cursor.peek()
        if cursor.integrals and token.text == "d" and cursor.peek(1).kind == "sym":
            break
        if token.is_op("/") and cursor.peek(1).kind in ("num", "sym"):
            cursor.take()
            factors = [div(product(factors), cursor.expression(Bind.POWER - 1))]
        elif token.kind == "num" and factors[-1].op in ("num", "dec"):
            break
        elif token.kind in ("num", "sym") or (token.kind == "cmd" and token.text in _FACTORS):
            factors.append(cursor.expression(Bind.POWER - 1))
        else:
            break
    return product(factors)


def big_operator(cursor: Cursor, op: str) -> Node:
    """`\\sum_{k=1}^{n} k`, `\\int_0^1 x dx`, `\\lim_{x \\to 0} f`; the cursor is after the command."""
    below, above = bounds(cursor)
    if op not in _DIFFERENTIALS:
        body, below = _rename_index(cursor.expression(Bind.SIGNED), below)
        return Node("bigop", (body, below or EMPTY, above or EMPTY), op)
    cursor.integrals += 1
    written = cursor.expression(Bind.SUM - 1)
    cursor.integrals -= 1
    body, variables, rest = _integrand(written, _DIFFERENTIALS[op])
    if rest and not cursor.integrals:
        raise Unreadable("more differentials than integrals")
    return product([Node("bigop", (body, below or EMPTY, above or EMPTY), op, " ".join(variables)), *rest])


def _rename_index(body: Node, below: Node | None) -> tuple[Node, Node | None]:
    """The body and `k = 1` with the index renamed to `?0`, `?1` ..., so that its letter does not matter."""
    if below is None or below.op != "rel" or below.args[0].op not in ("sym", "const"):
        return body, below
    index = below.args[0]
    name = sym(f"?{sum(n.op == 'bigop' for n in walk(body))}")

    def renamed(node: Node) -> Node:
        if node == index:
            return name
        return node._replace(args=tuple(renamed(a) for a in node.args)) if node.args else node

    return renamed(body), renamed(below)


def ends_integral(node: Node) -> bool:
    """Whether a term has a differential: `x^2\\,dx`, `dx/x`. What is added to it stands behind the integral."""
    if node.op in ("div", "neg"):
        return ends_integral(node.args[0])
    return node.op == "mul" and any(a == sym("d") and b.op == "sym" for a, b in pairwise(node.args))


def _integrand(body: Node, most: int) -> tuple[Node, list[str], list[Node]]:
    """The integrand without its `dx`, at most so many variables, and the factors from the next `dy` on, which is of an integral
    further out: `\\int\\int x\\,dx\\,dy`. Raises `Unreadable` if there is no `dx`."""
    if body.op in ("div", "neg", "add"):
        at = len(body.args) - 1 if body.op == "add" else 0
        inside, variables, rest = _integrand(body.args[at], most)
        if rest:
            raise Unreadable("differentials of several integrals in one term")
        return body._replace(args=(*body.args[:at], inside, *body.args[at + 1 :])), variables, rest
    args = list(body.args) if body.op == "mul" else []
    variables = []
    at = 0
    while at < len(args) - 1:
        if args[at] != sym("d") or args[at + 1].op != "sym":
            at += 1
        elif len(variables) < most:
            variables.append(str(args[at + 1].value))
            del args[at : at + 2]
        else:
            break
    if not variables:
        raise Unreadable("an integral without its dx")
    inner, rest = (args[:at], args[at:]) if at < len(args) - 1 else (args, [])
    return (product(inner) if inner else ONE), variables, rest
