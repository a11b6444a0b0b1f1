"""Prompt residue: phrases of an evolving prompt that leaked into its result, plain, marked up, mangled or translated.

    is_residue("#Rewritten Prompt#: Sort a list")   is_residue("Prompt réécrit : Trier une liste")   -> True

The paper's fourth rule names "given prompt", "rewritten prompt", "#Rewritten Prompt#" (2304.12244 section 3.3). The text is
normalised first (escapes, width, invisible characters, look-alikes, spaced letters), so each phrase is listed only once;
the translations are in `phrases/`. Invariant: words such as "prompt" or "rewrite" alone are never residue, because tasks
about prompts and rewriting are legitimate.
"""

import html
import re
import unicodedata
from difflib import SequenceMatcher
from functools import cache
from importlib.resources import files
from urllib.parse import unquote

_LOOKALIKES = str.maketrans("аеорсухіѕјԁԛԝμαορντкмвн", "aeopcyxisjdqwuaopvtkmbh")
_LEET = str.maketrans("013457@$", "oieastas")
_SPACED = re.compile(r"(?<!\w)\w(?:[ .\-_]\w(?!\w)){4,}")
"""A word with gaps: "r e w r i t t e n"."""
_WORDS = re.compile(r"[^\W_]+")
"""Markup, brackets and quotes of any kind separate words."""

_MADE = "(?:re ?writ(?:t?en|ed|e|ing)|re ?wrote|re ?phrased|re ?worded|evolved|given|created|generated|modified|revised|adapted|augmented|complicated|complexified)"
_PROMPT = re.compile(
    rf" (?:{_MADE} prompts?|prompts? re ?writ(?:t?en|er)|prompts? (?:re ?writer|creator|evolver)|(?:rewritten|given|created|evolved)prompt) "
)
_NEW = rf"(?:{_MADE}|new|updated|improved|enhanced|original|final|harder|evolved|complex|more complex|upgraded|mutated)"
_THING = "(?:prompts?|instructions?|questions?|query|queries|tasks?|problems?|exercise|challenge|version|request)"
_LABEL = re.compile(
    rf"^[\W_]*(?:(?:the|here is the|here s the|my) )?{_NEW}[\s_\-]{{0,3}}{_THING}[\s*_`'\"”\])>}}]*[:：#=]"  # New Question:
    rf"|[#*\[<{{(`«\"“【]\s*(?:the )?{_NEW}[\s_\-]{{0,3}}{_THING}\s*[#*\]>}})`»\"”】]"  # #New Question#
    rf"|^[\W_]*#+\s*(?:{_MADE})\s*#"  # #Given#
    rf"|<\s*/?\s*{_MADE}[\s_\-]*(?:{_THING})?\s*/?\s*>",  # <rewritten_instruction>
    re.MULTILINE,
)
_MARKER = re.compile(rf"#\s*(?:the )?{_MADE}\s*#|^\W*{_MADE}\s*#?\s*:", re.MULTILINE)
_PREAMBLE = re.compile(
    rf"^\W*(?:(?:sure|certainly|of course|okay|ok|absolutely|great)\b[^\n]{{0,30}}?)?\b(?:here(?: is| s|'s|’s)|below is|this is|i(?: have|'ve|’ve)? (?:rewritten|re ?wrote|evolved))\b"
    rf"[^\n.]{{0,60}}\b(?:{_MADE}|new|(?:more|slightly more) (?:complex|challenging|difficult|detailed|specific)|harder|modified|updated|improved|complex)\b[^\n.]{{0,50}}\b{_THING}\b"
)
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


def is_residue(text: str) -> bool:
    """Whether the text contains words of an evolving prompt. About 0.1 ms for 1,000 ASCII characters."""
    normal = _normalised(text)
    found = _WORDS.findall(normal)
    flat = f" {' '.join(found)} "
    return bool(
        ("prompt" in flat and _PROMPT.search(flat))
        or _ROLE.search(flat)
        or _LABEL.search(normal)
        or _MARKER.search(normal)
        or _PREAMBLE.search(normal)
        or _is_misspelt(flat)
        or (not _TRANSLATED_NOUNS.isdisjoint(found) and _phrases("latin").search(flat))
        or (not text.isascii() and _phrases("other_scripts").search(unicodedata.normalize("NFKC", text).casefold()))
    )


def _normalised(text: str) -> str:
    """Case-folded text without escapes, invisible characters, accents, look-alikes of Latin letters and gaps in words."""
    text = unquote(html.unescape(text)) if "%" in text or "&" in text else text
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if c.isascii() or unicodedata.category(c) not in ("Mn", "Cf"))
        text = re.sub(r"\b\w*[A-Za-z]\w*\b", lambda m: m[0].translate(_LOOKALIKES), text.casefold())
    return _SPACED.sub(lambda m: re.sub(r"[ .\-_]", "", m[0]), text.casefold())


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
