"""What the sentences around a number say about it: that it is denied, doubted, conditional, bounded, scaled, or one of several.

    claim("We can rule out 9.", 16, 17).of("9")  ->  "not 9"
    claim("At least 9 apples", 9, 10).of("9")    ->  "least 9"
    claim("9, but it is really 8", 0, 1).of("9") ->  "8"

Texts are read in English first (`in_english`), then as a line of word classes (sentences.py), so that each rule is written once:
a governor stands before the number (`NOT`, `REJECT`), a predicate behind it (`BE BAD`), in its clause, in the next one or with a
pronoun in the next sentence; an alternative, a condition and a correction name a second number.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from evoltune_math.answers.opposites import TURNING
from evoltune_math.answers.reading.languages import FOREIGN, TELLING_PAIRS, in_english
from evoltune_math.answers.units import known
from evoltune_math.answers.vocabulary import MODIFIERS, SCALES, number_in_words
from evoltune_math.endings import MAX_ENDING, ending
from evoltune_math.sentences import HERE, NUMBER, Line, rule, tagged, words_of
from evoltune_math.units_behind import unit_after

MAX_BESIDE = 80  # characters before and after a number that are read
MAX_REMEMBERED = 16  # claims; several steps ask for the same one
MAX_NEAR = 5  # words next to a number among which those are that turn it round

_PARTS = {
    "ADV": "[ADVERB CONCLUDE ALSO]*",
    "ADJ": "[GOOD REAL]*",
    "GAP": "[^END NUMBER HERE]{0,4}?",
    "ARE": "[BE WAS MODAL HEDGE EQUALS ADVERB CONCLUDE ALSO]+",
    "UNIT": "[WORD LETTER PERCENT VALUE]{0,2}?",
    "STOP": "[END PAUSE BRACKET QUESTION] | $",
    "IS": "(?:MODAL | HEDGE | HAVE)? ADV [BE WAS SEEM]+ INSTEAD?",
    "LINK": "[PAUSE BRACKET BUT AND INSTEAD AS PRON THAT ADVERB CONCLUDE ALSO]",
    "TRANSPARENT": "[THAT PRON A DET BE WAS ANSWER GOOD REAL VALUE MAYBE OF TO AS FOR THINK GIVE CHOOSE ADVERB CONCLUDE ALSO MODAL EQUALS LETTER BRACKET PERSON]",
    "RIGHT": "(?:[DET A GOOD REAL AS ADVERB CONCLUDE ALSO VALUE PERSON]* (?:ANSWER | GOOD | REAL | WHAT PERSON) | PRON STOP | STOP)",
    "REFUTED": """(?: IS ADV (?:A WORD? | DET)? (?:BAD (?! [FOR IF UNLESS TO ELSE]) | REJECTED | TOO (?:STOP | TO BE | ADVERB))
        | IS ADV NOT ADV RIGHT | (?:MODAL | HEDGE) NOT ADV (?:BE RIGHT | HOLD | STOP) | NOT RIGHT
        | IS ADV [A DET] WORD? ESTIMATE | A BAD | AGAINST [DET A PRON THAT])""",
    "OTHER": "NUMBER (?! [OPERATOR RELATION EQUALS BE WAS MODAL HEDGE PLACES LETTER])",
    "SUBJECT": "(?:[PRON THAT] | [DET A]? ADJ (?:ANSWER | VALUE | TRUTH | GOOD | REAL) REAL?)",
    "VALUED": "(?<! [OPERATOR RELATION]) NUMBER",
    "NAME": "(?: LETTER EQUALS )",
    "THAT_IS": "(?: [PAUSE BRACKET]+ (?:PRON BE | THAT BE) PAUSE* | (?:[PAUSE BRACKET]* | BE) RESTATE [PAUSE END]? )",
    "CHOICE": "(?: (?:AND OPERATOR?)? OR PAUSE? HINT*? | MAYBE HINT*)",
    "HINT": "(?:LETTER | MAYBE | ADVERB CONCLUDE | CASE | HEDGE | PRON | BE | ELSE | DET | ANSWER | GOOD | THAT)",
}
"""The phrases of the grammar. `UNIT` also stands for the noun that is counted; `REFUTED` is what a predicate says against its subject."""


def _rules(*patterns: str) -> "re.Pattern[str]":
    return rule(" | ".join(f"(?:{p})" for p in patterns), **_PARTS)


_DENIED = _rules(
    # governors
    "(?:NOT (?! [GOOD REAL] BE) | [REJECT REJECTED] (?! [PRON LETTER DET A VALUE]+ GIVE) | NOBODY [WORD GIVE THINK HOLD]) TRANSPARENT* HERE",
    "BAD [THAT FOR AS TO] TRANSPARENT* HERE | NOT [HAVE NEED] [DET A ADVERB]* HERE",
    "(?<!OF) BAD [GOOD REAL DET]* (?:ANSWER | VALUE) PAUSE? TRANSPARENT* HERE",
    "ANYONE [HEDGE MODAL WORD ADVERB CONCLUDE ALSO BE]{0,3} TO? (?: THINK | ANSWER (?! [BE WAS EQUALS])) TRANSPARENT* HERE",
    "(?<! OF) BAD [BE WAS] [TO THAT]? TRANSPARENT* HERE",
    "NOT [WORD HOLD CHECK] THAT TRANSPARENT* HERE | NO [WORD VALUE] [TO THAT FOR PRON] TRANSPARENT* HERE",
    # functions of the answer
    "(?:FUNCTION | HALF | BOUND | [MORE BEYOND] THAN | TIMES | PLUS | [PART EXTREME HALF] OF) DET ADJ ANSWER [BE EQUALS]+ TRANSPARENT* HERE",
    "DET ADJ ANSWER (?:[TIMES PLUS BOUND BEYOND FUNCTION] [NUMBER LETTER WORD ANYONE] | PAUSE? POWERED) [BE EQUALS]+ TRANSPARENT* HERE",
    "DET ADJ ANSWER HAVE HERE",
    "HERE UNIT [PAUSE AND]+ [ADVERB CONCLUDE]* PERSON [NEED TO]{0,2} [FUNCTION OPERATE] PRON STOP | HERE UNIT PAUSE [HALF PART TIMES FUNCTION] OF? PRON (?! NUMBER)",
    "ANSWER PAUSE (?:TO BE)? ADVERB? [OPERATE DIVIDED TIMES PLUS BOUND] [^PAUSE END HERE]{0,6} PAUSE [BE EQUALS]+ TRANSPARENT* HERE",
    "OPERATE [^END HERE]{0,5} ANSWER [^END HERE]{0,4} [GIVE BE EQUALS] TRANSPARENT* HERE",
    # predicates, in this clause, the next one, the next sentence
    "HERE UNIT LINK* REFUTED",
    "HERE LINK* (?:DO | DOES) NOT ADV HOLD | HERE UNIT LINK* DOES NOT ADV HOLD",
    "HERE LINK* FAILS (?:STOP | DET | TO)",
    "HERE UNIT [PAUSE BRACKET] LINK* BAD STOP",
    "HERE UNIT [END QUESTION BRACKET PAUSE]+ [BUT INSTEAD NO PAUSE]* [PRON THAT ANYONE] (?:ADJ ANSWER | VALUE)? (?:REFUTED | (?:DO | DOES) NOT ADV HOLD)",
    # what is taken back
    "HERE [^END HERE NUMBER]{0,12}? BUT (?:ADV [PRON THAT])? ADV (?:REFUTED | DOES NOT ADV HOLD)",
    "HERE UNIT STOP* (?:CORRECTION PAUSE | (?:BUT PERSON)? RETRACT)",
    "HERE [^HERE]{0,10}? [BUT PAUSE END AND BRACKET] [BUT INSTEAD PERSON PRON HAVE ADVERB CONCLUDE ALSO PAUSE THINK THAT]* ERROR (?! (?:WORD | AS | PAUSE){0,2} EARLY)",
    "HERE [^END HERE NUMBER]{0,12}? BUT DET ADJ (?:ANSWER | VALUE | TRUTH) DIFFERS",
    "HERE [BE WAS] ADV WHAT PERSON GIVE IF | FORGET [^END HERE]{1,4}? PAUSE? PERSON? GIVE TRANSPARENT* HERE | REPLACE HERE",
    "(?:VALUE | CASE) [AFTER EARLY] HERE | NEXT [CASE WORD VALUE]? [AFTER EARLY OF TO] HERE | RANGE FROM? NUMBER TO HERE | ASIDE [DET A BRACKET]* HERE",
    "DET (?! ADJ [ANSWER VALUE]) [CASE WORD GOOD REAL VALUE]{0,2} (?: WORD | PLACES) OF HERE",
    "EXAMPLE [PAUSE END]? [DET A]? HERE | HERE BRACKET? PAUSE? [WORD AND]? OTHERS | ONEOF BE+ NAME? HERE | HERE BE ADV ONEOF | HERE UNIT SIGNED",
    "ANSWER (?:INCLUDE | BAD PAUSE) HERE",
    "HERE BE ADV (?: FUNCTION | HALF | BOUND | PART OF | (?:NUMBER | ANYONE | WORD)? MORE THAN | NUMBER TIMES) DET ADJ ANSWER",
    "INUNITS PAUSE? TRANSPARENT* HERE | HERE UNIT BRACKET? INUNITS | HERE [^END HERE]{0,4}? BUT PRON BE NOT ATTAINS",
    "ANSWER RELATION HERE | HERE RELATION DET? ANSWER",
    # a step on the way
    "HERE [^END HERE]{0,6}? [END PAUSE]? BUT [^HERE END]{0,4}? ASKED",
    "HERE UNIT AS [A DET] WORD? ESTIMATE | HERE UNIT LINK* IS [A DET ADVERB CONCLUDE WORD]{0,3} PARTIAL (?! OF (?! DET ADJ ANSWER)) | HERE UNIT (?:LINK | WORD | BE){0,4} PARTIAL (?! OF (?! DET ADJ ANSWER))",
    "HERE [^HERE END QUESTION CHECK]{0,6}? [END PAUSE AND BUT BE]? [^END NUMBER CHECK]{0,4}? (?:[NEED ADVERB CONCLUDE] TO? PAUSE? BE? | MODAL BE) (?:DIVIDED | [OPERATE FUNCTION POWERED] (?:PRON | DET VALUE)? (?: BY | STOP | TO GIVE))",
    "OPERATE [DET A]? HERE UNIT BY [NUMBER ANYONE LETTER]",
    "ESTIMATE PAUSE? [AND BUT]? HERE [BE WAS]? DET (?:ANOTHER | WORD ANYONE)",
    "A WORD? ESTIMATE (?:WORD DET ANSWER)? [BE EQUALS]+ TRANSPARENT* HERE",
)
_OVERTAKEN = _rules(
    "HERE BE OTHER (?:END | $)",
    "HERE [^END HERE NUMBER MORE]{0,6}? [PAUSE AND END]+ (?:CONCLUDE | GOOD) [^END HERE NUMBER MORE]{0,4}? (?:TOTAL [PAUSE BE GIVE EQUALS ANYONE PERSON]* OTHER UNIT | OTHER UNIT TOTAL) STOP",
    "HERE [^HERE QUESTION CHECK FORGET BAD IF ERROR]{0,6}? OPERATE [^HERE END CHECK]{0,8}? [GIVE BE EQUALS PAUSE] OTHER (?:END | $)",
    "HERE [^HERE END CHECK BRACKET]{0,8}? PAUSE AND? [TIMES PLUS DIVIDED BOUND] [^HERE END CHECK BRACKET]{1,6}? PAUSE OTHER (?:END | $)",
    "HERE [BOUND PLUS] [^HERE END]{1,8}? [BE EQUALS GIVE] OTHER STOP | HERE [^HERE]{0,12}? GIVE DET GOOD+ OTHER STOP",
)
"""What goes on from the number to another, the last of the match."""
_CORRECTED = _rules(
    "HERE UNIT [PAUSE END]+ [BUT NO PAUSE]* [ADVERB CONCLUDE ALSO]* [INSTEAD MAKE] [PAUSE ADVERB CONCLUDE ALSO DET INSTEAD PRON MODAL HAVE BE]* OTHER UNIT (?:[END BRACKET] | $)",
    "HERE [BRACKET PAUSE]* (?:SUBJECT)? [MODAL HEDGE] HAVE? (?:BE | READ) OTHER STOP",
    "HERE LINK* ROUND WORD? TO DET? OTHER STOP",
    "NOT HERE UNIT PAUSE? BUT [ADVERB INSTEAD]* OTHER UNIT STOP",
    "HERE UNIT [PAUSE END]* CORRECTION [PAUSE END]* SUBJECT? [MODAL HEDGE HAVE BE]* OTHER UNIT STOP",
    "HERE [^HERE QUESTION]{0,16}? OTHER UNIT PAUSE? (?:PRON BE | PAUSE) DET ADJ ANSWER",
)
_DOUBTED = _rules(
    "HEDGE ADV BE (?:THAT TRANSPARENT*)? [DET A ADVERB CONCLUDE ALSO LETTER EQUALS AS BRACKET]* HERE",
    "MAYBE [PAUSE]? TRANSPARENT* HERE",
    "(?:VAGUE | AROUND NUMBER TO | AT A? EXTREME) HERE",
    "HERE UNIT PAUSE? MAYBE (?:STOP | A WORD MORE | ADVERB? MORE) | HERE UNIT [PAUSE OPERATOR]? BRACKET? MARGIN",
    "(?: ^ | [END PAUSE QUESTION NUMBER AND OR BUT]) (?:[BE WAS DO DOES MODAL HEDGE HAVE] [^END PAUSE QUESTION]{0,6})? HERE UNIT BRACKET? QUESTION (?! [PAUSE END BRACKET]* [YES GOOD REAL])",
)
_CONDITIONAL = _rules(
    "HERE UNIT PAUSE? [BUT AND]? UNLESS",
    "HERE UNIT PAUSE? [IF AS FOR REJECT] THAT? DET? (?:LETTER | VALUE) (?:BE NOT? A? [CASE BOUND] | OPERATOR | RELATION | CASE)",
    "HERE UNIT PAUSE? [IF AS FOR] CASE (?:LETTER | VALUE)",
    "(?: ^ | END) UNLESS [^END PAUSE]{1,8}? BE DET ADJ ANSWER HERE",
    "HERE [^HERE QUESTION]{0,9}? [END PAUSE AND BUT OR]+ ELSE [PAUSE BRACKET]* TRANSPARENT* OTHER",
    "HERE UNIT [PAUSE AND BUT]+ OTHER UNIT PAUSE? ELSE",
    "ELSE PAUSE? TRANSPARENT* HERE",
    "HERE UNIT PAUSE? [FOR IF] LETTER EQUALS NUMBER [PAUSE AND END]+ OTHER UNIT [FOR IF]",
    "ANSWER MODAL BE ADV HERE UNIT PAUSE? IF | HERE UNIT MODAL BE DET? ADJ [ANSWER VALUE GOOD REAL] PAUSE? IF",
    "HERE [^END HERE NUMBER]{0,5}? [AND PAUSE]+ OTHER [BY WORD]+ ANOTHER",
    "IF [^END]{1,9}? HERE UNIT [PAUSE END AND BUT]+ IF [^END HERE NUMBER]{1,6} PAUSE? TRANSPARENT* OTHER",
    "IF [^END]{1,9}? NUMBER UNIT [PAUSE END AND BUT]+ IF [^END HERE NUMBER]{1,6} PAUSE? TRANSPARENT* HERE",
)
_BOUNDED = _rules(
    "(?:(?:[BOUND LEAST HALF BEYOND FUNCTION DIVIDED] | VALUE OF NUMBER AND | [NUMBER LETTER] [TIMES PLUS] | (?:NUMBER? WORD? MORE | WORD | AND | OR)? THAN | BETWEEN NUMBER AND | EVERY WORD? BUT | (?:PERCENT | [PART HALF BOUND]) OF | MARGIN | (?<! HAVE) (?<! ATTAINS) A EXTREME OF)) [DET A BRACKET]? HERE",
    "NUMBER PERCENT? OF [DET A]? HERE | [HALF BOUND] AS [WORD MORE LETTER BOUND ANYONE]* AS HERE",
    "OPERATE [NUMBER LETTER ANYONE]? [TO FROM] [DET A]? HERE | (?: ^ | [END PAUSE BY] | NEED TO?) OPERATE [DET A]? HERE | BASE NUMBER OF HERE",
)
_CHANGED = _rules(
    "HERE [BRACKET PAUSE]* [WORD VALUE]?? (?: [OR AND] [MORE BEYOND UP GOOD REAL] (?! [BE WAS MODAL DO DOES]) | AT DET? LEAST | POWERED | BEYOND CASE)",
    "HERE BRACKET? (?: SCALE | [TIMES PLUS BOUND] (?:NUMBER | ANYONE))",
    "HERE (?:WORD)? MORE THAN (?:LETTER | OTHER | [BOUND HALF FUNCTION]) | HERE SUFFIX NUMBER? | HERE PAUSE BUT BOUND STOP | HERE PAUSE? PLUS WORD STOP | HERE CHOOSE NUMBER | HERE MORE NUMBER | HERE DIVIDED [NUMBER LETTER PRON DET] | HERE [REJECT REJECTED] [DET WORD]{0,3} (?:NUMBER | LETTER EQUALS) | HERE UNIT AT A? EXTREME | HERE VALUE? WORD? BASE NUMBER | HERE UNIT BEYOND CASE",
)
_OR_AFTER = _rules(
    "HERE (?P<unit>[WORD LETTER PERCENT]?) [PAUSE END BUT]* BRACKET? (?: (?:AND OPERATOR?)? OR PAUSE? HINT*? | MAYBE HINT*? | TO ) NAME? OTHER (?P<behind>WORD?)",
    "ANSWER BE+ NAME? HERE GAP [PAUSE END AND BUT]+ DET? ANOTHER ARE NAME? OTHER",
    "EITHER NAME? HERE UNIT OR NAME? NUMBER",
    "HERE GAP [PAUSE END AND BUT BRACKET]+ DET? ANOTHER (?:ADJ ANSWER | [GOOD REAL]+ VALUE) (?:ARE | PAUSE) NAME? OTHER",
    "HERE UNIT [PAUSE END AND BUT OR]+ (?:[PRON THAT] | DET ADJ ANSWER) [HEDGE MODAL] [ADVERB CONCLUDE ALSO]+ BE ADV NAME? OTHER",
    "HERE UNIT [PAUSE END AND BUT OR]+ NAME? NUMBER [BE MODAL HEDGE ADVERB CONCLUDE DO DOES]* ALSO [ADVERB CONCLUDE BE A]* [HOLD GOOD REAL ANSWER] | HERE GAP [PAUSE END]+ ALSO PAUSE? NAME? NUMBER BE A? ADJ [HOLD ANSWER]",
    "HERE GAP [PAUSE AND]+ SODOES NAME? NUMBER",
    "ALSO HERE AND NAME? NUMBER | HERE AND NAME? NUMBER [BE MODAL ALSO ADVERB CONCLUDE]+ [GOOD ANSWER HOLD]",
    "ANSWER PAUSE HERE PAUSE NAME? OTHER STOP",
    "HERE PAUSE OTHER (?:PAUSE NUMBER)* [PAUSE AND]* (?:OR NUMBER STOP | END)",
    "HERE ARROW OTHER STOP | HERE [^NUMBER END HERE CHECK BRACKET]{0,8}? [PAUSE OR] OTHER (?:END | $)",
    "HERE [^HERE]{0,8}? BUT NAME? NUMBER [BE MODAL HEDGE]+ ALSO ADVERB STOP",
    "HERE BRACKET? AND (?: [ADVERB CONCLUDE ALSO]+ NAME?)? OTHER STOP",
    "^ BRACKET? [A LETTER] BRACKET ADV HERE UNIT [PAUSE END AND]* BRACKET? LETTER BRACKET NAME? OTHER",
)
_RESTATED = _rules(
    "HERE (?P<unit>[WORD LETTER PERCENT]?) THAT_IS ADV NAME? OTHER (?P<behind>[WORD LETTER PERCENT]?) STOP"
)
_OR_BEFORE = _rules(
    "VALUED (?: [LETTER PERCENT]? [PAUSE END]? | WORD) BRACKET? CHOICE BRACKET? NAME? HERE | VALUED WORD PAUSE CHOICE NAME? HERE STOP",
    "ANSWER BE+ NAME? VALUED GAP [PAUSE END]+ [AND BUT]* DET? ANOTHER ARE NAME? HERE",
    "VALUED GAP [PAUSE END]+ [AND BUT]* DET? ANOTHER (?:ADJ ANSWER | [GOOD REAL]+ VALUE) ARE NAME? HERE",
    "VALUED UNIT [PAUSE END AND BUT OR]+ (?:[PRON THAT] | DET ADJ ANSWER) [HEDGE MODAL] [ADVERB CONCLUDE ALSO]+ BE ADV NAME? HERE",
    "TO BRACKET [A LETTER] BRACKET [BE PRON]* VALUED [PAUSE AND]+ TO BRACKET LETTER BRACKET [PRON BE]* HERE",
)
_NAMED_BEHIND = re.compile(r"[\s$})]*(?:is|was|equals)\s+\$?([a-z])\$?\s*[.,;]")
_NAMED_AHEAD = re.compile(r"(?<![A-Za-z\\])([a-z])\s*=\s*\$?$")
_ASKED_FOR = re.compile(
    r"\b(?:asked (?:for|to (?:find|give))|asks for|want(?:ed|s)?(?: to find)?|need(?: to find)?|looking for)\s+\$?([a-z])\$?(?=\s*(?:[.,;!]|$))"
)
"""What the text calls a number, and what it says that the question asks for: `\\boxed{45} is y. We were asked for x.`"""
_DOMAIN = _rules("HERE UNIT PAUSE? FOR")
_FUNCTION = re.compile(r"(?<![\\A-Za-z])[a-z](?![A-Za-z])")
"""A letter in an answer: what follows it, `for x > 0`, is its domain."""
_STATED_LAST = _rules("[GIVE BE EQUALS ADVERB CONCLUDE AND WORD THINK] NUMBER UNIT STOP")
_SIGN_APART = re.compile(
    r"(?:\$\s*(?:\\[,;:! ]\s*)*[-−]\s*(?:\\[,;:! ]\s*)*\$|(?<![\w)}−])−|(?<![\w)}-])-(?:\\[,;:!]\s*)+|(?<=[\s=])-\$)\s*$"
)
"""A minus sign with a delimiter or a space of TeX between it and its number; after `- ` an item of a list begins."""
_EITHER_SIGN = re.compile(r"\$?\s*(?:±|\\pm)\s*\$?\s*$")
_ASSUMED = re.compile(
    r"(?:^|[.!?]\s+)(?:(?:let us|let['’]s|now|first|we|we can|I|I will)\s)?(?:assume|suppose|imagine)\b[^.!?]*$", re.I
)
"""A supposition that the text ends in."""
_TAG = re.compile(r"</?[a-z_]{3,20}>")
_DECADE = re.compile(r"\b(?:the|mid|low|high|early|late|his|her|their|its)[\s-]+$", re.I)
"""Before `40s`."""
_CROSSED = re.compile(r"[\s$)\]}*]*[✗✘❌]")
_AMOUNT = re.compile(r"-?\\?\$?\s?\d[\d.,/]*(?::\d\d)?(?:\s?\\?%|\^\{?\\circ\}?|°|\sper\s?cent|[kKM]|bn)?")
_BELOW_ZERO = re.compile(
    r"\s*(?:degrees?|°|\$?\^\{?\\circ\}?\$?)?\s*(?:[CF]|Celsius|Fahrenheit)?\s*below\s+(?:zero|freezing)\b"
)
_TEN_POWER = re.compile(r"[\s$)}]*(\\times\s*10\^(?:\{-?\d+\}|\d))")
_ALIASES = {"up": "upward", "above": "upward", "below": "downward", "under": "downward"}
"""Words that make another statement where they stand alone: `5 and up`, `below 5`."""
_CARRIED = "|".join(sorted(TURNING - MODIFIERS - {"minimum", "maximum"} | _ALIASES.keys(), key=len, reverse=True))
_TURNED_AFTER = re.compile(
    rf"[\s$)}}\\]*?(\\?%|percent)?[\s$)}}\\]*((?:(?!than\b|from\b|the\b|to\b|of\b)[A-Za-z]{{1,12}}\s+(?:to the\s+)?)?)((?:counter-|anti-)?(?:{_CARRIED}))\b(?!\s+than)",
    re.I,
)
_TURNED_BEFORE = re.compile(
    rf"\b((?:{_CARRIED}))(?:(?:\s+[a-z]+)?\s+(?:of|by))?\s+(?:about |exactly |only |a |\\?\$)*[\s$(\\]*$", re.I
)
_SPELLED = re.compile(r"(plus|minus|times) ([a-z]+)")
_WORD = re.compile(r"[a-z]+")
_WRAPPING = re.compile(r"\\(?:boxed|text|mathrm)|[{}\s$]")
_ANYWHERE = words_of(
    "NOT NO REJECT REJECTED BAD FAILS AGAINST NOBODY MAYBE HEDGE ERROR INSTEAD CORRECTION RETRACT MAKE TRUTH REAL BUT UNLESS ELSE ANOTHER ALSO ESTIMATE "
    "OPERATE FORGET REPLACE PLUS DIVIDED RANGE ASIDE INUNITS EXAMPLE ONEOF"
) - {"e", "or", "between"} | {"cannot", "t", "absolute"}
_BEHIND = words_of(
    "GIVE CONCLUDE TOTAL NEED PARTIAL RESTATE ASKED WAS SUFFIX BASE ROUND ATTAINS INUNITS MOD OTHERS ONEOF SIGNED"
) | {"approximation", "guess", "hypothesis"}
_RELATIONS = (
    "<",
    ">",
    "≤",
    "≥",
    "≠",
    *(f"\\{name}{q}" for name in ("le", "ge", "ne") for q in ("", "q")),
    "\\lt",
    "\\gt",
)
_ISSUES = (["is"], ["becomes"], ["equals"], ["remains"])
_NEAR_BEFORE = words_of(
    "THINK OR THAN BEYOND BOUND LEAST BETWEEN EVERY HALF PART EXTREME TIMES FUNCTION POWERED ANYONE AROUND VAGUE AFTER EARLY NEXT INCLUDE"
) | {"has", "e", "minus", "base", "sum", "product", "difference", "quotient"}
_NEAR_AFTER = words_of("OR MORE UP MARGIN TIMES BOUND SODOES POWERED SCALE TOO AT IF BEYOND WHAT CHOOSE") | {
    "to",
    "for",
    "which",
    "that",
}
"""The words without one of which, anywhere or next to the number, no rule above can match: most texts have none of them."""


@dataclass(frozen=True)
class Claim:
    """What is said about a number: `not`, `perhaps` or `sometimes`, the value that takes its place, or the words `before` and `after`
    that belong to the answer.

    `turning`: words such as `decrease`, which matter only beside an answer with their opposites.
    """

    doubt: str = ""
    before: str = ""
    after: str = ""
    turning: str = ""
    correction: str = ""

    @property
    def denied(self) -> bool:
        """Whether the text does not claim the number."""
        return self.doubt != "" and not self.correction

    def of(self, answer: str) -> str:
        """The statement that the text makes with this answer."""
        if self.correction:
            return self.correction
        if self.doubt:
            return f"{self.doubt} {answer}"
        if self.turning and not self.after and _AMOUNT.fullmatch(answer):
            percent = "\\%" if self.turning[0] == "%" and "%" not in answer else ""
            return f"{answer}{percent} \\text{{{self.turning.lstrip('%')}}}"
        turning = f" \\text{{{self.turning}}}" if self.turning.isalpha() and self.after in SCALES else ""
        return f"{self.before} {answer} {self.after}{turning}".strip() if self.before or self.after else answer


NOTHING = Claim()


@lru_cache(MAX_REMEMBERED)
def claim(text: str, start: int, end: int) -> Claim:
    """What the text before and after a number, text[start:end], says about it."""
    before, after = text[max(0, start - MAX_BESIDE) : start], text[end : end + MAX_BESIDE]
    if "<" in before or "</" in after:  # a tag ends a statement: `<answer>9</answer>`
        before, after = _TAG.split(before)[-1], _TAG.split(after)[0]
    if ("-" in before[-12:] or "−" in before[-12:]) and (sign := _SIGN_APART.search(before)):
        before = f"{before[: sign.start()]} minus "
    elif ("±" in before[-8:] or "\\pm" in before[-8:]) and (sign := _EITHER_SIGN.search(before)):
        before = f"{before[: sign.start()]} plus or minus "
    words_before, words_after = _WORD.findall(before.lower()), _WORD.findall(after.lower())
    if not (before.isascii() and after.isascii() and FOREIGN.isdisjoint(words_before + words_after)) or any(
        pair in after.lower() for pair in TELLING_PAIRS
    ):
        before, after = in_english(before + "0")[:-1], in_english("0" + after)[1:]
        words_before, words_after = _WORD.findall(before.lower()), _WORD.findall(after.lower())
    tail = in_english("0" + text[end : end + MAX_ENDING])[1:]
    ends = ending(tail, _WRAPPING.sub("", text[start:end]), before)
    if ends.is_denied or ends.value:
        return Claim("not", correction=ends.value)
    if not any(map(str.isalnum, after)) and _ASSUMED.search(before):
        return Claim("not")
    if after[:1] == "s" and text[end - 1] == "0" and _DECADE.search(before):
        return Claim("perhaps")
    if (before.endswith("~~") and after.startswith("~~")) or _CROSSED.match(after):
        return Claim("not")
    asked = _ASKED_FOR.search(after)
    name = (_NAMED_BEHIND.match(after) or _NAMED_AHEAD.search(before)) if asked else None
    if asked and name and name[1] != asked[1] and f"{asked[1]} =" not in after[asked.end() :]:
        return Claim("not")
    near, behind = words_before[-MAX_NEAR:], words_after[:MAX_NEAR]
    is_told = (
        not (_ANYWHERE.isdisjoint(words_before) and _ANYWHERE.isdisjoint(words_after))
        or not _BEHIND.isdisjoint(words_after)
        or not (_NEAR_BEFORE.isdisjoint(near) and _NEAR_AFTER.isdisjoint(behind))
        or "?" in after[:30]
        or words_after[:1] == ["and"]
        or "%" in before[-8:]
        or "‰" in after[:8]
        or "→" in after[:8]
        or words_after[:1] in _ISSUES
        or words_before[-1:] == ["of"]
        or before.rstrip().endswith(_RELATIONS)
        or after.lstrip().startswith(_RELATIONS)
        or after.lstrip(" $")[:1] == "("
    )
    if is_told:
        said = _said(before, after, _WRAPPING.sub("", text[start:end]), ends.refused)
        if said != NOTHING:
            return (
                replace(said, turning=_turning(before, after, words_before, words_after))
                if said.after and not said.doubt
                else said
            )
    if _BELOW_ZERO.match(after):
        return Claim(before="minus")
    if scale := _TEN_POWER.match(after):
        return Claim(after=scale[1])
    turning = _turning(before, after, words_before, words_after)
    return Claim(turning=turning) if turning else NOTHING


def _said(before: str, after: str, answer: str, refused: tuple[str, ...]) -> Claim:
    """What the rules find around a number."""
    tokens = tagged(before, after)
    line, text = tokens.line, before + after
    if (found := _CORRECTED.search(line)) and (other := _other(tokens, text, found)) != answer:
        return Claim("not", correction=other)
    if _DENIED.search(line):
        return Claim("not")
    if (found := _OVERTAKEN.search(line)) and _words(tokens, text, found.start() + found[0].rindex(NUMBER)) != answer:
        return Claim("not")
    alternative = _alternatives(tokens, text)
    if alternative != NOTHING:
        others = f"{alternative.before} {alternative.after}".split()
        return NOTHING if _is_chosen(tokens, text, answer) or not set(others).isdisjoint(refused) else alternative
    if (found := _CONDITIONAL.search(line)) and not (_FUNCTION.search(answer) and _DOMAIN.match(found[0])):
        return Claim("sometimes")
    here = line.index(HERE)
    lead = _words(tokens, text, found.start(), here - 1) if (found := _BOUNDED.search(line)) else ""
    tail = _words(tokens, text, here + 1, found.end() - 1) if (found := _CHANGED.search(line)) else ""
    if tail and (added := _SPELLED.fullmatch(tail)) and (number := number_in_words(added[2])) is not None:
        tail = f"{added[1]} {number}"
    if (lead or tail) and not _is_chosen(tokens, text, answer):
        return Claim(before=lead, after=tail)
    return Claim("perhaps") if _DOUBTED.search(line) else NOTHING


def _alternatives(tokens: Line, text: str) -> Claim:
    """`9 or 10`, `one answer is 9, another is 10`: a decimal beside `or` is the rounding of the number, or contradicts it."""
    if found := _OR_AFTER.search(tokens.line):
        number = _other(tokens, text, found)
        unit, behind = (_words(tokens, text, found.start(name), found.end(name) - 1) for name in ("unit", "behind"))
        unit, behind = (u if known(u) else "" for u in (unit, behind))
        sign = "\\approx" if "." in number and not behind else "or"
        return Claim(after=f"{unit} {sign} {number} {behind}".strip())
    if found := _OR_BEFORE.search(tokens.line):
        return Claim(before=f"{_other(tokens, text, found)} or")
    if found := _RESTATED.search(tokens.line):
        unit, behind = (_words(tokens, text, found.start(name), found.end(name) - 1) for name in ("unit", "behind"))
        if not behind or known(behind):
            return Claim(after=f"{unit if known(unit) else ''} or {_other(tokens, text, found)} {behind}".strip())
    return NOTHING


def _is_chosen(tokens: Line, text: str, answer: str) -> bool:
    """Whether the sentences come back to the answer after its alternative: `9 or -4; as x is a length, we take 9`."""
    line = tokens.line
    last = line.rfind(NUMBER)
    return (
        last > line.index(HERE)
        and _words(tokens, text, last) == answer
        and _STATED_LAST.match(line, last - 1) is not None
    )


def _other(tokens: Line, text: str, found: re.Match[str]) -> str:
    """The second number of a match."""
    behind = found[0].find(NUMBER, found[0].index(HERE))
    return _words(tokens, text, found.start() + (behind if behind >= 0 else found[0].index(NUMBER)))


def _words(tokens: Line, text: str, first: int, last: int | None = None) -> str:
    """The text of these tokens."""
    last = first if last is None else last
    return text[tokens.places[first][0] : tokens.places[last][1]].strip(" $") if first <= last else ""


def _turning(before: str, after: str, words_before: list[str], words_after: list[str]) -> str:
    """The words beside a number up to one that has an opposite: `minutes late`, `decrease` of `a decrease of 20%`."""
    if not TURNING.isdisjoint(words_after[:MAX_NEAR]) and (behind := _TURNED_AFTER.match(after)):
        return ("%" if behind[1] else "") + behind[2] + _ALIASES.get(behind[3].lower(), behind[3])
    if not TURNING.isdisjoint(words_before[-MAX_NEAR:]) and (ahead := _TURNED_BEFORE.search(before)):
        return _ALIASES.get(ahead[1].lower(), ahead[1])
    return ""


def stated(text: str, start: int, end: int, content: str) -> str:
    """What the text says with the formula or box text[start:end] of this content: its claim, or else its unit: `$12$ minutes`."""
    said = claim(text, start, end)
    return said.of(content) if said != NOTHING else content + unit_after(text, end, content)
