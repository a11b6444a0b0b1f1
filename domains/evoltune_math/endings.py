"""Who speaks last about what was asked: the sentences behind an answer as a sequence of clauses, and one decision over them.

    ending(". Wait, I forgot a day. So it is 19.", "18")  ->  Ending(value="19")
    ending(". Check: 12 + 5 = 17, but this is wrong.", "12")  ->  Ending(is_denied=True)
    ending(". The larger number is 29.", "17")  ->  STANDS

Each clause does one thing: it checks or gives a reason, supposes something, names the answer again, refuses it, goes on from it (by a
conclusion, an operation, a total, a name of what was asked) to another value, or speaks about another quantity. A refusal counts
only while the last quantity that was named is the answer; a clause that names the answer again takes refusals back.
"""

import re
from dataclasses import dataclass, replace

from evoltune_math.sentences import NUMBER, Token, rule, signs_of, tokens, words_of

MAX_ENDING = 600  # characters behind an answer that are read
MAX_TRAILING = 4  # words behind the last value of a clause: `120 eggs in total`
MAX_VALUE = 80


@dataclass(frozen=True)
class Ending:
    """What the text behind an answer makes of it: it stands, is denied, or is replaced by a later value."""

    is_denied: bool = False
    value: str = ""
    refused: tuple[str, ...] = ()
    """Other values that it refuses: `The other root, -2, is impossible`."""


STANDS = Ending()

_RETAGGED = {
    **dict.fromkeys("so finally".split(), "CONCLUDE"),
    **dict.fromkeys("suppose supposing assume assuming imagine consider ignoring".split(), "IF"),
    **dict.fromkeys(
        "since because recall note observe notice see where completeness comparison incidentally particular".split(),
        "EXAMPLE",
    ),
    **dict.fromkeys("plug plugging substitute substituting sanity test testing try trying".split(), "CHECK"),
    **dict.fromkeys("itself question problem sought looking".split(), "ASKED"),
    **dict.fromkeys("whole entire complete full total".split(), "TOTAL"),
    **dict.fromkeys(
        "root roots solution solutions guess candidate candidates possibility possibilities".split(), "VALUE"
    ),
    **dict.fromkeys(
        "reconsider recompute recomputing recalculate recalculating redo redoing recount recounting".split(), "INSTEAD"
    ),
    **dict.fromkeys("leaves remain remaining rest".split(), "ANOTHER"),
}
"""Words whose class is another one for clauses than for the words beside a number."""
_SIGN_OF = {word: next(iter(signs_of(name))) for word, name in _RETAGGED.items()}
_BREAK, _QUESTION, _PAUSE = signs_of("END QUESTION"), signs_of("QUESTION"), signs_of("PAUSE")
_LINKED = "".join(signs_of("PAUSE AND ADVERB ALSO TRUTH TO"))
_BUT, _BE = signs_of("BUT"), signs_of("BE")
_ABBREVIATED = signs_of("RESTATE EXAMPLE")  # `i.e.`
_WORDS, _ARTICLE, _OF = signs_of("WORD GIVE"), signs_of("A"), signs_of("OF")
_COMMA = "".join(_PAUSE)
_LABEL = rule("[^NUMBER PAUSE]{0,4} (?:ASKED | TOTAL [MEASURE VALUE WORD]? PAUSE)")
_REASON = signs_of("EXAMPLE")
_ONLY, _PARTIAL_TO = frozenset("only just merely".split()), signs_of("DET FOR PARTIAL")
_COUNTED_ON = rule(
    "PAUSE? AND? (?:(?:BOUND DET? NUMBER | PLUS | TIMES | ADVERB? OPERATE | [ANYONE WORD] MORE) [^NUMBER]{0,6} (?:NUMBER [^NUMBER]{0,5})? [GIVE ANOTHER BE EQUALS MODAL HAVE] NUMBER | FUNCTION PRON)"
)
_TEST_FAILS = rule("(?:PRON | THAT) [BE WAS] NOT A? CASE | [BE WAS] NOT A? (?:CASE | NUMBER) $")
_ABOUT_IT = rule("[PAUSE BUT AND PRON THAT BE WAS ADVERB]* $")
_ASKS = rule("(?<! WHAT) (?<! WHAT DET) [PERSON DET PRON] [BE WAS WORD MEASURE VALUE]* ASKED")
_PRONOUNS = signs_of("PRON THAT")
_GOES_ON = [["".join(signs_of(name)) for name in pair] for pair in (("AND", "PRON"), ("PRON", "GIVE"))]
_GIVES = rule("^ PRON GIVE")
_ANSWERS_PART = rule("ANSWER TO (?:DET? [EARLY ANOTHER] | WORD PAUSE)")
_HOLDS, _BUT_NOT = rule("^ HOLD"), rule("^ BUT NOT")
_DEPENDS = frozenset("depends depending".split())
_UNDECIDED = rule("OR | EITHER")
_TURNS = signs_of("CONCLUDE BUT INSTEAD CHECK EXAMPLE ELSE")
_BRACKET = signs_of("BRACKET")
_CHECKS = rule("^ [CHECK YES] | ^ WORD? DET? CHECK | ^ DET CHECK")
_REASONS = rule("^ (?:WORD | FOR | TO)? EXAMPLE")
_SUPPOSED = rule(
    "^ WORD? BAD PAUSE | FORGET | IF | UNLESS | ELSE | HEDGE | MAYBE | ANOTHER | EARLY | ANYONE (?:HEDGE | MODAL | WORD)? THINK | NOBODY"
)
_UNSURE = rule(
    "NOT | NO | REJECT | REJECTED | BAD | THAN | BOUND | LEAST | BETWEEN | AROUND | RELATION | OR | RANGE | EVERY"
)
_CONCLUDES = rule("CONCLUDE")
_NAMES_GOAL = rule("(?:ANSWER | ASKED | CORRECTION | [REAL GOOD] (?:ANSWER | VALUE | MEASURE)) | ^ REAL BE")
_WHOLE = rule("TOTAL")
_OPERATES = rule(
    "[OPERATE FUNCTION POWERED HALF PLUS TIMES ROUND] [^NUMBER]* (?:NUMBER [^NUMBER]*)? [GIVE BE EQUALS PAUSE RESTATE] [^NUMBER]* $"
)
_TURNED = rule("^ (?:BUT | INSTEAD | NO | CORRECTION)")
_PRONOUN = rule("(?:PRON | DET ADJ ANSWER) ADV BE", ADJ="[GOOD REAL]*", ADV="ADVERB*")
_REFUSES = rule(
    """(?: IS (?:A WORD? | DET)? (?:BAD (?! [FOR IF UNLESS TO ELSE]) | REJECTED | TOO (?:STOP | TO BE | ADVERB))
     | IS NOT ADV (?:A? ADJ (?:ANSWER | VALUE | GOOD | REAL) | STOP | WHAT) | (?:MODAL | HEDGE) NOT ADV (?:BE ADV (?:RIGHT | STOP) | HOLD | STOP)
     | (?:DO | DOES) NOT ADV HOLD | FAILS (?:STOP | DET | TO) | AGAINST | NOT HOLD
     | RETRACT | MODAL BE (?:A | DET) WORD? BAD | THERE (?:BE | MODAL BE) (?:A | DET) WORD? BAD | ^ [A DET]? BAD STOP )""",
    IS="(?:MODAL | HEDGE | HAVE)? [ADVERB CONCLUDE ALSO]* [BE WAS SEEM]+ [ADVERB CONCLUDE ALSO BUT INSTEAD]*",
    ADV="[ADVERB CONCLUDE ALSO]*",
    ADJ="[GOOD REAL]*",
    RIGHT="(?:GOOD | REAL | A? ANSWER)",
    STOP="(?:PAUSE | $)",
)
_HAS_ERRED = rule("SEEM ADVERB? TOO | ^ [INSTEAD CORRECTION] | THERE BE A BAD")
_ERRED = rule("PERSON [ADVERB HAVE]* ERROR (?! (?:WORD | AS | PAUSE){0,2} EARLY) | PERSON WORD DET BAD")
_STILL_TO_DO = rule("(?:NEED | HAVE | MODAL) [ADVERB NEED TO]* BE? OPERATE | PERSON MODAL? ADVERB MODAL [WORD DO] DET")
_DUTY = frozenset("must should need needs needed have has had remains still yet left".split())
_CANNOT_SAY = rule("PERSON (?:MODAL | DO) NOT (?:THINK | ANSWER | KNOW)")
_LABELLED = rule("^ [BE WAS] (?! .* [ANSWER ASKED])")
_SOLVER = frozenset("we i you it this that giving yielding making obtaining".split())
_OF_IT = frozenset("its their whose".split())
_RESTATES = rule("^ (?:PRON | THAT) BE NUMBER | RESTATE")
_SHOULD_BE = rule("MODAL (?:BE | HAVE) NUMBER")
_NO_PREDICATE = signs_of("WORD LETTER PERCENT VALUE TOTAL MEASURE SCALE SUFFIX ADVERB AND OF CASE BETWEEN FOR DET A")
_NOT_BEFORE_VALUE = signs_of(
    "THAN AND OR TO AT OF BY FOR FROM BETWEEN EVERY BEYOND BOUND AS BASE AFTER NEXT EARLY NUMBER TIMES PLUS OPERATE"
)
_AMOUNTS = frozenset("amounts amount comes come sum sums up".split())
_PREPOSITIONS = frozenset("in on with until since into within through among per".split())
_WORD = re.compile(r"[^\W\d_]+")
_TELLING = (
    words_of("NOT REJECTED BAD TOO FAILS AGAINST ERROR RETRACT INSTEAD CORRECTION NEED ASKED PARTIAL FUNCTION")
    | _DUTY
    | _ONLY
    | {"cannot", "t"}
)
"""A text behind an answer that has no number and none of these words says nothing about it."""
_OPTION = re.compile(r"[A-J]")
_SCRIPT = re.compile(r"^[^\x00-\x7f]+(?=[-\d])")
_GLUED_BEFORE = re.compile(r"(?:[^\s=$:,;*/^×·+-]+ ?[-+*/^×·] ?){0,6}(?:[-+] ?)?[^\s=$:,;*/^×·+-]*$")
_GLUED_AFTER = re.compile(r"(?:[^\s=$,;.!?。，；]|[.,](?=\d))*(?:\s?[-+*/^×·]\s?\w+)*")


@dataclass(frozen=True)
class _Clause:
    """A part of a sentence: its classes, where each stands in the text, and the places of its values."""

    line: str
    tokens: tuple[Token, ...]
    opens: bool  # whether a sentence begins here
    is_question: bool

    @property
    def values(self) -> list[int]:
        return [at for at, sign in enumerate(self.line) if sign == NUMBER]


def ending(after: str, answer: str, before: str = "") -> Ending:
    """What the text behind an answer says about it in the end; the text before tells whether it was only supposed."""
    is_option = _OPTION.fullmatch(answer) is not None
    words = _WORD.findall(after[:MAX_ENDING].lower())
    is_open = "epend" in before  # `it depends on k: for k = 1`
    if not is_open and (
        not words or (not is_option and _TELLING.isdisjoint(words) and not any(map(str.isdigit, after[:MAX_ENDING])))
    ):
        return STANDS
    own, *clauses = _clauses(after[:MAX_ENDING], is_option)
    before_it = _clauses(before, is_option) if before else []
    lead = before_it[-1].line if before_it else ""
    said = _own_clause(after, own, is_tested=_CHECKS.search(lead) is not None)
    if is_open and any(t[0] in _DEPENDS for c in before_it for t in c.tokens):
        said = Ending(is_denied=True)
    is_supposed = clauses != [] and _SUPPOSED.search(lead) is not None
    is_reopened = clauses != [] and _LABELLED.search(own.line) is not None
    if clauses and _HOLDS.search(own.line) and _BUT_NOT.search(clauses[0].line):
        return Ending(is_denied=True)
    about_answer, checks, reasons, supposed = True, False, False, False
    others: list[str] = []
    for clause in clauses:
        line, current = clause.line, said.value or answer
        values = [value_at(after, clause, place) for place in clause.values]
        checks = _CHECKS.search(line) is not None or (checks and not clause.opens)
        reasons = _REASONS.search(line) is not None
        is_reopened = is_reopened or _HAS_ERRED.search(line) is not None
        supposed = _SUPPOSED.search(line) is not None or (supposed and any(t[0] == "would" for t in clause.tokens))
        value = None if checks or reasons or supposed else _value_of(after, clause)
        if value is not None and _goes_on(clause, about_answer, is_reopened or said.is_denied, is_supposed):
            said, about_answer = Ending(value=said.value if value == current else value), True
        elif supposed:
            about_answer = False
        elif checks:
            if _TURNED.search(line) and _SHOULD_BE.search(line):
                said = Ending(is_denied=True)
        elif values and not reasons:
            about_answer = current in values
        if values and not about_answer and _REFUSES.search(line):
            others += values[-1:]
        if value is None and _ASKS.search(line):
            said, is_reopened = STANDS, not said.value
        elif (
            _is_refused(clause, values, current, about_answer or checks, reasons)
            or (_CANNOT_SAY.search(line) and not _UNDECIDED.search(lead))
            or (_ERRED.search(line) and not supposed)
            or (not checks and (_is_unfinished(clause) or (about_answer and _is_part(clause))))
        ):
            said = Ending(is_denied=True, value=said.value)
    return replace(said, refused=tuple(others)) if others else said


def _own_clause(after: str, own: _Clause, is_tested: bool) -> Ending:
    """What the rest of the answer's own clause makes of it: `minus the 2 broken ones leaves 18`, `is only the area of the base`."""
    line = own.line
    if _COUNTED_ON.match(line):
        return Ending(is_denied=True, value=_value_of(after, own) or "")
    if (
        _is_part(own)
        or _ANSWERS_PART.search(line)
        or (line[:1] in _PAUSE and _is_unfinished(own))
        or (is_tested and _TEST_FAILS.search(line))
    ):
        return Ending(is_denied=True)
    return STANDS


def _is_part(clause: _Clause) -> bool:
    """Whether the clause calls its subject only a part: `this is only the first day`."""
    line = clause.line
    return any(
        word in _ONLY and line[at + 1 : at + 2] in _PARTIAL_TO and _ABOUT_IT.match(line, 0, at) is not None
        for at, (word, *_) in enumerate(clause.tokens)
    )


def _is_refused(clause: _Clause, values: list[str], answer: str, about_answer: bool, reasons: bool) -> bool:
    """Whether the clause says of the answer that it is wrong: of the value before its predicate, else of what was spoken about."""
    if found := _REFUSES.search(clause.line):
        subjects = [value for at, value in zip(clause.values, values, strict=True) if at < found.start()]
        is_pronoun = clause.line[max(0, found.start() - 1) : found.start()] in _PRONOUNS
        return (
            subjects[-1] == answer if subjects and not (is_pronoun and about_answer) else about_answer and not reasons
        )
    return False


def _is_unfinished(clause: _Clause) -> bool:
    """Whether something must still be done with the answer: `to which we have to add 3`."""
    return any(
        not _DUTY.isdisjoint(word for word, *_ in clause.tokens[m.start() : m.end()])
        for m in _STILL_TO_DO.finditer(clause.line)
    )


def _value_of(text: str, clause: _Clause) -> str | None:
    """The value that a clause ends in and asserts."""
    line = clause.line
    if clause.is_question or not clause.values:
        return None
    last = clause.values[-1]
    behind = line[last + 1 :]
    if (
        len(behind) > MAX_TRAILING
        or not set(behind) <= _NO_PREDICATE
        or _UNSURE.search(line, line.rfind(_COMMA, 0, last) + 1)
    ):
        return None
    amounts = last > 1 and line[last - 3 : last - 2] in _ARTICLE and line[last - 1] in _OF
    amounts = amounts or (last > 1 and clause.tokens[last - 2][0] in _AMOUNTS)
    if last and not amounts and (line[last - 1] in _NOT_BEFORE_VALUE or clause.tokens[last - 1][0] in _PREPOSITIONS):
        return None
    return value_at(text, clause, last)


def _goes_on(clause: _Clause, about_answer: bool, is_reopened: bool, is_supposed: bool) -> bool:
    """Whether the value of a clause takes the answer's place: it is a conclusion from it, is named as what was asked, or is found by
    the solver and not said of another thing."""
    lead = clause.line[: clause.values[-1]]
    if clause.tokens[0][0] in _OF_IT and not is_reopened:
        return False
    if is_reopened or _NAMES_GOAL.search(lead) or _WHOLE.search(clause.line) or _OPERATES.search(lead):
        return True
    if _CONCLUDES.search(lead):
        return about_answer or clause.opens or is_supposed or len(lead) == 1
    if (
        clause.opens and clause.tokens[0][0].endswith("ing") and clause.line[0] in _WORDS
    ):  # `Loading six of them gives ...`
        return True
    is_solver = not _SOLVER.isdisjoint(t[0] for t in clause.tokens[max(0, len(lead) - 3) : len(lead)])
    return (
        _GIVES.search(clause.line) is not None
        or (is_solver and not _RESTATES.search(clause.line))
        or ((is_supposed or _TURNED.search(clause.line) is not None) and _PRONOUN.search(clause.line) is not None)
    )


def value_at(text: str, clause: _Clause, place: int) -> str:
    """The value that the token at this place is a part of: a formula's right side, or what touches a number."""
    _, _, start, end = clause.tokens[place]
    start -= len(m[0]) if (m := _GLUED_BEFORE.search(text, max(0, start - MAX_VALUE), start)) else 0
    end = m.end() if (m := _GLUED_AFTER.match(text, end, end + MAX_VALUE)) else end
    return _SCRIPT.sub("", text[start:end].strip(" *$()[]。"))


def _clauses(text: str, is_option: bool) -> list[_Clause]:
    """The clauses of a text, the first one that of its beginning. What stands in brackets is left out: it is said aside."""
    clauses: list[_Clause] = []
    held: list[Token] = []
    found = _retagged(text, is_option)
    opens = False

    def close(ends_sentence: bool, is_question: bool = False) -> None:
        nonlocal opens
        line = "".join(t[1] for t in held)
        skip = len(line) - len(line.lstrip(_LINKED)) if clauses else 0
        if held or not clauses:
            clauses.append(_Clause(line[skip:], tuple(held[skip:]), opens, is_question))
        opens = ends_sentence
        held.clear()

    for at, token in enumerate(found):
        _, sign, start, _ = token
        if sign in _BREAK:
            close(True, sign in _QUESTION)
            continue
        following = found[at + 1 : at + 4]
        turns = next((t[1] for t in following if t[1] not in _LINKED), "") in _TURNS
        adds = [t[1] for t in following[:2]] in _GOES_ON
        names_goal = sign in _PAUSE and _LABEL.match("".join(t[1] for t in found[at + 1 : at + 6])) is not None
        ends_reason = held != [] and held[0][1] in _REASON and opens
        is_pause = sign in _PAUSE and (turns or adds or names_goal or ends_reason or text[start] in ";；")
        is_first = not clauses and not held
        if is_pause or (sign in _TURNS and (is_first or not {t[1] for t in held} <= set(_LINKED))):
            close(False)
        held.append(token)
    close(True)
    return clauses


def _retagged(text: str, is_option: bool) -> list[Token]:
    """The tokens with the classes that matter in clauses, without brackets that name numbers."""
    kept: list[Token] = []
    opened: list[int] = []
    for word, sign, start, end in tokens(text):
        if sign in _BRACKET:
            if text[start] in "([":
                opened.append(len(kept))
            elif opened:
                inside = kept[opened.pop() :]
                if any(t[1] == NUMBER for t in inside):
                    del kept[-len(inside) :]
            kept.append((word, _COMMA, start, end))
        elif not (kept and ((sign in _BUT and kept[-1][1] in _BE) or (sign in _BREAK and kept[-1][1] in _ABBREVIATED))):
            is_letter = is_option and _OPTION.fullmatch(text[start:end])
            kept.append((word, NUMBER if is_letter else _SIGN_OF.get(word, sign), start, end))
    return kept
