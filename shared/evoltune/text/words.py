"""Words of a text: the tokens that curation counts, and the words that elimination rules read.

    tokens of "Don't sort Tom's 3_apples!":
    words(...)        ->  ["don", "t", "sort", "tom", "s", "3_apples"]
    prose_words(...)  ->  ("don't", "sort", "tom's", "3", "apples")

The rule for all scripts (Unicode's UAX 29 without a dictionary): a word is a run of letters, digits and the marks and joiners
on them (Hindi vowels, Arabic diacritics). In scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer,
Burmese) each letter is a token, and `word_count` counts two of them as one word.

Invariant: all thresholds of dedup and decontamination are over `words`, and all of elimination and self-instruct over
`prose_words`, so that a figure means the same everywhere.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence, Set
from functools import lru_cache

SHINGLE = 3  # words; what published figures and peers measure Jaccard on
SENTENCE_END = re.compile(r"[.!?؟।]['\"”’»)\]]*(?:\s+|$)|[。！？]['\"”’」』）)\]]*\s*|\n+")
STOP_WORDS = frozenset(
    """a an the this that these those and or but if then so of in on at to from by for with as is are was were be been am
    do does did has have had i you he she it we they me him her us them my your his its our their what which who whom not
    no nor yes just very too also there here when where why how all any each some such only own same than can will would
    should could may might must shall ok okay well""".split()
)
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters of scripts without spaces between words, as ranges of a character class."""
UNSPACED_PER_WORD = 2
EDGE = ["\u2402", "\u2402"]
_OPTIONAL = re.compile(
    "[\u00ad\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0640\u064b-\u0652\u0670\u200b\u2060\ufeff]"
)
_ASCII_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
ASCII_TABLE = "".join(chr(c).lower() if chr(c).isalnum() or c == 95 else " " for c in range(128)).encode() + b" " * 128
_PROSE_TABLE = ASCII_TABLE.replace(b"_", b" ")


def normalise(text: str) -> str:
    """NFKC, case-folded, runs of white space as one space: rows equal in this form are exact duplicates."""
    return " ".join((text if text.isascii() else _without_optional_marks(text)).casefold().split())


def _without_optional_marks(text: str) -> str:
    """NFKC, without what may be written or not: Arabic and Hebrew vowel signs, tatweel, soft hyphens, zero-width spaces."""
    return _OPTIONAL.sub("", unicodedata.normalize("NFKC", text))


def words(text: str) -> list[str]:
    """Lower-case words and numbers; punctuation separates. ASCII goes through a table: 3 instead of 14 microseconds."""
    if text.isascii():
        return text.encode().translate(ASCII_TABLE).decode().split()
    return _patterns()[0].findall(_without_optional_marks(text).lower())


def plain_words(text: str) -> list[str]:
    """Lower-case runs of letters and digits of an ASCII text; everything else separates."""
    return text.encode().translate(_PROSE_TABLE).decode().split()


@lru_cache(maxsize=256)
def prose_words(text: str) -> tuple[str, ...]:
    """Case-folded words and numbers; an apostrophe inside a word belongs to it, an underscore separates."""
    if text.isascii():
        return tuple(_ASCII_WORD.findall(text.casefold()) if "'" in text else plain_words(text))
    text = _without_optional_marks(text).casefold().replace("’", "'")
    return tuple(_patterns()[1].findall(text))


@lru_cache(maxsize=256)
def word_count(text: str) -> int:
    """How many words a text has, comparable between scripts: two letters of a script without spaces count as one."""
    found = prose_words(text)
    unspaced = 0 if text.isascii() else sum(map(is_unspaced, found))
    return len(found) - unspaced + -(-unspaced // UNSPACED_PER_WORD)


def is_unspaced(token: str) -> bool:
    """Whether a token of `prose_words` is one letter of a script without spaces between words."""
    return not token.isascii() and bool(_patterns()[2].match(token))


@lru_cache(maxsize=1)
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """(words, prose words, a letter of a script without spaces). Compiled at first use: the marks take milliseconds."""
    blocks = (*range(0x300, 0x3100), *range(0xA800, 0xAC00))
    marks = "".join(chr(c) for c in blocks if unicodedata.category(chr(c)) in ("Mn", "Mc")) + "\u200c\u200d"

    def runs(excluded: str) -> str:
        plain = f"[^\\W{excluded}{UNSPACED}]+"
        return f"{plain}(?:[{marks}]+(?:{plain})?)*"

    letter = f"[{UNSPACED}][{marks}]*"
    words = re.compile(f"{runs('')}|{letter}")
    prose = re.compile(f"{runs('_')}(?:'{runs('_')})*|{letter}")
    return words, prose, re.compile(f"[{UNSPACED}]")


def ngrams(tokens: Sequence[str], n: int) -> Iterator[tuple[str, ...]]:
    """All runs of n words; none when there are fewer. Built in C: 45 words take 6 microseconds for n=13."""
    return zip(*(tokens[i:] for i in range(n)), strict=False)


def shingles(text: str, size: int = SHINGLE) -> set[str]:
    """The set of word shingles; a text with fewer words than `size` is one shingle of its own."""
    tokens = shingle_tokens(text)
    if len(tokens) < size:
        return {" ".join(tokens)}
    return set(map(" ".join, ngrams(tokens, size)))


def shingle_tokens(text: str) -> list[str]:
    """`words`; where a text begins or ends with a letter of a script without spaces, that edge is padded. So one letter there
    is in three shingles, as inside: else two questions about two countries would differ in one of six shingles."""
    tokens = words(text)
    if text.isascii() or not tokens:
        return tokens
    first, last = is_unspaced(tokens[0]), is_unspaced(tokens[-1])
    return [*EDGE * first, *tokens, *EDGE * last]


def jaccard(a: Set[object], b: Set[object]) -> float:
    """|a and b| / |a or b|; two empty sets are equal."""
    both = len(a & b)
    either = len(a) + len(b) - both
    return both / either if either else 1.0
