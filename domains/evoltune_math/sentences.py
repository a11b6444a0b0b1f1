"""The sentences around a number as a line of word classes, so that rules about them are written in classes instead of words.

    tagged("I doubt that x is", [], "").line  ->  the signs of PERSON REJECT THAT LETTER BE HERE
    rule("NOT TRANSPARENT* HERE")             ->  a pattern over such lines; HERE is the number that is asked about

Each word has one class, the one that matters beside a number. What a row of classes says is decided in claims.py.
"""

import re
from dataclasses import dataclass

_WORDS = """
BE = is are be been being equals equal becomes become remains remain lautet
WAS = was were
SEEM = seems seem appears appear looks look proved proves; turned out; turns out; shown to be; proven to be; known to be; found to be; thought to be; considered to be; proved to be
MODAL = must should would will can shall ought; has to; have to; had to; ought to
HEDGE = might could may
DO = do did
DOES = does
HAVE = has have had having
NOT = not never neither nor hardly scarcely; no longer
NO = no nope none
YES = yes indeed
MAYBE = maybe perhaps possibly conceivably; let is say; let us say; let me say; for the sake of argument
ADVERB = clearly certainly obviously definitely simply just then completely totally really quite plainly still already now surely probably likely
 always about exactly only; of course; not only; not just; not merely; not simply; no doubt; no doubts; without doubt; without a doubt; beyond doubt; beyond a doubt;
 beyond any doubt; none other than; no other than; nothing but; nothing more than; nothing other than; nothing else than; I suppose; I guess; to be; not more and not less; at first glance
REJECT = except excepting excepts deny denies denied avoid avoiding doubt doubts doubted doubtful unequal suppose supposing assuming strike scrap ignore disregard; i disagree with; disagree with; disagrees with; instead of;
 rather than; other than; contrary to; anything but; everything but; unequal to; different from; differs from; differ from; far from; by no means; no way; refuse to; refuses to; fail to;
 fails to; failed to; as opposed to
OPERATE = increase increasing decrease decreasing multiply multiplying multiplied divide dividing divided subtract subtracting subtracted deduct deducting add adding added halve halving doubling tripling squaring cubing increased decreased reduced diminished
RESTATE = namely meaning; i e; in other words; to be precise; to be exact; the same as; identical to; equivalent to; or rather; same thing as
PARTIAL = intermediate partial preliminary provisional tentative interim unfinished; only half; only part; only a part; only one part; only the first; only for the first; only for part; half of the story; not yet the answer
CHECK = check checking verify verification verifying confirm confirming indeed proof probe backwards; left side; right side; left hand side; right hand side; both sides; make sure; making sure
SUFFIX = factorial ppm permille ‰; basis points; per mille; per thousand; per million; parts per million; and counting; and change; and then some; and something; raised to; to the power;
 and a half; and a third; and a quarter
TOTAL = altogether overall combined together; in total; in all; all together; taken together
NEED = need needs needed; remains to; still to; yet to; left to
BASE = base
CHOOSE = choose
FROM = from
ASIDE = ; starting at; starting from; starting with; counting from; bounded by; bounded above by; bounded below by; outside of; torn between; short of; in excess of
PLUS = plus
FORGET = forget forgetting forgets overlooking
ASKED = asked asks wanted want wants seek
AFTER = after
INUNITS = ; in thousands; in millions; in hundreds; in billions; in units of; in tens
MOD = mod modulo
MEASURE = price cost age speed rate height length width depth weight mass distance temperature amount area volume average mean median profit loss discount time duration radius diameter perimeter angle slope income salary set
EXAMPLE = besides like; e g; for example; for instance; such as; apart from; aside from; in addition to
ONEOF = ; one of the answers; one of the solutions; one of the roots; one of the possible answers; one of the correct answers; one possible answer; one possible solution; one possible value; a possible value; one of several; one of many; among the solutions; among the answers; among the roots
OTHERS = etc others
INCLUDE = include includes including
SIGNED = ; up to sign; up to a sign; with a minus sign; with a negative sign; with opposite sign; with the opposite sign; in a hundred; in a thousand; parts per thousand; parts per hundred
NEXT = next predecessor successor preceding following
ROUND = round rounds rounded rounding; rounded up; rounded down; rounds up; rounds down; round up; round down; rounding up; rounding down
RANGE = anywhere range ranging ranges varies
DIVIDED = ; divided by; multiplied by
READ = read
REPLACE = replace replacing
CONCLUDE = thus hence therefore consequently
REJECTED = exclude excludes excluded excluding eliminate eliminates eliminated eliminating reject rejects rejected rejecting discard discards discarded discarding refute
 refutes refuted refuting disprove disproves disproved disproving dismiss dismisses dismissed; rule out; rules out; ruled out; ruling out; out of the question
BAD = wrong incorrect false impossible invalid untrue extraneous inadmissible inconsistent mistaken nonsense absurd unacceptable erroneous implausible unlikely bad spurious mistake trap
 distractor error naive naïve tempting contradiction misprint typo; far from it; far from right; far from correct; far from the answer; far from the truth; off by; off by one; no solution; no root; no answer
TOO = ; too large; too small; too big; too high; too low; too much; too many; too few; too long; too short
ANSWER = answer answers solution solutions root roots option choice guess candidate candidates possibility possibilities
REAL = correct right true actual real exact proper
GOOD = valid acceptable admissible allowed possible so final required desired case enough; the case; what we want; what we need; what I want
VALUE = value values number numbers total sum product difference quotient result results
HOLD = fulfil fulfill fulfils fulfills meet meets work works satisfy satisfies fit fits hold holds solve solves happen happens occur agree agrees match matches qualify qualifies apply applies suffice; check out; checks out; make sense; makes sense
ESTIMATE = overestimate underestimate placeholder; first approximation; rough approximation; crude approximation; starting guess; ballpark figure; ballpark estimate; working hypothesis; upper bound; lower bound; lower bound; red herring; rough estimate; first guess; first attempt; first try; second guess; second attempt; initial guess; earlier guess
FAILS = fails fail; makes no sense; make no sense; seems off; looks off; feels off; sounds off
AGAINST = contradicts violates
PRON = it this these those which
THERE = there
THAT = that
LEAST = least most
PERSON = i we he she
ANYONE = you one they people someone anyone many some everyone students
NOBODY = nobody; no one
A = a an
DET = the our my any its his her their your each
THINK = think thinks guesses suspects thought believe believes guessed expect expects expected say says said suspect assume assumed imagine answered answering
GIVE = writing putting choosing giving yield yields yielding obtain obtains makes making taking saying claim claimed conclude feel pick give gives accept wrote write written got get gets put
EARLY = initially first originally previously earlier once before formerly; at first
WHAT = what
KNOW = know knows tell decide determine
ERROR = forgot overlooked overlooks overcounts overcounted undercounts undercounted miscalculated miscounted misread misspoke erred; double counts; double counted; made an error; made a mistake; made a miscalculation; made errors; made mistakes; made an arithmetic error; made a sign error;
 made an arithmetic mistake; made a calculation error; made a slip; made a small error; made a small mistake; make an error; make a mistake; was wrong; am wrong; was mistaken; am mistaken; were wrong;
 got it wrong; got that wrong; messed up; slipped up
BUT = but yet though although however whereas while
INSTEAD = actually wait oops sorry unfortunately hmm oh rather; in fact; in reality; in truth; on reflection; on second look; on closer look; on closer inspection; after rechecking; I meant; I mean; should have been
TRUTH = truth reality
CORRECTION = correction edit erratum corrected; let me correct that; let me correct this; let me fix that; correcting that
RETRACT = ; i disagree; we disagree; i do not agree; we do not agree; i beg to differ; something went wrong; something is wrong; something must be wrong; ignore the above; disregard the above; scratch that; scratch this; just kidding; on second thought; on second thoughts; strike that; disregard that; ignore that; would not trust it; do not trust it; do not trust that; do not believe it
MAKE = ; make that; make it
OR = or alternatively
EITHER = either
ALSO = also equally both too; as well
MARGIN = ish thereabouts tops; give or take; plus or minus; or so; or thereabouts; at the earliest; at the latest; at the outside
AND = and
TO = to
AT = at
OF = of
BY = by
THAN = than
AS = as with say
FOR = for
IF = if when whenever provided
UNLESS = unless; only if; only when; except if; except when; but only
ELSE = otherwise else; if not; or else; in the other case; in other cases; in all other cases
ANOTHER = another other second alternative
MORE = more less fewer greater higher lower larger smaller
BEYOND = above below over under
UP = up
POWERED = squared cubed halved doubled tripled
DIFFERS = differs differ; is different; is another
SODOES = ; so does; so is; so do; as does; as is; as do
VAGUE = ; upwards of; north of; just shy of; shy of; close to; in the region of; on the order of
AROUND = around roughly somewhere approximately
SCALE = hundred thousand million billion trillion quadrillion quintillion lakh lakhs crore crores dozen score gross tenth tenths hundredth hundredths thousandth thousandths halves
BOUND = minus negative nearly almost twice exceed exceeds exceeded exceeding beyond; divisible by; up to; less than or equal to; greater than or equal to; more than or equal to; smaller than or equal to; larger than or equal to; not exceeding
BETWEEN = between
EVERY = every all
HALF = half
PART = opposite complement derivative integral antiderivative conjugate square cube root reciprocal inverse multiple multiples factor factors divisor divisors power powers percent third thirds quarter quarters fifth fifths; square root; cube root; fourth root
EXTREME = minimum maximum min max
ATTAINS = attains reaches reached attained achieved
TIMES = times
FUNCTION = thrice double triple; absolute value of; logarithm of
CASE = even odd positive nonnegative zero prime composite rational irrational divisible large small integer integral
PLACES = decimal significant sig place places dp sf digit digits figure figures
"""
"""The words and phrases of each class; what stands twice belongs to the first class that has it."""
_THINGS = "value number root case point item values numbers roots cases points items option options"
_OTHER_SENSE = {
    "possible": "to", "enough": "to for", "right": "angle angles triangle side hand of",
    **dict.fromkeys(("excluded", "rejected", "eliminated", "discarded"), _THINGS), "most": "of the", "over": "the", "so": "that many much",
    "score": "of is was in on for", "second": "derivative derivatives term terms order time times number digit one row column", "first": "root term digit",
    "one": "of third half quarter fifth sixth tenth more less", "fail": "to", "case": "of", "some": "of", "other": "words hand than side",
}  # fmt: skip
"""Words that have another sense before these: `it is impossible to do better`."""
_SIGNS = (
    "HERE",
    "NUMBER",
    "LETTER",
    "WORD",
    "EQUALS",
    "OPERATOR",
    "END",
    "PAUSE",
    "BRACKET",
    "QUESTION",
    "PERCENT",
    "ARROW",
    "RELATION",
)
_COMMON = frozenset(
    "answer means made from first one right make only should before to have been the of was up in on too that it by at if when for a this everything and i".split()
)
_EXPANDED = {"n't": "not", "'s": "is", "'m": "am", "'re": "are", "'ve": "have", "'d": "would", "'ll": "will"}
_IRREGULAR = {"cannot": ("can", "not"), "can't": ("can", "not"), "won't": ("will", "not"), "ain't": ("is", "not")}
_SUBJECTS = frozenset("it that this there what he she i we you they one who here let answer".split())
"""Words whose `'s` is a verb."""
_STARTERS = frozenset("The So Thus Therefore Hence This It Then We In However But Therefore".split())
"""Words that begin a sentence with their capital, also where its full stop is missing."""
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_]+(?:['’][a-zA-Z]+)?|‰)"
    r"|(?P<NUMBER>(?:(?<![\w)}\]])-)?(?:\d[\d,]*(?<!,)(?:\.\d+)?(?:/\d+)?|\.\d+)(?:\s?\\?%)?|\\[dt]?frac\s*\{[^{}]{1,20}\}\s*\{[^{}]{1,20}\}|\\sqrt\s*\{[^{}]{1,20}\}|[(\[]\s?-?\d[\d./]*(?:,\s?-?\d[\d./]*){1,3}\s?[)\]])"
    r"|(?P<END>[.!](?=[\s\"'”)\]}*$]|$)|\.\.\.|…|。|\n\s*\n|\n(?=\s*[A-Z*#>-]))"
    r"|(?P<PAUSE>[,;:—–，；：、]|(?<=\s)--?(?=\s))|(?P<QUESTION>[?？])|(?P<PERCENT>\\?%)"
    r"|\\(?:[\[\](),;:! ]|(?:text|mathrm|boxed|fbox|textbf|mathbf|left|right|quad|qquad|displaystyle)(?![A-Za-z]))|(?P<BRACKET>[()\[\]])"
    r"|(?P<ARROW>→|⟶|⇒|[-=]>|\\(?:to|rightarrow|longrightarrow|Rightarrow)(?![A-Za-z]))|(?P<EQUALS>=|\\approx|≈)|(?P<RELATION>[<>≤≥≠]|\\(?:le|ge|leq|geq|neq?|lt|gt|equiv)(?![A-Za-z]))|(?P<OPERATOR>[+/^×·÷±]|-|\\(?:times|cdot|pm)(?![A-Za-z])|(?<=[\d)}])\s?\*\s?(?=[\d(]))"
)


def _read(table: str) -> tuple[dict[str, str], dict[str, str]]:
    """(class -> its sign in a line, word or phrase -> the sign of its class)"""
    signs = {name: chr(0x100 + at) for at, name in enumerate(_SIGNS)}
    of: dict[str, str] = {}
    for line in table.replace("\n ", " ").strip().split("\n"):
        name, _, rest = line.partition(" = ")
        sign = signs.setdefault(name, chr(0x100 + len(signs)))
        words, *phrases = rest.split(";")
        for phrase in (*words.split(), *map(str.strip, phrases)):
            of.setdefault(phrase.lower(), sign)
    return signs, of


_SIGN, _CLASS = _read(_WORDS)
_LONGEST: dict[str, int] = {}
for _phrase in _CLASS:
    _first = _phrase.split()[0]
    _LONGEST[_first] = max(_LONGEST.get(_first, 1), _phrase.count(" ") + 1)
_OTHER = {word: frozenset(after.split()) for word, after in _OTHER_SENSE.items()}
_PLAIN = {
    name: _SIGN[name]
    for name in ("NUMBER", "END", "PAUSE", "QUESTION", "PERCENT", "BRACKET", "EQUALS", "OPERATOR", "ARROW", "RELATION")
}
WORD, LETTER, END, HERE, NUMBER = (_SIGN[name] for name in ("WORD", "LETTER", "END", "HERE", "NUMBER"))


def rule(pattern: str, **groups: str) -> re.Pattern[str]:
    """A pattern over lines of classes; `groups` are names for parts of it, written in capitals as classes are."""
    names = re.compile(rf"\b({'|'.join(groups)})\b")
    while groups and names.search(pattern):
        pattern = names.sub(lambda m: f"(?:{groups[m[0]]})", pattern)
    return re.compile(
        re.sub(r"(?<![?A-Z])[A-Z]+\b", lambda m: _SIGN[m[0]], re.sub(r"\s", " ", pattern)).replace(" ", "")
    )


def signs_of(classes: str) -> frozenset[str]:
    return frozenset(_SIGN[name] for name in classes.split())


def words_of(classes: str) -> frozenset[str]:
    """A word of each phrase of these classes, the one that texts have least."""
    signs = signs_of(classes)
    phrases = (phrase.split() for phrase, sign in _CLASS.items() if sign in signs)
    return frozenset(max(words, key=lambda word: (word not in _COMMON, len(word))) for words in phrases)


Token = tuple[str, str, int, int]
"""(word, class, start, end); the word is "" for signs."""


@dataclass(frozen=True)
class Line:
    """The classes around a number, a sign each, and where in the text `before + after` each begins and ends."""

    line: str
    places: list[tuple[int, int]]


def tagged(before: str, after: str) -> Line:
    """The words before and after a number by class, with HERE between them."""
    left, right = tokens(before), tokens(after)
    while left and left[-1][1] == END and "\n" in before[left[-1][2] :]:
        left.pop()  # a formula on a line of its own
    places = [
        *((s, e) for _, _, s, e in left),
        (len(before),) * 2,
        *((s + len(before), e + len(before)) for _, _, s, e in right),
    ]
    return Line("".join(t[1] for t in left) + HERE + "".join(t[1] for t in right), places)


def tokens(text: str) -> list[Token]:
    """The words and signs of a text."""
    plain: list[Token] = []
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind is None:
            continue
        start, end = found.span()
        if kind != "word":
            plain.append(("", _PLAIN[kind], start, end))
            continue
        word = found[0]
        if word == "May" and plain and plain[-1][1] != END:  # the month
            word = "month"
        if word in _STARTERS and plain and plain[-1][1] in (WORD, _PLAIN["NUMBER"]):
            plain.append(("", END, start, start))
        word = word.lower()
        if "'" in word or "’" in word or word == "cannot":
            plain += [(part, "", start, end) for part in _parts(word)]
        else:
            plain.append((word, "", start, end))
    return _with_classes(plain)


def _parts(word: str) -> tuple[str, ...]:
    """A contraction as its words."""
    if "'" not in word and "’" not in word:
        return _IRREGULAR.get(word, (word,))
    word = word.replace("’", "'")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("n't"):
        return word[:-3], "not"
    stem, _, ending = word.partition("'")
    verb = _EXPANDED.get("'" + ending)
    return (stem, verb) if verb and (ending != "s" or stem in _SUBJECTS) else (stem,)


def _with_classes(plain: list[Token]) -> list[Token]:
    found_tokens: list[Token] = []
    at, count = 0, len(plain)
    while at < count:
        word, sign, start, end = plain[at]
        if not sign:
            longest = _LONGEST.get(word, 0)
            sign = (
                (_CLASS.get(word) or (LETTER if len(word) == 1 else WORD))
                if longest
                else LETTER
                if len(word) == 1
                else WORD
            )
            for length in range(min(longest, count - at), 1, -1):
                found = _CLASS.get(" ".join([p[0] for p in plain[at : at + length]]))
                if found:
                    sign, end = found, plain[at + length - 1][3]
                    at += length - 1
                    break
            else:
                if word in _OTHER and at + 1 < count and plain[at + 1][0] in _OTHER[word]:
                    sign = WORD
        found_tokens.append((word, sign, start, end))
        at += 1
    return found_tokens
