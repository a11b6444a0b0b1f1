"""Numbers in prose that are no values: they name a thing, or an operation that the sentence does not carry out.

is_name("This follows from Lemma 2.", 24)  ->  True
is_unfinished("multiply @ by # . ")        ->  True: nothing says what comes of it
"""

import re

_MAX_BEFORE = 60

_OF_THE_TEXT = r"(?:theorem|lemma|corollary|proposition|definition|axiom|postulate|equation|formula|identity|figure|fig\.?|appendix|eq\.?)"
_PLACE = r"(?:table|chapter|section|exercise|problem|question|example|step|page|part|line|item|method|rule|property|note|case|remark|method)"
_POINTING = (
    r"(?:see|cf\.?|recall|check|consult|apply|applying|using|use|used|by|via|per|from|refer(?:ring)? to|according to|follows from"
    r"|as (?:shown|seen|stated|explained|given|derived|found) (?:in|on|by|at)"
    r"|(?:answer|solution|result|proof|derivation) (?:is|lies|(?:is|can be) (?:found|given|shown|stated))? ?(?:in|on|at|by))"
)
_EDITION = r"(?:world war|copyright|version|python|windows|java|amc|aime|imo|usamo|putnam|grade school math)|©"
_NAMED = re.compile(
    rf"(?:\b{_OF_THE_TEXT}|\b{_POINTING} (?:the |our |my )?{_PLACE}|\b{_EDITION}) ?(?:no\.? ?|number |# ?)?\\?[(\[]?\$?$"
    r"|\b(?:in|see|from|by|ref\.?) \[$",
    re.I,
)
"""Before the number of `by Theorem 5`, `see Table 4`, `in [14]`."""
_PART_OF_NAME = re.compile(r"(?<![\w\\$])[A-Z][A-Za-z]+-$")
"""Before the number of `GPT-4`; a single letter is a quantity."""
_SIGN_WORD = re.compile(r"(?:minus|negative|plus|positive)-$", re.I)

_DOES = r"(?:is|are|was|were|be|equals?|gives?|gave|yields?|makes?|gets?|got|has|have|had|comes?|becomes?|find|obtain|leaves?|results?)"
_OPERATION = r"(?:sum|product|difference|quotient|average|mean|remainder)"
_UNFINISHED = re.compile(
    rf"^(?:so |then |now |finally )?,? ?(?:multiply|divide|add|subtract|(?:square|cube)(?! root)|double|halve) (?!.*\b{_DOES} )[^=:@]*@ [^=:]*$"
    rf"|^(?:the |a )?{_OPERATION} of (?!.*\b{_DOES} )[^,:;=@]*@ [^,:;=]*$"
    r"|, @ ,? ?(?:plus|minus|times|divided by|multiplied by) "
)
"""`Multiply 7 by 6`, `the sum of the first 5 primes`, `the number of sides, 6, plus one`."""


def is_name(text: str, start: int) -> bool:
    """Whether the number at `start` belongs to the name of a thing: `Theorem 5`, `GPT-4`."""
    before = text[max(0, start - _MAX_BEFORE) : start]
    if before.endswith("-"):
        return _PART_OF_NAME.search(before) is not None and _SIGN_WORD.search(before) is None
    return _NAMED.search(before) is not None


def is_unfinished(line: str) -> bool:
    """Whether the value `@` of a line (single_value.py) is one that the sentence only says how to go on from."""
    return _UNFINISHED.search(line) is not None
