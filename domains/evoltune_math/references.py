"""What a reference states: an answer, a worked solution that marks one, or a statement in words.

stated_reference("6 * 3 = 18\n#### 18")  ->  "18";    is_prose("The rent is 240 yuan for A and 210 for B.")  ->  True
"""

import re

from evoltune.record import Task
from evoltune_math.answers.algebra.rational import known_rational
from evoltune_math.answers.equality.values import STATEMENTS, canonical
from evoltune_math.answers.kinds import Relation, Value
from evoltune_math.answers.nodes import symbols, walk
from evoltune_math.answers.reading.cleanup import plain_number
from evoltune_math.answers.reading.reader import read
from evoltune_math.boxes import Found
from evoltune_math.extraction import ANSWERED, PHRASE, TRUTH_VALUE, find
from evoltune_math.prose import MAX_BARE_WORDS, non_math_words, states_cases

MAX_NEAR = 200
_IS_LINE = re.compile(r"\b(?:equation|line|plane|circle|curve|parabola|ellipse|hyperbola|locus)\b", re.I)
"""What an equation of several letters describes: of `the line is $x + 2y = 5$` the 5 is no answer."""
MAX_NAMING_WORDS = 3  # `5 identical layers` is no sentence
_NAMING = re.compile(r"(?:\b(?:is|are|was|equals)|=)[\s$\\(]*$")
"""What stands before the one value that a sentence names: `Thus the total is $45.`"""
_CONDITIONED = re.compile(r"\b(?:but|only (?:if|when)|unless|provided|except)\b", re.I)
"""What makes the value before it hold under a condition: `There are 3 ways, but only if n is odd`."""
_ARGUED = re.compile(
    r"\b(?:by|use|uses|using|via) (?:[a-z]+ )?(?:induction|contradiction)\b|\bproof (?:by|that|of)\b|\bbase case\b|^starting (?:from|at|with)\b",
    re.I,
)
"""What says how something is shown, and no value: `Proof by induction on n, starting from n = 1.`"""
_LINE_LABEL = re.compile(r"(?:^|\n)[ \t]*[^\W\d_]+[ \t]*[:：][ \t]*$")
_ANSWER_LINE = re.compile(r"\W*(?:the\s)?(?:final\s)?answer(?:\sis)?\s?:", re.I)
_NO_VALUE = re.compile(
    r"[\s$\"'(\[*]*(?:\\text\{\s*)?(?:"
    r"(?:(?:all |the |your |sample |student )?(?:answers?|responses?|solutions?|results?|explanations?|examples?|methods?|reasons?|estimates?)\b[^.]{0,30}\b(?:var(?:y|ies)|differ)\b)"
    r"|(?:please |for an? \w+,? )?(?:see|refer|check|discuss|explain|describe|compare|draw|sketch|graph|plot|show|shown|prove|consult|ask|look|verify|justify|construct|note that|observe)\b(?! *[,.]?$)"
    r"|(?:because|since|so that|in order to|due to)\b|it (?:depends|varies)\b|(?:the )?(?:proof|q\.?\s?e\.?\s?d)\b\W*$"
    r"|(?:the |a )?(?:graph|figure|diagram|table|picture|image|drawing|proof|explanation|solution|answer|work|construction)s? (?:is |are |as )?(?:shown|given|below|above|attached|omitted|provided|left|not (?:given|provided|shown|available|included))\b"
    r"|no (?:answer|reference|explanation|proof)s? ?(?:(?:is |was )?(?:given|provided|available|needed|required|shown)|key)?\W*$"
    r"|(?:proof |details? |answer )?(?:omitted|left (?:as an exercise|to the reader))\b|(?:open[- ]ended|personal|teacher|student|individual)\b[\w ]{0,30}\b(?:question|answer|response|work|check|choice)s?\b"
    r"|(?:n/?a|not (?:available|applicable|provided|given)|tbd|todo|to be determined)\W*$)",
    re.I,
)
"""How a reference begins that gives no value: `Answers may vary.`, `See the graph`, `because it rains`."""


def extract(task: Task, response: str) -> str | None:
    """`Domain.extract`: the candidate answer; None is counted apart from a wrong one."""
    found = find_for(task.reference, response)
    return found.text if found is not None else None


def find_for(reference: str | None, response: str) -> Found | None:
    """`find`, but a response that is the reference word for word is not searched for a part of it."""
    if reference is not None and response.strip() == reference.strip() and is_prose(reference):
        return Found(response.strip(), "bare")
    found = find(response)
    if reference is not None and found is not None and "=" in found.text and plain_number(reference.strip(" $")):
        return _value_of_expression(response, found)
    return found


def _value_of_expression(response: str, found: Found) -> Found:
    """What an expression of several letters comes to, where a number is asked for: `Thus $xy = 21$.` An equation without words stays one."""
    if (found.method == "bare" and not non_math_words(response)) or _IS_LINE.search(response, len(response) - MAX_NEAR):
        return found
    answer = read(found.text)
    if not isinstance(answer, Relation) or answer.signs != ("=",):
        return found
    expression, last = answer.members
    value = known_rational(last)
    has_calls = any(n.op == "fn" and str(n.value).startswith("?") for n in walk(expression))
    names = symbols(expression)
    is_asked = value and (len(names) > 1 or (has_calls and not names))
    return Found(found.text.rpartition("=")[2].strip(" $.\n"), found.method) if is_asked else found


def stated_reference(solution: str) -> str | None:
    """`Domain.reference_in`: the answer that a worked solution marks as such, in a box, behind `####`, in a tag or as `The answer
    is: 5`; None where it would have to be guessed."""
    found = find(solution)
    if found is None:
        return None
    is_marked = found.method in ("boxed", "hashes", "tagged")
    last_line = solution.strip().rpartition("\n")[2]
    return found.text if is_marked or (found.method == "phrase" and _ANSWER_LINE.match(last_line)) else None


def is_prose(reference: str) -> bool:
    """Whether a reference is a statement in words, of which no part is marked as the answer."""
    if _NO_VALUE.match(reference) and not (ANSWERED.search(reference) or any(c.isdigit() for c in reference)):
        return True
    if reference.count(" ") < MAX_NAMING_WORDS or "\n" in reference.strip():  # several lines are a worked solution
        return False
    if _ARGUED.search(reference) and not ANSWERED.search(reference):
        return True
    words = non_math_words(reference)
    if states_cases(reference) or canonical(reference) in STATEMENTS:
        return False
    if reference[:1].isdigit() and isinstance(read(reference), Value):  # `6 more girls than boys`
        return False
    if len(words) <= MAX_NAMING_WORDS or ANSWERED.search(reference) or PHRASE.search(reference):
        return False
    found = find(reference)
    if found is None or found.method == "bare":
        return found is None or len(words) > MAX_BARE_WORDS
    before, _, after = reference.rpartition(found.text)
    if _LINE_LABEL.search(before) and not after.strip():  # a solution whose last line is `A: 18`
        return False
    names_one_value = _NAMING.search(before) and not any(c.isdigit() for c in before + after)
    if _CONDITIONED.search(after):
        return True
    return not (names_one_value or TRUTH_VALUE.match(reference))
