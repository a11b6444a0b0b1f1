"""The names that mathematics in LaTeX and plain text uses: functions, constants, Greek letters, sets, relations."""


def word_set(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


GREEK = word_set(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi "
    "rho varrho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma "
    "Upsilon Phi Psi Omega ell hbar aleph partial nabla"
)
CIRCULAR = ["sin", "cos", "tan", "cot", "sec", "csc"]
HYPERBOLIC = ["sinh", "cosh", "tanh", "coth", "sech", "csch"]
FUNCTIONS: dict[str, str] = {
    **{name: name for name in [*CIRCULAR, *HYPERBOLIC, *["ln", "log", "exp", "sgn", "cis", "erf", "gcd", "lcm", "max", "min", "det", "Re", "Im", "arg"]]},
    **{prefix + name: "arc" + name for prefix in ("arc", "a") for name in CIRCULAR},
    **{prefix + name: "ar" + name for prefix in ("ar", "arc", "a") for name in HYPERBOLIC},
    "lg": "log10", "tg": "tan", "ctg": "cot", "arctg": "arctan", "cosec": "csc", "sign": "sgn", "GCD": "gcd", "LCM": "lcm",
    "abs": "abs", "Abs": "abs", "floor": "floor", "ceil": "ceil", "ceiling": "ceil", "sqrt": "sqrt", "Sqrt": "sqrt", "cbrt": "cbrt",
    "factorial": "factorial", "binomial": "binom", "comb": "binom", "binom": "binom", "nCr": "binom", "nPr": "perm", "perm": "perm",
    "Gamma": "gamma", "root": "root", "frac": "frac", "log2": "log2", "log10": "log10", "pow": "pow", "conjugate": "conj", "conj": "conj",
    "hcf": "gcd", "Log": "log", "Ln": "ln", "Sin": "sin", "Cos": "cos", "Tan": "tan", "Arctan": "arctan", "Arcsin": "arcsin", "Arccos": "arccos",
}  # fmt: skip
"""A function's name as written -> its name in the tree."""
TRIGONOMETRIC = frozenset([*CIRCULAR, "cis"])  # functions whose argument may be in degrees
CONSTANTS = {"pi": "pi", "Pi": "pi", "infty": "inf", "infinity": "inf", "Infinity": "inf", "inf": "inf", "oo": "inf", "varpi": "pi",
             "infin": "inf", "INF": "inf", "iinf": "inf"}  # fmt: skip
NUMBER_SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C", "reals": "R", "Reals": "R", "real": "R"}

RELATIONS = {
    "=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": ">=", "!=": "!=", "<>": "!=", "~": "~", ":=": "=",
    "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\leqq": "<=", "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\\geqq": ">=",
    "\\lt": "<", "\\gt": ">", "\\ne": "!=", "\\neq": "!=", "\\approx": "~", "\\simeq": "~", "\\doteq": "~", "\\approxeq": "~", "\\thickapprox": "~",
    "\\sim": "sim", "\\equiv": "mod", "\\in": "in", "\\isin": "in", "\\notin": "notin", "\\to": "to", "\\rightarrow": "to", "\\cong": "cong",
    "\\Rightarrow": "implies", "\\implies": "implies", "\\Leftrightarrow": "iff", "\\iff": "iff", "\\subset": "subset",
    "\\subseteq": "subset", "\\parallel": "parallel", "\\perp": "perp", "\\propto": "propto", "\\coloneqq": "=", "\\triangleq": "=",
    "\\mapsto": "maps", "\\longrightarrow": "to",
}  # fmt: skip
"""A sign or command -> the relation it stands for; `~` is approximate equality."""
FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}
"""The sign after the sides are exchanged."""

TEXT_WORDS = word_set(
    "yes no odd even none true false all both dne not one two six ten any up down left right male "
    "female red blue green win lose tie sat sun mon tue wed thu fri jan feb mar apr may jun jul "
    "aug sep oct nov dec new old rat tar day night boy girl"
)
"""Words of two to four letters that are words, not products of letters."""
SEPARATOR_WORDS = word_set("and or und oder et ou y o")
