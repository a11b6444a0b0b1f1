"""Numbers in prose that are no values: they name a thing, count the steps of a solution, or are only supposed or worked with.

is_name("This follows from Lemma 2.", 24)  ->  True
is_unfinished("multiply @ by # . ")        ->  True: nothing says what comes of it
is_cut("She gave 3 apples to the")         ->  True
is_cut("12/4 = 3. Each person eats")       ->  True
"""

import re

from evoltune_math.answers.units import known
from evoltune_math.answers.vocabulary import number_in_words

_MAX_BEFORE = 60
_MAX_COUNTED = 3  # words at the end of a sentence, one of which is its number: `Tom has seven apples`
_MAX_SENTENCE = 200  # characters at the end in which a last sentence begins that a limit may have cut

_OF_THE_TEXT = r"(?:theorem|lemma|corollary|proposition|definition|axiom|postulate|equation|formula|identity|figure|fig\.?|appendix|eq\.?)"
_PLACE = r"(?:table|chapter|section|exercise|problem|question|example|step|page|part|line|item|method|rule|property|note|case|remark)"
_POINTING = (
    r"(?:see|cf\.?|recall|check|consult|apply|applying|using|use|used|by|via|per|from|refer(?:ring)? to|according to|follows from"
    r"|as (?:shown|seen|stated|explained|given|derived|found) (?:in|on|by|at)"
    r"|(?:answer|solution|result|proof|derivation) (?:is|lies|(?:is|can be) (?:found|given|shown|stated))? ?(?:in|on|at|by))"
)
CITED = (
    rf"(?:by|from|using|via|per|see|according to|as (?:shown|seen|stated|given|found) (?:in|on|by|at)) (?:the |our |my )?(?:{_OF_THE_TEXT}|{_PLACE})"
    r"(?:s? \d{1,3} and \d{1,3}| ?\(\d{1,3}\)(?:(?:,| and|, and) \(\d{1,3}\))*| \d{1,3}(?:\.\d{1,2})?[a-z]?)(?: (?:above|below))?"
)
"""Where a value comes from: `by equation (3)`, `see Figure 2`."""
SOURCES = (" eq.", *(f" {word}" for word in re.findall(r"[a-z]{3,}", f"{_OF_THE_TEXT} {_PLACE}")))
"""One of these is in every such text."""
_EDITION = r"(?:world war|copyright|version|python|windows|java|amc|aime|imo|usamo|putnam|error|http)|©"
_NAMED = re.compile(
    rf"(?:\b{_OF_THE_TEXT}|\b{_POINTING} (?:the |our |my )?{_PLACE}|\b{_EDITION}) ?(?:no\.? ?|number |# ?)?\\?[(\[]?\$?$"
    r"|\b(?:in|see|from|by|ref\.?) \[$|\bprint\($|(?:://|\bwww\.)\S*$",
    re.I,
)
"""Before the number of `by Theorem 5`, `see Table 4`, `in [14]`, `https://host/42`."""
_WORD = re.compile(r"[a-z]+")
_NAMING = frozenset(_WORD.findall(rf"{_OF_THE_TEXT} {_PLACE} {_EDITION} part stage phase case print http https www"))
_MARKS = ("-", "[", "(", "©", "© ")
"""The words and signs without one of which before it no number belongs to a name."""
_LINE_START = re.compile(r"(?:^|\n)[ \t>#*-]*$")
_HEADING = re.compile(
    r"(?:^|\n)[ \t>#*-]*(?:step|part|stage|phase|case|question|problem|exercise|example|section) $", re.I
)
_MARKED = re.compile(r"(\d{1,2})\**[.)](?=\s|$)")
_TITLED = re.compile(r"\d{1,2}\**[:.)]")
_PART_OF_NAME = re.compile(r"(?<![\w\\$])[A-Z][A-Za-z]+-$")
"""Before the number of `GPT-4`; a single letter is a quantity."""
_SIGN_WORD = re.compile(r"(?:minus|negative|plus|positive)-$", re.I)

_DOES = r"(?:is|are|was|were|be|equals?|gives?|gave|yields?|makes?|gets?|got|has|have|had|comes?|becomes?|find|obtain|leaves?|results?)"
_OPERATION = r"(?:sum|product|difference|quotient|average|mean|remainder)"
_UNFINISHED = re.compile(
    rf"^(?:so |then |now |finally )?,? ?(?:multiply|divide|add|subtract|(?:square|cube)(?! root)|double|halve) (?!.*\b{_DOES} )[^=:@]*@ [^=:]*$"
    rf"|^(?:the |a )?{_OPERATION} of (?!.*\b{_DOES} )[^,:;=@]*@ [^,:;=]*$"
    r"|, @ ,? ?(?:plus|minus|times|divided by|multiplied by) "
    r"|^(?:and |now |also |first )?,? ?(?:let|suppose|assume|imagine|recall|remember|note|consider|given :|we (?:know|want|are given|are told)|the (?:problem|question) (?:says|states|asks|gives|tells)) "
    r"(?!.*\b(?:so|then|thus|hence|therefore|gives?|get|answer|result) )"
)
"""`Multiply 7 by 6`, `the sum of the first 5 primes`, `the number of sides, 6, plus one`, `Suppose there are 12`."""
_CUT = re.compile(
    r"(?:[-+×/=,:]|(?<=\s)\*|\\(?:times|cdot|frac)|(?<=[a-z)$}])(?<!sq)(?<!cu)(?<!ic)(?<!re)\s(?:an|in|at)|\s(?:and|or|but|the|of|to|by|from|with|for|which|who|is|are|was|were|has|have|his|their|its|our|your|my|because|if|when|plus|minus|than|be|been|will|would|could|must|should|into|we have that|per|every|since|while|between|as|whose|where|she|he|they|we|therefore|thus|hence|however|(?<!then )(?<!later )on|(?<!since )(?<!by )(?<!until )then|[a-z]{2,} a))\s*$",
    re.I,
)
"""The end of a text that stops in the middle of a sentence: a limit on tokens cut it. `u + at` and `12 sq in` are whole."""
_ENDS = frozenset(".!?。)]}$%")
_LAST_SENTENCE = re.compile(
    r"(?:[.!?。]|(?<!ation)(?<!eason)(?<!ote):)\s+|\n|,\s(?=(?:so|thus|hence|therefore|which (?:means|gives|makes|leaves)|and so)\b)"
)
_BEGUN = re.compile(
    r"(?:(?:so|thus|hence|therefore|which (?:means|gives|makes|leaves)|then|and|but|now|next|finally|also|in total|each|every|the|it|he|she|they|we|you|there)\b,?(?: \w|\s*$)|(?-i:[A-Z])[^\W_]*(?:['’]s)?,? \w)",
    re.I,
)
"""How a sentence begins; one word alone is a unit or a remark."""
_LONE_WORD = re.compile(r"[A-Z][a-z]+")
"""The first word of a line that has no other."""
_PARTS = frozenset(("half", "twice", "dozen", "third", "quarter"))
_WHOLE = re.compile(
    r"\b(?:is|are|was|were|be|not|no|none|nobody|nothing|never|cannot|\w+n['’]t|answer|solution|proof|problem|question|result|check\w*|verif\w+|prov\w+|complet\w+|finish\w*|done|explan\w+|reason\w*|note|hope|help\w*"
    r"|good|great|fine|okay|enough|easy|set|end|calculat\w+|conclud\w+|thanks?|regards|wishes|please|luck|hoffe|viel|danke|gracias|espero|merci|bonne?|let me know|correct\w*|right|true|valid|works?|hold|holds|satisf\w+|fits?|match\w*|agree\w*|consisten\w+|makes? sense|diverges?|converges?|exists?|follows?|above|below|wins?|ist|sind|war|est|son)\b",
    re.I,
)
"""What makes a sentence without a number whole: it states no number, or is about the answer."""


def is_name(text: str, start: int) -> bool:
    """Whether the number at `start` belongs to the name of a thing: `Theorem 5`, `GPT-4`."""
    before = text[max(0, start - _MAX_BEFORE) : start]
    if (
        not before.endswith(_MARKS)
        and _NAMING.isdisjoint(_WORD.findall(before.lower()))
        and before.strip(" \t>#*-")[-1:] not in ("", "\n")
    ):
        return False
    if before.endswith("-"):
        return _PART_OF_NAME.search(before) is not None and _SIGN_WORD.search(before) is None
    if _LINE_START.search(before) and (mark := _MARKED.match(text, start)):
        return _is_listed(text, int(mark[1]))
    return _NAMED.search(before) is not None or (
        _HEADING.search(before) is not None and _TITLED.match(text, start) is not None
    )


def _is_listed(text: str, number: int) -> bool:
    """Whether lines of the text are numbered, one of them just before or after this number."""
    beside = (number - 1, number + 1)
    return any(re.search(rf"(?:^|\n)[ \t>#*-]*{other}\**[.)]\s", text) is not None for other in beside)


def is_cut(text: str) -> bool:
    """Whether a text stops in the middle of a sentence, so that its last sentence states nothing."""
    if text[-1:] in _ENDS or text[-1:].isdigit():
        return False
    return _CUT.search(text, max(0, len(text) - _MAX_BEFORE)) is not None or _stops_short(text)


def _stops_short(text: str) -> bool:
    """Whether the last sentence has neither its full stop nor the number that it was to name: `12/4 = 3. Each person eats`."""
    if not text[-1:].isalpha():
        return False
    last = _LAST_SENTENCE.split(text[-_MAX_SENTENCE:])[-1].lstrip(" -*#>•")
    if _LONE_WORD.fullmatch(last) and text[: -len(last)].endswith("\n") and known(last) is None:
        return any(map(str.isdigit, text[: -len(last)])) and _WHOLE.search(last) is None
    if not _BEGUN.match(last) or not any(map(str.isdigit, text[: -len(last)])):
        return False
    counted = _WORD.findall(last.lower())[-_MAX_COUNTED:]
    is_counted = any((n := number_in_words(word)) and n.denominator == 1 for word in counted)
    is_stated = is_counted or not _PARTS.isdisjoint(counted) or any(c.isdigit() or c in "$\\=" for c in last)
    return not is_stated and _WHOLE.search(last) is None


def is_unfinished(line: str) -> bool:
    """Whether the value `@` of a line (single_value.py) is one that the sentence only says how to go on from."""
    return _UNFINISHED.search(line) is not None
