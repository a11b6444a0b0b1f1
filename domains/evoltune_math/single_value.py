"""Whether a sentence of prose states one value: every other value in it must be accounted for.

    only("So he needs 5 more stamps to reach 30.", "30")  ->  the span of 5: what comes behind `to reach` is a purpose
    only("Maria has 4 and Ben has 7.", "7")               ->  SEVERAL: nothing says which of the two is asked for

A value is accounted for where the sentence itself makes it a thing that is known (`the 16 glasses`, `out of 40`), a circumstance
(`After 4 hours John ...`), a part of the subject (`The sum of 4 and 5 is ...`), a purpose, a reason, an aside in brackets, a number of
an earlier step before a conclusion (`so`, `for a total of`, `together`), an operand of the chain, or what it denies. The list of these places
(`_KNOWN`) is closed: a value that stands anywhere else is another answer, and a text with two answers has none.
"""

import re
from dataclasses import dataclass, replace
from functools import cached_property

from evoltune_math.answers.units import part
from evoltune_math.claims import claim
from evoltune_math.labels import is_name, is_unfinished
from evoltune_math.prose import FORMULA, NUMBER, formula_content, is_formula

Span = tuple[int, int]
SEVERAL: Span = (-1, -1)
"""Of a sentence that states more than one value."""
STATES_NONE: Span = (-2, -2)
"""Of a sentence whose numbers name things or wait for an operation."""
MAX_SENTENCE = 600
MAX_VALUES = 16
_HERE, _OTHER = "@", "#"
_ABBREVIATION = re.compile(r"(?:\b(?:i\.e|e\.g|approx|vs|mr|mrs|ms|dr|st|no|fig)|\b[a-z])\.$", re.I)
_SENTENCE_END = re.compile(r"[.!?](?:\$\$?|\\[\])])?(?=\s+[A-Z$\\\d(*\"-])|\n|。")
_DIGITS = re.compile(r"\d[\d,]*(?:\.\d+)?")
_ORDINAL = re.compile(r"\s?(?:st|nd|rd|th|\^\{?\\?(?:text\{)?(?:st|nd|rd|th))\b")
_TUPLE = re.compile(r"[(\[]\s?-?\d[\d./]*(?:[,;]\s?-?\d[\d./]*)+\s?[)\]]")
_UNIT, _PARTED = re.compile(r"\s?([A-Za-z]{1,8})"), re.compile(r"\s?([A-Za-z]{1,8})(?:,|,?\sand)?\s")
_SUBSCRIPT = re.compile(r"_\{?\w+\}?")
_OF = r"(?!(?:and|but|or|so|then|while|which|is|are|was|were|has|have|had)\b)"
_MEASURE = rf"(?:\s?/\s?(?=[^\W\d_]))?(?:{_OF}[^\W\d_]+(?:['’/-][^\W\d_]+)*\.?\s|\\?%\s?){{0,4}}"
_MONEY = r"(?:\s?\\?[$€£])?"
_STEP = re.compile(rf"\)?\s?{_MEASURE}(?:\*\*|[-–−+*/×÷·^x√]|\\times|\\cdot|\\div)\s?\(?{_MONEY}")
_RESULT = re.compile(rf"\)?\s?{_MEASURE}(?:=|≈|\\approx)\s?{_MONEY}")
_WIDE = str.maketrans("，；：。（）？", ",;:.()?")
_TOKEN = re.compile(r"[@#]|[^\W\d_]+(?:['’-][^\W\d_]+)*|[,;:()?=+*/<>—–-]|\.(?=\s|$)")

_W = r"(?:[^\W\d_]+(?:['’-][^\W\d_]+)* )"
_V = r"(?:[@#] )"
_PLAIN = rf"(?:(?!(?:and|but|or|while|whereas|yet) ){_W})"
_LEAD = r"(?:(?:so|thus|hence|therefore|then|finally|in conclusion|to summari[sz]e|overall|and|now|consequently|as a result) ,? ?)*"
_BE = r"(?:is|are|was|were|equals|be|=|becomes|comes to|amounts to)"
_DETERMINER = r"(?:the|these|those|his|her|their|its|our|my|your|all|every|each|both)"
_WHOLE = (
    r"(?:(?:first|last|next|other|remaining|original|initial|whole|entire|given|same|full|total|final|of|the|new|old) )"
)
_CIRCUMSTANCE = r"(?:in|after|at|within|during|over|with|for|by|of|on|out of|per|using|given)"
_SUPPOSITION = r"(?:if|when|since|because|given that|as|assuming|once|where)"
_CONCLUSION = (
    r"(?:so(?! (?:that|did|does|do|is|was|had|has)\b)|thus|hence|therefore|which rounds to|paying|earning|saving|which translates to|which results in|which brings|leaving|leaves|making|giving|totall?ing|i e|ie|namely|that is|meaning|which means|which makes|which gives"
    r"|which leaves|for a total of|bringing|resulting|amounting|worth|the (?:final |correct )?answer|the result"
    r"|only|an? (?:total|drop|rise|gain|loss|increase|decrease|difference|saving|reduction|profit) of)"
)
_START = rf"(?:^|[,;:–—-] (?={_CONCLUSION} )){_LEAD}"
_NUMBERED = "day|days|step|page|problem|question|part|chapter|grade|room|level|stage|round|case|method|option|equation|figure|table|row|column|line|phase|number"
_NOT_A_CONCLUSION = r"(?!(?:[^\W\d_]+ )?(?:sells?|sold) |is |are |was |makes |gives |equals |means |leaves |totals |comes |amounts |rounds |translates |results |brings )"
_KIND = re.compile(r"@ - [^\W\d_]{2,} ")
_THE_THINGS = rf"\b{_DETERMINER} {_WHOLE}{{0,2}}@ (?!{_BE} |and |or |but |to ){_W}"
_KNOWN_PLACES = (
    # the 16 glasses, each of the 4 friends; not `the 5 is`
    (_DETERMINER, _THE_THINGS),
    # the 400-meter hurdles
    ("-", _KIND.pattern),
    # 6 buses to carry 250 students; not `from 5 to about 9`, `needs 5 to get 9`
    (
        "to",
        rf"# (?:{_PLAIN}){{1,5}}(?<!need )(?<!needs )(?<!have )(?<!has )(?<!is )(?<!are )(?<!up )(?<!down )to "
        rf"(?!(?:about|roughly|exactly|only|just|almost|nearly|every|each|the|a|an|approximately|around|be) ){_PLAIN}{{1,4}}@",
    ),
    # To carry 80 stones, they need # trucks
    ("to", rf"{_START}(?:in order )?to {_PLAIN}{{1,4}}@ (?:{_PLAIN}){{1,6}}, (?!and |but |or )[^@,]*#"),
    # After 4 hours John is # miles away; At 12 pages a day, it takes # days
    (
        _CIRCUMSTANCE,
        rf"{_START}{_CIRCUMSTANCE} (?:(?!{_BE} ){_PLAIN}|# ){{0,6}}@ (?:(?!{_BE} )(?:{_W}|# )){{0,6}}, (?!{_CIRCUMSTANCE} |and |but |or |otherwise |while )[^@]*#",
    ),
    (_CIRCUMSTANCE, rf"{_START}{_CIRCUMSTANCE} (?:(?!{_BE} ){_PLAIN}){{0,4}}(?:= )?@ {_PLAIN}{{1,8}}#"),
    # 6 pens and 8 books cost #
    (
        "cost|costs",
        rf"(?:{_START}|^{_SUPPOSITION} [^,;]*, (?:then )?)(?:(?!costs? ){_PLAIN}|# |and |, ){{0,8}}?@ (?:(?!costs? ){_PLAIN}|# |and |, ){{0,8}}costs? {_PLAIN}{{0,2}}#",
    ),
    (
        _SUPPOSITION,
        rf"{_START}{_SUPPOSITION} [^,;]*@ [^,;]*, (?!{_SUPPOSITION} |and |but |or |otherwise |else |while )[^@]*#",
    ),
    # The probability of rolling a 6 is #; The sum of 4 and 5 is #
    (
        _BE,
        rf"(?:^|[,;:] ){_LEAD}(?:{_PLAIN}|(?:# (?:and|to|or) )?# |[-+*/^] ){{1,14}}(?<!is )(?<!are )(?<!was )(?<!has )(?<!have )(?<!gives )@ "
        rf"(?:{_PLAIN}|(?:and |to |or )?# |[-+*/^] ){{0,14}}?{_BE} (?:exactly |only |therefore |thus |about |approximately )*#",
    ),
    # The cost of 6 pens and 8 books is #
    (
        _BE,
        rf"(?:^|[,;:] ){_LEAD}(?:the|his|her|their|its) {_PLAIN}{{0,4}}(?:of|for|between) # {_PLAIN}{{1,2}}and @ {_PLAIN}{{0,3}}{_BE} #",
    ),
    # the value of x + 1, where x = 3, is #; # , attained at x = 2; # because ...
    (
        "where|since|because|whose|given|due|attained|achieved|reached|occurring|which|as",
        r"# [^;@]*(?:[,(] where|\b(?:since|because|whose|given that|due to|attained|achieved|reached|occurring|which occurs|which happens|as(?! (?:many|much|well|old|long|far|often|few|little|large|big|tall|fast|high|heavy) ))) (?:(?!so |thus |hence |therefore )[^@;])*@",
    ),
    ("when|after|before|once", rf"# {_PLAIN}{{0,4}},? ?(?:when|after|before|once) (?:{_PLAIN}|[=<>+*/-] |#  )*@"),
    # is reached at t = 5 and equals #
    (
        "attained|achieved|reached|occurs",
        rf"\b(?:attained|achieved|reached|occurs) (?:at|when|for) (?:{_PLAIN}|= )*@ ,? ?and (?:{_PLAIN}){{0,3}}?{_BE} #",
    ),
    (
        "minimum|maximum|minimal|maximal|least|greatest|smallest|largest",
        rf"\b(?:minimum|maximum|minimal|maximal|least|greatest|smallest|largest) (?:{_PLAIN}){{0,4}}# at (?:{_PLAIN}|= )*@",
    ),
    ("who|whose|where", r", (?:who|whose|where) [^,;@]*@ [^,;@]*,"),
    ("which", rf"# [^;@]*, which {_PLAIN}*@ {_W}?(?:more|fewer|less|times|larger|smaller|higher|lower) "),
    ("which", rf"# [^;@]*, which {_NOT_A_CONCLUSION}[^,;@]*@"),
    # # dollars, which is 25% of his salary
    ("which", rf"# [^;@]*, which (?:is|was|are|were) (?:only |just |about |exactly )?@ of {_DETERMINER} "),
    ("left|remaining|over|spare", r"\bwith @ (?:[^\W\d_]+ )?(?:left|remaining|over|to spare)"),
    ("would|could", r"@ (?:would|could) (?:be|have) [^#@]*(?:but|however|yet) .*#"),
    ("total", rf"\ba total of # {_PLAIN}{{0,3}}(?:in|over|within|during) (?:the )?@ "),
    # sqrt(2), roughly 1.4
    ("about|roughly|approximately", rf"# ,? ?(?:or |which is |that is )?(?:about|roughly|approximately) @ {_W}?\.? ?$"),
    # 15 of the 40, 3 out of 8
    ("of", rf"# {_PLAIN}{{0,2}}?(?:out )?of (?:the |all |a total of )?@"),
    # day 5, to 2 decimal places, divided by 7
    (_NUMBERED, rf"\b(?:{_NUMBERED}) @ (?!%)(?:[,;:)]|is|are|was|has|had|$)"),
    (
        "by|multiple|multiples|factor|factors|divisor|divisors|modulo|mod|base|power|nearest",
        r"\b(?:divisible by|divided by|multiplied by|multiples? of|factors? of|divisors? of|modulo|mod|base|power of|nearest) @",
    ),
    ("decimal|decimals|significant|d", r"@ (?:decimal places?|significant figures?|decimals?|d p) "),
    (
        "equation|function|expression|polynomial|inequality|parabola|fraction",
        r"\b(?:equation|function|expression|polynomial|inequality|parabola|fraction) @ (?!and |, ).*#",
    ),
)
"""(one of the words without which the place cannot be there, the place)"""


def _words(alternatives: str) -> frozenset[str]:
    """The first words of `(?:in|out of|...)`."""
    return frozenset(words.split()[0] for words in alternatives.removeprefix("(?:").removesuffix(")").split("|"))


_KNOWN = [(_words(words), re.compile(place)) for words, place in _KNOWN_PLACES]
_IN_PLACE = re.compile(rf"# {_PLAIN}{{1,2}}(?:in|on|at|for|from|among|over|with|during|within) {_THE_THINGS}")
"""Things that are known behind a value: `24 guests in the 2 halls`."""
_REALLY = r"(?:actually|really|in fact|in reality)"
_BEFORE_CONCLUSION = re.compile(
    rf"@[^@]*?(?:(?:[,;:.—–-]|and|,? but) {_CONCLUSION} |(?:bringing|leaving|making|giving|totall?ing) |so (?:it|he|she|they|we|i|you|there|each|his|her|their|its|the) |the (?:final |correct )?(?:answer|result|(?:next|last|missing) (?:term|number)) (?:is|:|=) "
    rf"|(?:but|however|though) ,? ?(?:{_REALLY} |(?:the|its|his|her|their) (?:correct|actual|right|true|real|proper) |(?:it|that|this|there) (?:is|are|was|were|should be) {_REALLY} )).*#"
)
_TO_CONCLUSION = (
    "so|thus|hence|therefore|which|leaving|leaves|making|giving|total|totalling|totaling|i|ie|namely|that|meaning|for|bringing|resulting|amounting|worth|the|only|a|an"
    "|but|however|though|paying|earning|saving"
)
_ROUNDED = re.compile(
    rf"@ (?:{_PLAIN}|, ){{0,4}}(?:rounded|rounding|rounds|round) (?:up |down |off )?(?:{_PLAIN}){{0,2}}to # (?!decimal|significant|places? |digits? |d p |dp |sf )"
)
_TOTAL = re.compile(
    rf"(?:\b(?:a total of|in total|in all|altogether|all together|total :|together|combined),? )(?:{_PLAIN}|[,:] ){{0,6}}@|@ {_PLAIN}{{0,3}}(?:in total|in all|altogether|total|combined|together)\b"
)
_BREAKDOWN = re.compile(r"#[^@]*?(?:: |including |consisting of |of which )")
_ASIDE = re.compile(r"\( (?!mod |base )(?=[^()]*[^\W\d_]{2,} )[^()]*@[^()]*\)")
_DENIED = re.compile(
    r"\b(?:not|neither|nor|rather than|instead of|as opposed to) (?:# (?:or|and|nor) )*@(?! but (?:also )?#)|\bnot @ but #|\b(?:wrong|incorrect|mistaken|erroneous) [^,;:@#]*@ [^#@]*[,;.] .*#"
)
_OPERATED = re.compile(
    rf"\b(?:multipl[^ ]+|divid[^ ]+|add|adds|adding|subtract|subtracts|subtracting|take away|taking away) [^:;=@]*@ [^:;=@]*?"
    rf"(?:to (?:get|obtain|find|reach|arrive at)|(?:and|we|you|,) (?:get|obtain)|, (?:giving|getting|obtaining|yielding)) {_PLAIN}{{0,5}}#"
    rf"|\b(?:multiplying|dividing|adding|subtracting) [^:;=@]*@ [^:;=@]*?(?:gives|yields) {_PLAIN}{{0,5}}#"
)
"""What is only computed with: `Multiply 7 by 6 to get 42`."""
_LEFT_OUT = [
    (_words("get|gives|yields|obtain|find|reach|arrive|giving|getting|obtaining|yielding"), _OPERATED),
    (_words("rounded|rounding|rounds|round"), _ROUNDED),
    (_words(_TO_CONCLUSION), _BEFORE_CONCLUSION),
    (_words("not|neither|nor|rather|instead|as|wrong|incorrect|mistaken|erroneous"), _DENIED),
]
_TOTAL_WORDS = frozenset(("total", "all", "altogether", "together", "combined"))
_BEHIND_RESULT = re.compile(
    rf"^[^@#]*(?:# [^@#]*)?# {_PLAIN}{{0,4}}(?:(?:in|over|within|during|if|when) |to {_W}){_PLAIN}{{0,2}}(?:# {_PLAIN}{{1,4}}and )?@ "
)
"""After what was computed: `36 + 24 = 60 miles in 9 hours`, `4 + 2 = 6 dollars if you buy 2 tubs`."""
_SOLD = re.compile(
    rf"@ {_PLAIN}{{1,4}}and (?:then |so |thus |therefore |she |he )?(?:makes?|earns?|made|earned|receives?|received|collects?) #"
    rf"|@ {_PLAIN}{{1,4}}, which {_PLAIN}{{0,2}}(?:sells?|sold) {_PLAIN}{{0,2}}for # (?!each|apiece|per|a )"
)
_STATING = "is|was|equals|becomes|comes|turns|works|simplifies|reduces|evaluates|totals|amounts|remains|reads|gives|yields|goes|follows|proves|thus|always|this|plus|minus|times|has"
_SAID_OF_IT = re.compile(
    r"^(?:[^#]*[,;:] )?@ (?:(?:is|was|are|were|would be|will be) (?!the |our |my |his |her |its |what |left|needed|required|correct|right|in |enough|a |an |not )"
    r"|falls |exceeds |(?:minus|plus|modulo) |(?:short|less) (?!than |of ))|\bwould (?:be|have been|get|have) @ [^#]*(?:had|if|were|using) "
    r"|^[^@#]*[^\W\d_] [^@#]*@ [^#]*\b(?:if|provided|unless|as long as|assuming) |\b(?:unless|if not) [^@#]*, [^#]*@"
    r"|^[^#]*@ [^#]*\band (?:the other|another|the second) [^#]*\b(?:twice|half|double|thrice|times) "
    rf"|\b(?:answer|result|solution) (?!(?:{_STATING}) )[^\W\d_]+s (?!to be )[^#]*@"
)
"""A bare value of which the sentence says something else: `9 is greater than ...`, `9 falls short`, `10 minus whatever`."""


@dataclass(frozen=True)
class _Value:
    """A value of a sentence, with the chain that computes it: `2 + 3 = 5`."""

    start: int
    end: int
    operands: frozenset[str]
    first: int


def only(sentence: str, chosen: str) -> Span | None:
    """The span of the one value that a sentence states, SEVERAL or STATES_NONE; None where it has nothing to add to `chosen`.

    `chosen` is what was read as the answer: it may hold several values that belong together (`3 to 5`, `2 hours 30 minutes`).
    """
    if len(sentence) > MAX_SENTENCE:
        return None
    numbers = _values(sentence)
    held = _numbers(chosen)
    if not numbers or len(numbers) > MAX_VALUES:
        return None
    said = _Said(sentence, numbers)
    values = [v for at, v in enumerate(numbers) if not is_name(sentence, v.start) and not is_unfinished(said.line(at))]
    if not values:
        return STATES_NONE if held <= _numbers(sentence) else None
    if len(values) < len(numbers):
        said = _Said(sentence, values)
    if len(values) == 1:
        return SEVERAL if _SAID_OF_IT.search(said.line(0)) and _numbers(sentence) == held else None
    left_out = said.left_out()
    standing = [v for at, v in enumerate(values) if not left_out[at] and not said.is_known(at)]
    if len(standing) > 1:
        standing = [v for v in standing if claim(sentence, v.start, v.end).doubt != "not"]
    if not standing:
        return SEVERAL if all(_KIND.search(said.line(at)) for at in range(len(values))) else None
    is_held = _is_held(sentence, standing, chosen)
    if len(standing) > 1:
        is_same = len({sentence[v.start : v.end].strip(" $") for v in standing}) == 1
        return None if is_held or is_same else SEVERAL
    (value,) = standing
    holds_another = any(
        (left_out[at] or _IN_PLACE.search(said.line(at))) and _numbers(sentence[v.start : v.end]) <= held
        for at, v in enumerate(values)
        if v != value
    )
    return None if is_held and not holds_another else (value.start, value.end)


def _is_held(sentence: str, standing: list[_Value], chosen: str) -> bool:
    """Whether what was chosen has all of these values."""
    at = sentence.rfind(chosen)
    if at >= 0 and (at == 0 or not sentence[at - 1].isdigit()):
        return all(at <= v.start + 3 and v.end <= at + len(chosen) + 3 for v in standing)
    held = _numbers(chosen)
    number = _DIGITS.search(chosen)
    last = sentence.rfind(number[0].rstrip(",.")) if number else -1
    is_there = any(v.start <= last < v.end for v in standing)
    return is_there and all(_numbers(sentence[v.start : v.end]) <= held for v in standing)


def sentence_of(text: str, answer: str) -> Span:
    """Where the sentence stands that has the answer's number last."""
    number = _DIGITS.search(answer)
    at = last_place(text, number[0]) if number else -1
    if at < 0:
        return (0, 0)
    formulas = [m.span() for m in FORMULA.finditer(text)] if "$" in text or "\\" in text else []
    start, end = text.rfind("\n", 0, at) + 1 if not formulas else 0, len(text)
    for found in _SENTENCE_END.finditer(text, start):
        if any(a < found.start() and found.end() < b for a, b in formulas) or _ABBREVIATION.search(
            text, 0, found.end()
        ):
            continue
        if found.end() <= at:
            start = found.end()
        else:
            end = found.end()
            break
    return (start, end)


def last_place(text: str, number: str) -> int:
    """Where a number stands last that is no part of a longer one; -1 where it does not stand."""
    at = len(text)
    while (at := text.rfind(number, 0, at)) >= 0:
        before, after = text[max(0, at - 1) : at], text[at + len(number) : at + len(number) + 2]
        is_longer = after[:1].isdecimal() or (after[:1] in (".", ",") and after[1:].isdecimal())
        if not is_longer and not before.isdecimal() and before not in (".", ","):
            return at
    return -1


def _numbers(text: str) -> frozenset[str]:
    return frozenset(n.replace(",", "").rstrip(".") for n in _DIGITS.findall(text))


def _values(sentence: str) -> list[_Value]:
    """The values of a sentence; a chain of computation is one, and its operands are no values of their own."""
    has_formulas = "$" in sentence or "\\" in sentence
    formulas = [m for m in FORMULA.finditer(sentence) if is_formula(m)] if has_formulas else []
    covered = [m.span() for m in formulas]
    has_brackets = "(" in sentence or "[" in sentence
    tuples = [
        m.span()
        for m in (_TUPLE.finditer(sentence) if has_brackets else ())
        if not any(a <= m.start() < b for a, b in covered)
    ]
    covered += tuples
    spans = [m.span() for m in formulas if any(map(str.isdigit, _SUBSCRIPT.sub("", formula_content(m))))]
    spans += tuples
    for found in NUMBER.finditer(sentence):
        if not any(a <= found.start() < b for a, b in covered) and not _ORDINAL.match(sentence, found.end()):
            spans.append(found.span())
    values: list[_Value] = []
    for start, end in sorted(spans):
        numbers = _numbers(sentence[start:end])
        gap = sentence[values[-1].end : start] if values else ""
        unit = _UNIT.match(sentence, end)
        parted = _PARTED.fullmatch(gap)
        if parted and unit and part(unit[1], parted[1]) is not None:
            values[-1] = replace(values[-1], end=end, operands=values[-1].operands | numbers)
        elif values and (_RESULT.fullmatch(gap) or _STEP.fullmatch(gap)):
            last = values.pop()
            is_result = _RESULT.fullmatch(gap) is not None
            values.append(_Value(start if is_result else last.start, end, last.operands | numbers, last.first))
        else:
            values.append(_Value(start, end, numbers, start))
    return values


class _Said:
    """What the words of a sentence say about each of its values; the words are read once, and only those places are tried whose
    words the sentence has."""

    def __init__(self, sentence: str, values: list[_Value]) -> None:
        self.sentence, self.values = sentence, values
        starts, ends = [v.first for v in values], [v.end for v in values]
        self._between = [_tokens(sentence[a:b]) for a, b in zip([0, *ends], [*starts, len(sentence)], strict=True)]
        self._words = {word for between in self._between for word in between.split()}

    def line(self, here: int) -> str:
        """The words, with `@` for one value and `#` for the others, single blanks between them."""
        marks = [_HERE if at == here else _OTHER for at in range(len(self.values))]
        return "".join(f"{words}{mark} " for words, mark in zip(self._between, [*marks, ""], strict=True))[:-1]

    def left_out(self) -> list[bool]:
        """Which values stand in brackets, before a conclusion, are a part of a total or denied: no part of any answer."""
        patterns = [place for words, place in _LEFT_OUT if not words.isdisjoint(self._words)]
        has_total = not _TOTAL_WORDS.isdisjoint(self._words)
        if not patterns and not has_total:
            return [False] * len(self.values)
        lines = [self.line(at) for at in range(len(self.values))]
        totals = [at for at, line in enumerate(lines) if has_total and _TOTAL.search(line)]
        return [
            _is_aside(line)
            or any(place.search(line) for place in patterns)
            or (bool(totals) and at not in totals and (totals[0] > at or _BREAKDOWN.search(line) is not None))
            for at, line in enumerate(lines)
        ]

    @cached_property
    def _places(self) -> list[re.Pattern[str]]:
        return [place for words, place in _KNOWN if not words.isdisjoint(self._words)]

    def is_known(self, at: int) -> bool:
        """Whether the sentence makes the value something other than what it states."""
        result = _numbers(self.sentence[self.values[at].start : self.values[at].end])
        if any(len(v.operands) > 1 and result < v.operands for v in self.values[at + 1 :]):
            return True
        line = self.line(at)
        is_computed = [len(v.operands) > 1 for v in self.values]
        if not is_computed[at] and any(is_computed[max(0, at - 2) : at]) and _BEHIND_RESULT.search(line):
            return True
        return any(place.search(line) for place in self._places) or self._is_sold(at, line)

    def _is_sold(self, at: int, line: str) -> bool:
        """Whether the value counts what the next one is paid for: `sells 9 eggs and makes $18`, `9 eggs, which she sells for $18`."""
        count, pay = (
            self.sentence[v.start : v.end] for v in (self.values[at], self.values[min(at + 1, len(self.values) - 1)])
        )
        return "$" in pay and "$" not in count and _SOLD.search(line) is not None


def _tokens(text: str) -> str:
    """The words and signs of a text, with a blank behind each."""
    return "".join(f"{token} " for token in _TOKEN.findall(text.lower().translate(_WIDE).replace("'s ", " ")))


def _is_aside(line: str) -> bool:
    return "( " in line and _ASIDE.search(line) is not None and _OTHER in _ASIDE.sub("", line)
