"""What the words around a number say about it: that it is denied, bounded, scaled, or one of several.

    claim("We can rule out 9.", 16, 17).of("9")  ->  "not 9"
    claim("At least 9 apples", 9, 10).of("9")    ->  "least 9"
    claim("It is 9 million", 6, 7).of("9")       ->  "9 million"

Windows of text are read in English first (`in_english`), so that each rule is written once.
"""

import re
from dataclasses import dataclass

from evoltune_math.answers.opposites import TURNING
from evoltune_math.answers.reading.languages import FOREIGN, in_english
from evoltune_math.answers.units import known
from evoltune_math.answers.vocabulary import MODIFIERS, word_set

MAX_BESIDE = 60  # characters before and after a number that are read
MAX_NEAR = 5  # words next to a number among which those are that change it
_FILLER = (
    r"(?:(?:that|for|the|this|it|its|it['’]s|answers?|value|result|total|solution|final|correct|right|number|is|are|be|being|was|were|would|equals?|equal|to|of|as|say|true|case|so|"
    r"get|with|also|possibly|really|actually|definitely|claim|conclude|think|believe|suppose|feel|equals|choose|pick|give|accept)(?![A-Za-z])|[A-Za-z](?=\s*=|\s+to\b|\s+is\b|\s+equals?\b)|=|\\(?:text|mathrm|textbf|boldsymbol|mathbf)\{|\\[,;:! ]|[$~({\[*_`\"“«]|\\[(\[]|\s)*$"
)
"""What may stand between a word and the number that it is about."""
_DENIES = (
    r"(?:\b(?:not(?! only| just| merely| simply)|never|neither|nor|cannot|hardly|by no means|(?<!by )no way|far from|nobody \w+|no one \w+|refuse to|fail(?:s|ed)? to|suppose|supposing|assuming)\b|n['’]t\b"
    r"|\b(?:false|untrue|incorrect|wrong|(?:a )?mistake|mistaken|impossible|unlikely|implausible|absurd)(?= (?:that|for|to)\b)"
    r"|\b(?:wrong|incorrect|false|mistaken|bad|erroneous|naive|tempting) (?:final )?(?:answer|value|result|solution|guess|choice|option)(?:s| (?:is|was|would be|of))?\b:?"
    r"|(?<!\bno )(?<!without )(?<!without a )(?<!beyond )\bdoubt(?:s|ed|ful|less)?\b(?<!doubtless)"
    r"|\b(?:rul(?:e|es|ed|ing) out|exclud(?:e|es|ed|ing)|eliminat(?:e|es|ed|ing)|reject(?:s|ed|ing)?|discard(?:s|ed|ing)?|refut(?:e|es|ed)|disprov(?:e|es|ed)|disagree with|"
    r"except(?:ing|s)?|instead of|rather than|(?<!\bnone )(?<!\bno )other than|contrary to|den(?:y|ies|ied)|avoid|anything but|everything but|unequal to|different from|differs from)\b(?! (?:value|number|root|case|point|item)s?\b))"
)
_DENIED_BEFORE = re.compile(_DENIES + _FILLER, re.I)
_OF = r"(?:half|negative|opposite|square|cube|root|reciprocal|inverse|multiples?|factors?|divisors?|powers?|percent|thirds?|quarters?|fifths?)"
_ANSWER = r"the (?:final |correct |right )?answer"
_OF_ANSWER = re.compile(
    rf"(?:\b(?:twice|thrice|half|double|triple|times|plus|minus|divided by|(?:more|less|fewer|greater) than|(?:half|double|triple|square|cube|root|negative|"
    rf"opposite|reciprocal|inverse|factorial|absolute value|logarithm) of) {_ANSWER}"
    rf"|\b{_ANSWER}(?: (?:plus|minus|times|divided by|over) [\w$.]+|,? (?:squared|cubed|doubled|halved|tripled)))\s+(?:is|equals|=){_FILLER}"
    rf"|\b{_ANSWER} has[\s$(]*$",
    re.I,
)
"""What tells a function of the answer, and so another number: `twice the answer is 7`."""
_CHANGED_BEFORE = re.compile(
    r"(?:\b(?:(?<!\bnothing )(?!other)\w*(?:more|less|er|rather|worse|sooner) than|(?<!\bnone )(?<!\bno )other than|between [\d.,$]+ and|least|most|minus|negative|nearly|almost|twice|half"
    r"|exceed(?:s|ed|ing)?|(?:all|any|every)(?: \w+)? but"
    rf"|(?:%|\b{_OF}) of|(?<!has )(?<!have )(?<!attains )(?<!reaches )\ba (?:minimum|maximum|min|max) of"
    r"|divisible by|up to|over|above|below|under|beyond)|%\s*of)[\s$}(]+(?:\\[(\[]\s*)?(?:the |a |an )?$",
    re.I,
)
"""What makes the number that follows another statement."""
_CHANGED_AFTER = re.compile(
    r"[\s$~)\\}]*?(?:\\(?:text|mathrm)\{)?\s*\(?((?:,?\s*(?:or|and)\s+(?:more|less|fewer|greater|higher|lower|above|below|up|over|so)\b(?!\s+(?:is|are|was|would|will|can|does|do)\b))"
    r"|(?:more|less|fewer|greater) than \$?[b-z]\b|(?:at (?:the )?(?:very )?(?:least|most)|squared|cubed|halved|doubled|tripled|below zero|degrees below)\b"
    r"|(?:hundred|thousand|million|billion|trillion|dozen)\b|\\times\s*10\^(?:\{-?\d+\}|\d))",
    re.I,
)
"""The same for the number before."""
_BE = r"(?:is|are|was|were|seems?(?: to be)?|looks|(?:must|should|would|could|can|has to|have to|may|might)(?: now| thus| therefore)? be|(?:has|have) been|gets?|is to be)"
_ADVERB = r"(?:clearly|certainly|obviously|definitely|simply|just|also|therefore|thus|actually|however|of course|completely|totally|then|really|quite|plainly|still|already)"
_BAD = (
    r"(?:wrong|incorrect|false|impossible(?! (?:for|with|if|unless|otherwise|when|to))|invalid|untrue|extraneous|inadmissible|inconsistent|ruled out|excluded|rejected|eliminated|discarded|refuted|"
    r"mistaken|nonsense|absurd|out of the question|unacceptable|disproved|no (?:solution|root|answer)\b|far from (?:it|right|correct|the answer|the truth)|"
    r"an? (?:(?:common|typical) )?(?:extraneous|wrong|incorrect|invalid|false|bad|spurious|mistake|trap|distractor|error)|too (?:large|small|big|high|low|much|many)(?=\s*(?:[.,;!]|$)))"
)
_GOOD = (
    r"(?:the |an? |our |my |what |quite |possibly |even |any )*(?:valid |correct |right |true |final |actual |possible |real |required |desired |acceptable )*"
    r"(?:answer|solution|result|root|correct|right|true|valid|possible(?! to)|it\b|acceptable|admissible|allowed|so\b|the case|we (?:want|need)|(?:[.!;)]|$))"
)
_NOT = r"(?:n['’]t|\s+not|\s+never)"
_VERDICT = (
    rf"(?:{_BE}(?:\s+{_ADVERB})*\s+{_BAD}|(?:is|was|are|were|seems|would be|could be){_NOT}(?:\s+{_ADVERB})*\s*{_GOOD}|not {_GOOD}"
    rf"|(?:can(?:not|['’]t| not)|could{_NOT}|must{_NOT}|may{_NOT}|won['’]t|will{_NOT}|would{_NOT})(?:\s+possibly)?\s+(?:be\s+{_GOOD}|work|hold|happen|occur|satisfy|be$)"
    rf"|(?:does|do|did){_NOT}\s+(?:work|satisfy|fit|hold|solve|check out|match|make sense|qualify|apply)\b|fails?(?=\s*(?:[.,;!]|$| the | to satisfy))|a contradiction\b|(?:contradicts|violates)\s+(?:the|our|its|that|this)\b|cannot be(?=\s*(?:[.,;!)]|$))|(?:wrong|incorrect)(?=\s*(?:[.,;)\]!]|$)))"
)
_DENIED_AFTER = re.compile(
    rf"[\s$)\]}}*_`\"”»\\]*(?:(?!or\b|and\b)\\?(?:text\{{)?[A-Za-z]{{1,12}}\}}?\s+){{0,2}}?(?:[,;–—-]+\s*)?(?:\(|\[)?(?:(?:but|which|that|and|this|it|yet|though|as|for)\s+)*(?:(?:it|that|this)['’]s\s+{_BAD}|{_VERDICT})"
    rf"|[\s$)\]}}*_`\"”»\\]*\?\s*(?:no\b|nope\b|{_BAD})"
    rf"|[\s$)\]}}*_`\"”»\\]*[.!?]\s+(?:(?:but|however|wait|no|hmm|oops|actually|unfortunately|sorry|oh)[,!.\s—–-]*)*"
    rf"(?:(?:that|this|it|which)(?: (?:answer|value|result|solution|one))?(?:['’]s\s+(?:{_BAD}|not\s+{_GOOD})|\s+{_VERDICT})|(?:wrong|incorrect|false)\b\s*[.!]|correction\b)"
    r"|[\s$)\]}*_`\"”»\\]*[.!?,;]?\s+\**(?:(?:correction|edit)\**\s*:|(?:scratch that|on second thoughts?|just kidding)\b|(?:no, )?make (?:that|it) \$?[\d\\]|(?:though|but|although) (?:it|that)(?: is|['’]s) (?:really|actually) \$?[\d\\])",
    re.I,
)
_TENTATIVE = r"(?:(?:maybe|perhaps|possibly|even|just|also|probably|it could be|it might be|is it|else|either)\s+)*"
_ALTERNATIVE = r"(\$?(?:[A-Za-z]\s*=\s*)?-?(?:\d[\d,]*(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?|\\[dt]?frac\s*\{[^{}]{1,20}\}\{[^{}]{1,20}\}|\\sqrt\s*\{[^{}]{1,20}\})(?![\d,.]*\d))"
_OR_AFTER = re.compile(
    rf"[\s$)}}\\]*((?:\\?(?:text|mathrm)?\{{?\s*[A-Za-z]{{1,12}}\}}?)?)[\s$)}}]*[.,;]?\s*[(\[]?\s*\b(?:(?:and/)?or\s+{_TENTATIVE}|(?:maybe|perhaps|possibly)\s+(?:even\s+)?|to\s+){_ALTERNATIVE}"
    r"(?!\$?\s*(?:[+*/^=]|\\times|\\cdot|\)?\s*(?:is|are|was|were|would|will|can|decimal|significant|sig|places?|d\.?p|s\.?f|digits?|figures?)\b))\s*([A-Za-z]{1,12}\b)?",
    re.I,
)
_OR_BEFORE = re.compile(
    rf"(?<![\w/*+^.,-])(?<![/*+^-] ){_ALTERNATIVE}[\s$)]*[.,;]?\s*\b(?:(?:and/)?or\s+{_TENTATIVE}|(?:maybe|perhaps|possibly)\s+(?:even\s+)?)[\s$(\\]*(?:[A-Za-z]\s*=\s*)?$",
    re.I,
)


_SIGN_APART = re.compile(
    r"(?:\$\s*(?:\\[,;:! ]\s*)*[-−]\s*(?:\\[,;:! ]\s*)*\$|(?<![\w)}−])−|(?<![\w)}-])-(?:\\[,;:!]\s*)+|(?<=[\s=])-\$)\s*$"
)
"""A minus sign with a delimiter or a space of TeX between it and its number; after `- ` an item of a list begins."""
_CROSSED = re.compile(r"[\s$)\]}*]*[✗✘❌]")
_AMOUNT = re.compile(r"-?\\?\$?\s?\d[\d.,/]*(?::\d\d)?(?:\s?\\?%|\^\{?\\circ\}?|°)?")
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
_MEASURABLE = re.compile(r"(?:[\d\s.+*/^{}-]|,\d{3}(?!\d)|\\(?:[dt]?frac|sqrt|pi|cdot|times)(?![A-Za-z])|\\[,!]){1,80}")
"""A single number, which may have a unit."""
_UNIT_AFTER = re.compile(
    r"(?:\$|\\\)|\*\*)?(?:[ ~]|\\[ ,;!])*(\\(?:text|mathrm|textrm|rm)\s?\{)?[ ~]*((?:(?:square|cubic|sq|cu)\.? )?)(?!in\b)([A-Za-z]{1,12})"
    r"((?:\s?/\s?|[ ]per[ ])[A-Za-z]{1,12})?\}?(?:\^\{?(-?\d)\}?)?(?![\w/^*-]|[ ~]?\\|[ ](?:and[ ])?\d)(\s*(?:[$.,;)\]]|$))?"
)
"""A unit behind a formula or a box, plain or in `\\text{}`."""
_SCALE_AFTER = re.compile(
    r"\$?\s?(?:\^\s?\{?\s?\\circ\s?\}?|°|degrees?\s)\s?(?:\\[,; ])?\$?(?:\\(?:text|mathrm|rm)\s?\{\s?)?([CF])(?:elsius|ahrenheit)?(?![A-Za-z])"
)
"""The scale of a temperature."""
_WORD = re.compile(r"[a-z]+")
_DENYING = word_set(
    "not never neither nor cannot hardly nobody no t refuse fail fails failed false untrue incorrect wrong mistake mistaken impossible unlikely "
    "implausible absurd bad erroneous doubt doubts doubted doubtful rule rules ruled ruling exclude excludes excluded excluding eliminate eliminates "
    "eliminated eliminating reject rejects rejected discard discards discarded refute refutes refuted disprove disproves disproved disagree except "
    "excepting excepts instead rather other contrary deny denies denied avoid but unequal different differs invalid extraneous inadmissible nonsense "
    "out unacceptable far spurious trap distractor error too nope contradiction contradicts violates inconsistent means way correction edit scratch thought thoughts kidding make really actually suppose supposing assuming naive tempting"
)
_CHANGING = word_set(
    "than and least most minus negative nearly almost twice half exceed exceeds exceeded exceeding all any every opposite square cube root "
    "reciprocal inverse multiple multiples factor factors divisor divisors power powers percent third thirds quarter quarters fifth fifths minimum "
    "maximum min max divisible up over above below under beyond or at squared cubed halved doubled tripled degrees hundred thousand million billion "
    "trillion dozen times more less fewer greater zero"
)
_DOUBTING = word_set("or maybe perhaps possibly to")
"""The words without which no rule above can match: most texts have none of them."""


@dataclass(frozen=True)
class Claim:
    """What is said about a number: `denied`, or the words `before` and `after` that belong to the answer.

    `turning`: words such as `decrease`, which matter only beside an answer with their opposites.
    """

    denied: bool = False
    before: str = ""
    after: str = ""
    turning: str = ""

    def of(self, answer: str) -> str:
        """The statement that the text makes with this answer."""
        if self.denied:
            return f"not {answer}"
        if self.turning and _AMOUNT.fullmatch(answer):
            percent = "\\%" if self.turning[0] == "%" and "%" not in answer else ""
            return f"{answer}{percent} \\text{{{self.turning.lstrip('%')}}}"
        return f"{self.before} {answer} {self.after}".strip() if self.before or self.after else answer


NOTHING = Claim()


def claim(text: str, start: int, end: int) -> Claim:
    """What the text before and after a number, text[start:end], says about it."""
    before, after = text[max(0, start - MAX_BESIDE) : start], text[end : end + MAX_BESIDE]
    if ("-" in before[-12:] or "−" in before[-12:]) and (sign := _SIGN_APART.search(before)):
        before = f"{before[: sign.start()]} minus "
    words_before, words_after = _WORD.findall(before.lower()), _WORD.findall(after.lower())
    if not (before.isascii() and after.isascii() and FOREIGN.isdisjoint(words_before + words_after)):
        before, after = in_english(before + "0")[:-1], in_english("0" + after)[1:]
        words_before, words_after = _WORD.findall(before.lower()), _WORD.findall(after.lower())
    is_struck = before.endswith("~~") and after.startswith("~~")
    if is_struck or _CROSSED.match(after):
        return Claim(denied=True)
    if not _DENYING.isdisjoint(words_before) and _DENIED_BEFORE.search(before):
        return Claim(denied=True)
    if not _DENYING.isdisjoint(words_after) and _DENIED_AFTER.match(after):
        return Claim(denied=True)
    if "answer" in words_before and _OF_ANSWER.search(before):
        return Claim(denied=True)
    last, first = words_before[-MAX_NEAR:], words_after[:MAX_NEAR]
    lead = tail = ""
    if ("%" in before or not _CHANGING.isdisjoint(last)) and (changed := _CHANGED_BEFORE.search(before)):
        lead = changed[0].strip(" $(}\\")
    if not _CHANGING.isdisjoint(first) and (changed := _CHANGED_AFTER.match(after)):
        tail = changed[1].strip()
    if not lead and not _DOUBTING.isdisjoint(last) and not after.lstrip(" $").startswith("="):
        other = _OR_BEFORE.search(before)
        lead = f"{other[1].strip(' $')} or" if other else ""
    if not tail and not _DOUBTING.isdisjoint(first) and (other := _OR_AFTER.match(after)):
        tail = _alternative(*other.groups(""))
    turning = "" if lead or tail else _turning(before, after, words_before, words_after)
    return Claim(before=lead, after=tail, turning=turning) if lead or tail or turning else NOTHING


def stated(text: str, start: int, end: int, content: str) -> str:
    """What the text says with the formula or box text[start:end] of this content: its claim, or else its unit: `$12$ minutes`."""
    said = claim(text, start, end)
    return said.of(content) if said != NOTHING else content + unit_after(text, end, content)


def unit_after(text: str, end: int, content: str) -> str:
    """The unit that follows a number at text[end:], as LaTeX; "" where there is none, or what follows is no known unit."""
    if any(map(str.isdigit, content)) and (scale := _SCALE_AFTER.match(text, end)):
        return f"^\\circ\\text{{{scale[1]}}}"
    found = (
        _UNIT_AFTER.match(text[end : end + MAX_BESIDE])
        if _MEASURABLE.fullmatch(content) and any(map(str.isdigit, content))
        else None
    )
    if found is None or not known(found[3]):
        return ""
    is_letter = len(found[3]) == 1 and not (found[1] or found[4])
    if is_letter and (
        found[3] not in "gmshLNJWV" or (found[3] != "g" and found[6] is None)
    ):  # `\\boxed{5} s` ends there
        return ""
    power = f"^{{{found[5]}}}" if found[5] else ""
    return f" \\text{{ {found[2]}{found[3]}{found[4] or ''}}}{power}"


def _turning(before: str, after: str, words_before: list[str], words_after: list[str]) -> str:
    """The words beside a number up to one that has an opposite: `minutes late`, `decrease` of `a decrease of 20%`."""
    if not TURNING.isdisjoint(words_after[:MAX_NEAR]) and (behind := _TURNED_AFTER.match(after)):
        return ("%" if behind[1] else "") + behind[2] + _ALIASES.get(behind[3].lower(), behind[3])
    if not TURNING.isdisjoint(words_before[-MAX_NEAR:]) and (ahead := _TURNED_BEFORE.search(before)):
        return _ALIASES.get(ahead[1].lower(), ahead[1])
    return ""


def _alternative(unit: str, number: str, unit_after: str) -> str:
    """`or 10` with the units on both sides; a decimal is the rounding of what stands before it, or contradicts it."""
    unit, unit_after = (u if known(u) else "" for u in (re.sub(r"\\(?:text|mathrm)|[{}\s]", "", unit), unit_after))
    sign = "\\approx" if "." in number and not unit_after else "or"
    return f"{unit} {sign} {number.strip(' $')} {unit_after}".strip()
