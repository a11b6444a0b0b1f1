"""Readers of the sources that LIMA used: Stack Exchange Posts.xml, wikiHow CSV, Pushshift-style Reddit files, and
Super-NaturalInstructions.

    for row in read_dump("stackexchange:physics/Posts.xml"): ...
    for row in read_dump("reddit:RS_2022-01.ndjson+RC_2022-01.ndjson"): ...
    for row in read_dump("natural-instructions:natural-instructions"): ...

Each row is {instruction, output, source, licence, id, score}: plain text without links and images, with the best answer to
a question. Files are streamed; only answers that can still be chosen are in memory. Invariant: each question, article, submission
and task is a row, a bad row, or counted with the reason why it is neither.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from evoltune.errors import DataError, nearest
from evoltune.record import digest
from evoltune.rows.lima_rules import LONGEST, NATURAL_INSTRUCTIONS, SHORTEST
from evoltune.rows.natural_instructions import natural_instructions
from evoltune.rows.readers import BadRow, Row, read_located
from evoltune.run.paths import user_path
from evoltune.text.markup import plain_markdown, plain_text

LEAST_SCORE = 10  # of an answer, by votes
NO_ANSWER = f"no answer of {LEAST_SCORE} votes and {SHORTEST:,} to {LONGEST:,} characters"
NO_COMMENT = f"no top-level comment of {LEAST_SCORE} votes"
_TRAILING_NUMBER = re.compile(r"(?<=\D)\d{1,2}$")  # wikihowAll.csv numbers its variants: "How to Juggle2"
_ARTICLE = re.compile(r"^This (?:wikiHow )?(?:article|wikiHow)\b", re.I)  # as LIMA's authors replaced it
_GONE = frozenset({"[deleted]", "[removed]"})  # what Reddit leaves of a text
_PROMPT_TAG = re.compile(r"^\s*\[(?:WP|EU|PI|CW|IP|PM|SP|TT|RF|MP|OT)\]\s*", re.I)


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The best answer to a question up to now."""

    score: int
    text: str
    licence: str


def read_dump(ref: str, bad: list[BadRow] | None = None, skipped: Counter[str] | None = None) -> Iterator[Row]:
    """Rows of `KIND:PATH`, KIND being one of `DUMPS`. Raises DataError: unknown kind, missing or malformed file.

    Args:
        bad: Receives the rows that cannot be read.
        skipped: Counts by reason what the source has, but what is no row: a question without a good answer, for instance.
    """
    kind, colon, path = ref.partition(":")
    if not colon or kind not in DUMPS:
        raise DataError(f"source {ref!r}: {nearest(kind, DUMPS)}; write e.g. stackexchange:physics/Posts.xml")
    return DUMPS[kind](path, [] if bad is None else bad, Counter() if skipped is None else skipped)


def is_dump(ref: str) -> bool:
    return ref.partition(":")[0] in DUMPS and ":" in ref


# ---- Stack Exchange


def stack_exchange(path: str, bad: list[BadRow], skipped: Counter[str]) -> Iterator[Row]:
    """Questions with their best answer (score >= 10, length as in LIMA).

    The prompt is the title or the body, drawn as in the paper, here by the question's id. The site is the name of the folder
    that holds Posts.xml.
    """
    file = _existing(path)
    site = file.resolve().parent.name
    answers: dict[str, _Best] = {}
    for post in _posts(file):
        if post.get("PostTypeId") == "2" and _score(post) >= LEAST_SCORE:
            _keep_best(answers, post)
    for post in _posts(file):
        if post.get("PostTypeId") != "1":
            continue
        best = answers.pop(post.get("Id", ""), None)
        if best is None or _score(post) < 1:
            skipped["question without votes" if best else NO_ANSWER] += 1
            continue
        title, body = post.get("Title", ""), plain_text(post.get("Body", ""))
        use_title = int(digest(["title", site, post["Id"]])[:2], 16) % 2 == 0 or not body
        yield {
            "instruction": title if use_title else body, "output": best.text, "source": "stackexchange",
            "skill": site, "licence": best.licence, "id": f"{site}/{post['Id']}", "score": best.score,
        }  # fmt: skip


def _posts(file: Path) -> Iterator[Mapping[str, str]]:
    """Attributes of each <row>. The root forgets each row that was read: dumps have up to 100 GB."""
    try:
        events = ElementTree.iterparse(file, events=("start", "end"))
        _, root = next(events)
        for event, element in events:
            if event == "end" and element.tag == "row":
                yield dict(element.attrib)
                root.clear()
    except ElementTree.ParseError as error:
        where = f"{file.name}:{error.position[0]}"
        raise DataError(f"{where}: not well-formed XML: {error}: fetch the dump again") from error


def _score(post: Mapping[str, str]) -> int:
    try:
        return int(post.get("Score", "0"))
    except ValueError:
        return 0


def _keep_best(answers: dict[str, _Best], post: Mapping[str, str]) -> None:
    question, score = post.get("ParentId", ""), _score(post)
    if question in answers and answers[question].score >= score:
        return
    text = plain_text(post.get("Body", ""))
    if SHORTEST < len(text) < LONGEST:
        licence = post.get("ContentLicense", "CC BY-SA").replace(" ", "-")
        answers[question] = _Best(score=score, text=text, licence=licence)


# ---- wikiHow


def wikihow(path: str, bad: list[BadRow], skipped: Counter[str]) -> Iterator[Row]:
    """Articles of wikihowAll.csv (columns title, text): the title is the question, the article the answer, in which `This article`
    at the start becomes `The following answer`, as in LIMA."""
    for where, row in read_located(_existing(path), bad):
        title, text = str(row.get("title") or ""), str(row.get("text") or "")
        if not title or not text:
            bad.append(BadRow(where=where, reason=f"no title and text: columns are {', '.join(row)}"))
            continue
        title = _TRAILING_NUMBER.sub("", title.strip())
        asked = title if title.lower().startswith("how") else f"How to {title}"
        answer = plain_markdown(re.sub(r"\n;\s*\n", "\n", text))
        yield {
            "instruction": asked.rstrip("?") + "?", "output": _ARTICLE.sub("The following answer", answer),
            "source": "wikihow", "licence": "CC-BY-NC-SA-3.0", "id": where, "score": 0,
        }  # fmt: skip


# ---- Reddit


def reddit(path: str, bad: list[BadRow], skipped: Counter[str]) -> Iterator[Row]:
    """Submissions with their best top-level comment (score >= 10) that is still there.

    Args:
        path: Two JSONL files joined by `+`: submissions (title, selftext, id, subreddit) and comments (body, score, link_id,
            parent_id).
        bad: Receives the rows that cannot be read.
        skipped: Counts the submissions without such a comment.
    """
    first, plus, second = path.partition("+")
    if not plus:
        raise DataError(f"reddit:{path}: give two files: SUBMISSIONS.ndjson+COMMENTS.ndjson")
    comments: dict[str, _Best] = {}
    for _, row in read_located(_existing(second), bad):
        link = str(row.get("link_id", ""))
        text, score = row.get("body"), row.get("score")
        top_level = row.get("parent_id") == link
        if not (top_level and isinstance(text, str) and isinstance(score, int)) or score < LEAST_SCORE or text in _GONE:
            continue
        if link not in comments or score > comments[link].score:
            comments[link] = _Best(score=score, text=plain_markdown(text), licence="reddit-user-content")
    for where, row in read_located(_existing(first), bad):
        yield from _submission(where, row, comments, bad, skipped)


def _submission(
    where: str, row: Row, comments: Mapping[str, _Best], bad: list[BadRow], skipped: Counter[str]
) -> Iterator[Row]:
    title, key = row.get("title"), row.get("id")
    if not isinstance(title, str) or not isinstance(key, str):
        bad.append(BadRow(where=where, reason="a submission needs id and title as text"))
        return
    best = comments.get(f"t3_{key}")
    if best is None:
        skipped[NO_COMMENT] += 1
        return
    body = row.get("selftext")
    more = plain_markdown(body) if isinstance(body, str) and body not in _GONE else ""
    asked = _PROMPT_TAG.sub("", title)
    subreddit = str(row.get("subreddit", "reddit"))
    prompt = f"Write a story: {asked}" if _PROMPT_TAG.match(title) else asked
    yield {
        "instruction": f"{prompt}\n\n{more}".strip(), "output": best.text, "source": f"reddit/{subreddit}",
        "licence": best.licence, "id": f"t3_{key}", "score": best.score,
    }  # fmt: skip


def _existing(path: str) -> Path:
    file = user_path(path)
    if not file.is_file():
        raise DataError(f"{path}: no such file")
    return file


DUMPS: Mapping[str, Callable[[str, list[BadRow], Counter[str]], Iterator[Row]]] = {
    "stackexchange": stack_exchange,
    "wikihow": wikihow,
    "reddit": reddit,
    NATURAL_INSTRUCTIONS: natural_instructions,
}


def read_any(
    ref: str, bad: list[BadRow] | None = None, skipped: Counter[str] | None = None
) -> Iterator[tuple[str, Row]]:
    """(name, row) of a dump, or of any other source as `read_located` reads it."""
    if is_dump(ref):
        return ((row["id"], row) for row in read_dump(ref, bad, skipped))
    return read_located(ref, bad)
