"""Prompt residue: phrases of an evolving prompt that leaked into its result, plain, marked up, mangled or translated.

    is_residue("#Rewritten Prompt#: Sort a list")   is_residue("Prompt réécrit : Trier une liste")   -> True
    is_residue("Rewritten version: The ball was kicked.", asked="Put into the passive: The boy kicked the ball.")  -> False

The paper's fourth rule names "given prompt", "rewritten prompt", "#Rewritten Prompt#" (2304.12244 section 3.3). The text is
normalised first (escapes, width, invisible characters, look-alikes, spaced letters), so each phrase is listed only once;
the translations are in `phrases/`. Invariant: words such as "prompt", "given" or "improved version" alone are never residue,
because people use them; a label counts where it heads the text or stands between number signs, and in an answer only when
the instruction does not speak of that thing itself.
"""

import html
import re
import unicodedata
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from urllib.parse import unquote

from evoltune.text.words import plain_words

_LOOKALIKES = str.maketrans("аеорсухіѕјԁԛԝμαορντкмвн", "aeopcyxisjdqwuaopvtkmbh")
_LEET = str.maketrans("013457@$", "oieastas")
_SPACED = re.compile(r"(?<!\w)\w(?:[ .\-_]\w(?!\w)){4,}")
"""A word with gaps: "r e w r i t t e n"."""
_SHAPES = (
    "".join("w" if chr(c).isalnum() else "-" if chr(c) in " .-" else " " for c in range(128)).encode() + b" " * 128
)
_WORDS = re.compile(r"[^\W_]+")
"""Markup, brackets and quotes of any kind separate words."""

_MADE = "(?:re ?writ(?:t?en|ed|e|ing)|re ?wrote|re ?phrased|re ?worded|evolved|given|created|generated|modified|revised|adapted|augmented|complicated|complexified)"
_PROMPT = re.compile(
    rf" (?:{_MADE} prompts?|prompts? re ?writ(?:t?en|er)|prompts? (?:re ?writer|creator|evolver)|(?:rewritten|given|created|evolved)prompt) "
)
_NEW = rf"(?:{_MADE}|new|updated|improved|enhanced|original|final|finally|harder|evolved|complex|more complex|upgraded|mutated|concrete|easier)"
_THING = "(?:prompts?|instructions?|questions?|query|queries|tasks?|problems?|exercise|challenge|version|request|tests?|puzzle|assignment|scenario)"
_OPEN, _CLOSE = r"[\s#*_`'\"“”«»‘’\[\](){}<>【】「」『』〈〉《》〔〕~-]*", r"[\s*_`'\"”’»\])}>】」』〉》〕~]*"
_HEADING = re.compile(
    rf"\A{_OPEN}(?:(?:the|here is the|here s the) )?{_NEW}[\s_\-]{{0,3}}(?:and {_NEW} )?{_THING}{_CLOSE}(?:[:：#=]|\n)"  # New Question:
    rf"|\A{_OPEN}{_MADE}[\s_\-]{{1,3}}\w+{_CLOSE}[#=】]"  # [Rewritten Puzzle]#
    rf"|\A{_OPEN}(?:re ?writt?en|evolved|re ?phrased|re ?worded|complexified){_CLOSE}[:：#=]"  # Rewritten:
)
"""A label at the head of an instruction. Further down, and in answers, people write such labels themselves."""
_NEXT_TURN = re.compile(
    r"(?:new|final|original|updated|harder|easier) (?:question|problem|task|request|challenge|scenario|version): *\S"
)
"""A label that people put before their next message in a dialogue: unmarked, with the message on its line."""
_NUMBER_SIGNS = re.compile(
    rf"#\s*(?:the )?(?:finally )?{_NEW}[\s_\-]{{0,3}}{_THING}\s*#|#\s*(?:the |finally )*{_MADE}(?:[\s_\-]\w+){{0,3}}\s*#|#(?:methods list|plan)#"
    rf"|<\s*/?\s*{_MADE}[\s_\-]*(?:{_THING})?\s*/?\s*>"  # <rewritten_instruction>
)
_THINGS = frozenset("prompt instruction question task problem exercise".split())
_OWN_LINE = re.compile(
    rf"^{_OPEN}(?:the )?{_NEW} (?P<thing>prompt|instruction|question|task|problem|exercise){_CLOSE}[:：]", re.MULTILINE
)
_ANNOUNCED = rf"{_MADE}|(?:more|slightly more) (?:complex|challenging|difficult|detailed|specific)|harder|updated|improved|evolved"
_PREAMBLE = re.compile(
    rf"\A\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|great)\b[^\n]{{0,30}}?)?\b(?:(?:here(?: is| s|'s)|below is) (?:(?:the|your|my|one)\b[^\n.:]{{0,60}}?\bnew|(?:the|your|my|one|a|an)\b[^\n.:]{{0,60}}?\b(?:{_ANNOUNCED}))"
    rf"|this is (?:the|your|my)\b[^\n.:]{{0,60}}?\b(?:{_ANNOUNCED}|new)|i(?: have|'ve)? (?:rewritten|re ?wrote|evolved)\b[^\n.:]{{0,60}}?)"
    rf"\b[^\n.:]{{0,40}}\b(?P<thing>{_THING})\b[^\n.:]{{0,40}}(?::|\n|\Z)"
    rf"|\A\W*i(?: have|'ve)? (?:rewritten|re ?wrote|evolved) (?:the|your|this) (?P<other>{_THING})\b"
)
_OWN_NOTE = re.compile(
    r"\n[^\w\n]*(?:(?:note|explanation|rationale|changes?(?: made)?|comment)\W+)?(?:here,? )?(?:"
    r"i(?:['’]ve| have)? (?:added|made|rewrote|rewritten|rephrased|increased|introduced|modified|changed|kept|replaced|included)\b"
    r"|this (?:new |rewritten |revised )?(?:version|prompt|instruction|question|task)(?: now)? (?:adds|introduces|increases|is more|requires more))"
    r"[^\n]{0,160}\b(?:more (?:complex|complicated|challenging|difficult|specific)|harder|complexity|difficulty"
    r"|(?:original|given) (?:prompt|instruction|task|question|problem))\b[^\n]{0,160}\Z"
)
"""The teacher's last line below the instruction, about what it did to it."""
_ROLE = re.compile(
    r" (?:act as a prompt|your objective is to (?:rewrite|re write|draw inspiration|create a brand new)|(?:complicate|rewrite|re write) the (?:given|following|above) (?:prompt|instruction)"
    r"|famous ai systems|(?:chatgpt and gpt ?4)|make the (?:prompt|instruction) a bit harder|understood and responded by humans|non text parts such as) "
)
_TRANSLATED_NOUNS = frozenset(
    """prompt prompts promptul invite consigne instruction instruccion indicacion mensaje instrucao comando solicitacao
    istruzione richiesta eingabeaufforderung anweisung aufforderung instructie opdracht monit polecenie uppmaning
    instruktion istem komut vyzva nhac""".split()
)
"""Each phrase of phrases/latin.txt contains one of these."""
_SUSPECT = re.compile(r" (pr\w{2,6}|r\w{11,19})(?= )")
"""A word that may be a misspelt "prompt" or "rewrittenprompt"."""


def is_residue(text: str, asked: str | None = None, *, is_next_turn: bool = False) -> bool:
    """Whether a text contains words of an evolving prompt. About 0.1 ms for 1,000 ASCII characters.

    Args:
        text: an instruction, or with `asked` an answer to it.
        asked: the instruction; what it speaks of itself (a prompt to improve, a question to rewrite) is no residue.
        is_next_turn: the instruction has earlier turns, after which people write "New question: ..." themselves.
    """
    normal = _normalised(text)
    found = plain_words(normal) if normal.isascii() else _WORDS.findall(normal)
    flat = f" {' '.join(found)} "
    if _ROLE.search(flat) or (("#" in normal or "<" in normal) and _NUMBER_SIGNS.search(normal)):
        return True
    speaks = bool("prompt" in flat and _PROMPT.search(flat)) or _is_misspelt(flat) or _is_translated(text, found, flat)
    if asked is None:
        is_headed = bool(_HEADING.match(normal)) and not (is_next_turn and _NEXT_TURN.match(normal))
        ends_in_note = bool(_OWN_NOTE.search(normal[-600:].rstrip()))
        return speaks or is_headed or ends_in_note or bool(_PREAMBLE.match(normal)) or _has_translated_label(text)
    if (not speaks and _THINGS.isdisjoint(found)) or _speaks_of(asked, "prompt"):
        return False
    if speaks:
        return True
    labels = (*_OWN_LINE.finditer(normal), *_PREAMBLE.finditer(normal))
    things = {next(filter(None, match.groups())).removesuffix("s") for match in labels}
    return bool(things & _THINGS) and not any(_speaks_of(asked, thing) for thing in things)


def _speaks_of(asked: str, thing: str) -> bool:
    found = set(_WORDS.findall(asked.casefold()))
    return thing in found or f"{thing}s" in found or (thing == "prompt" and not _TRANSLATED_NOUNS.isdisjoint(found))


def _is_translated(text: str, found: list[str], flat: str) -> bool:
    if not _TRANSLATED_NOUNS.isdisjoint(found) and _phrases("latin").search(flat):
        return True
    return not text.isascii() and bool(_phrases("other_scripts").search(unicodedata.normalize("NFKC", text).casefold()))


def _has_translated_label(text: str) -> bool:
    """ "【書き換えた問題】", "Neue Aufgabe:": a label of another language at the head of the text."""
    head = unicodedata.normalize("NFKC", text[:200]).casefold()
    return bool(_label_phrases().match(head))


@cache
def _label_phrases() -> re.Pattern[str]:
    lines = (files("evoltune.text") / "phrases" / "labels.txt").read_text(encoding="utf-8").splitlines()
    phrases = "|".join(unicodedata.normalize("NFKC", line) for line in lines if line and not line.startswith("#"))
    return re.compile(rf"{_OPEN}(?:{phrases})\s*\d*{_CLOSE}(?:[:：=#\n]|(?<=[】」』〉》〕\])>*]))")


def _normalised(text: str) -> str:
    """Case-folded text without escapes, invisible characters, accents, look-alikes of Latin letters and gaps in words."""
    text = unquote(html.unescape(text)) if "%" in text or "&" in text else text
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if c.isascii() or unicodedata.category(c) not in ("Mn", "Cf"))
        text = re.sub(r"\b\w*[A-Za-z]\w*\b", lambda m: m[0].translate(_LOOKALIKES), text.casefold())
    text = text.casefold()
    if text.isascii() and "_" not in text and b"w-w-w-w-w" not in text.encode().translate(_SHAPES):
        return text  # without five letters and gaps in a row, which is cheap to see
    return _SPACED.sub(lambda m: re.sub(r"[ .\-_]", "", m[0]), text)


@cache
def _phrases(name: str) -> re.Pattern[str]:
    """The phrases of one file as one pattern. Read at first use: it takes 30 ms, and most runs need none."""
    lines = (files("evoltune.text") / "phrases" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return re.compile("|".join(line for line in lines if not line.startswith("#")))


def _is_misspelt(flat: str) -> bool:
    """ "Rewrtten Promt", "R3written Pr0mpt", "rewrittenprompt": near "rewritten prompt" letter by letter."""
    for match in _SUSPECT.finditer(flat):
        word = match[1].translate(_LEET)
        if len(word) >= 12:
            if _is_near(word, "rewrittenprompt", 0.82):
                return True
            continue
        before = [w.translate(_LEET) for w in flat[max(0, match.start() - 40) : match.start()].split()[-2:]]
        if not before or len(set("prompt") & set(word)) < 4 or not _is_near(word, "prompt", 0.8):
            continue
        if before[-1] == "re" or (len(before[-1]) >= 7 and _is_near(before[-1], "rewritten", 0.75)):
            return True
        if _is_near("".join(before), "rewritten", 0.8):
            return True
    return False


def _is_near(word: str, known: str, ratio: float) -> bool:
    return SequenceMatcher(None, word, known).ratio() >= ratio
