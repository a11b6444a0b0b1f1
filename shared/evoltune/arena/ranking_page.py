"""A blinded page for people: answers without names, in an order of their own per problem, five criteria, exported votes.

    write_page(study, Path("runs/study"))        # ranking.html (give it to people), ranking.key.json (keep it)

The criteria are WizardLM's (2304.12244, section 4.3): relevance, knowledge, reasoning, calculation, accuracy; a rank
from 1 (best) to 5 each. Invariant: the page holds no system's name; only the key file says which letter is whom.
"""

from __future__ import annotations

import html
import json
import random
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from evoltune.arena.study import Answers, Study, collect, suite_of
from evoltune.errors import DataError
from evoltune.evaluate.suites import Suite
from evoltune.record import digest
from evoltune.rows.files import write_file, write_json

CRITERIA = ("relevance", "knowledge", "reasoning", "calculation", "accuracy")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def write_page(study: Study, folder: Path) -> tuple[Path, Path]:
    """(page, key). The same study gives the same page."""
    suite = suite_of(study)
    answers = collect(study, suite, folder)
    if len(answers) > len(LETTERS):
        raise DataError(f"{len(answers)} systems: a page can show {len(LETTERS)}")
    order = {task.name: _shuffled(list(answers), study.seed, task.name) for task in suite.tasks}
    page_id = digest([suite.sha256, order, study.seed])
    folder.mkdir(parents=True, exist_ok=True)
    page, key = folder / "ranking.html", folder / "ranking.key.json"
    write_json(key, {"page": page_id, "order": order})
    write_file(page, _page(suite, answers, order, page_id))
    return page, key


def _shuffled(names: list[str], seed: int, problem: str) -> list[str]:
    random.Random(digest([seed, problem])).shuffle(names)
    return names


def opened_votes(votes: Path, key: Path) -> Iterator[dict[str, Any]]:
    """Votes of an exported file, unblinded: one per pair of answers that both have ranks; lower mean rank wins.

    Raises DataError when the file is damaged or belongs to another page.
    """
    exported, opened = _json(votes), _json(key)
    if exported.get("page") != opened.get("page"):
        raise DataError(
            f"{votes}: these votes are for another page than {key}: give the key written with that page"
        )
    for entry in exported.get("votes", ()):
        names = opened["order"].get(entry.get("problem"))
        if names is None:
            raise DataError(f"{votes}: vote on unknown problem {entry.get('problem')!r}")
        means = {
            names[LETTERS.index(letter)]: sum(r.values()) / len(r)
            for letter, r in entry["ranks"].items()
            if r
        }
        for a, b in combinations(means, 2):
            winner = a if means[a] < means[b] else b if means[b] < means[a] else ""
            yield {
                "problem": entry["problem"],
                "pair": [a, b],
                "winner": winner,
                "annotator": exported.get("annotator", ""),
            }


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: must hold a JSON object")
    return value


def _page(suite: Suite, answers: Answers, order: dict[str, list[str]], page_id: str) -> str:
    parts = []
    for number, task in enumerate(suite.tasks, 1):
        shown = order[task.name]
        cards = "".join(
            _card(task.name, LETTERS[i], answers[name][task.name]) for i, name in enumerate(shown)
        )
        parts.append(
            f'<section><h2>{number} of {len(suite.tasks)}</h2><pre class="ask">{html.escape(task.instruction)}</pre>'
            f'<div class="cards">{cards}</div></section>'
        )
    return (
        _HEAD.replace("@PAGE@", page_id)
        + "".join(parts)
        + _SCRIPT.replace("@CRITERIA@", json.dumps(CRITERIA)).replace("@PAGE@", page_id)
    )


def _card(problem: str, letter: str, text: str) -> str:
    lines = "".join(_criterion(problem, letter, criterion) for criterion in CRITERIA)
    return f"<article><h3>{letter}</h3><pre>{html.escape(text)}</pre><table>{lines}</table></article>"


def _criterion(problem: str, letter: str, criterion: str) -> str:
    name = html.escape(f"{problem}|{letter}|{criterion}", quote=True)
    buttons = "".join(
        f'<td><label><input type="radio" name="{name}" value="{rank}">{rank}</label></td>'
        for rank in range(1, 6)
    )
    return f"<tr><th>{criterion}</th>{buttons}</tr>"


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Ranking answers</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}
pre{white-space:pre-wrap;overflow-wrap:anywhere;font:15px/1.5 system-ui,sans-serif;margin:.5rem 0}
.ask{border-left:4px solid #557;padding-left:1rem;font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(22rem,1fr));gap:1rem}
article{border:1px solid #ccc;border-radius:6px;padding:1rem}
th{text-align:left;font-weight:400;padding-right:1rem}
footer{position:sticky;bottom:0;background:#fff;border-top:1px solid #ccc;padding:1rem 0}
@media (prefers-color-scheme:dark){body,footer{background:#16181c;color:#ddd}article{border-color:#444}}
</style>
<h1>Ranking answers</h1>
<p>Rank each answer from 1 (best) to 5 on each line that applies; equal ranks are fine. Lines left empty do not count.
The letters mean another system in every question. Your marks stay in this browser until you export them.</p>
<p><label>Your name or initials <input id="who"></label></p>
"""
_SCRIPT = """<footer><button id="export">Export votes</button> <span id="count"></span></footer>
<script>
"use strict";
const store="ranking-@PAGE@", marks=JSON.parse(localStorage.getItem(store)||"{}"), who=document.getElementById("who");
who.value=marks.who||""; marks.ranks=marks.ranks||{};
const inputs=[...document.querySelectorAll("input[type=radio]")];
const save=()=>{localStorage.setItem(store,JSON.stringify(marks));
  document.getElementById("count").textContent=Object.keys(marks.ranks).length+" of "+inputs.length/5+" lines ranked";};
for(const i of inputs){ if(marks.ranks[i.name]===+i.value) i.checked=true;
  i.addEventListener("change",()=>{marks.ranks[i.name]=+i.value; save();}); }
who.addEventListener("input",()=>{marks.who=who.value; save();});
document.getElementById("export").addEventListener("click",()=>{
  const by={};
  for(const [name,rank] of Object.entries(marks.ranks)){ const parts=name.split("|"), criterion=parts.pop(), letter=parts.pop(), problem=parts.join("|");
    ((by[problem]=by[problem]||{})[letter]=by[problem][letter]||{})[criterion]=rank; }
  const votes=Object.entries(by).map(([problem,ranks])=>({problem,ranks}));
  const file=new Blob([JSON.stringify({page:"@PAGE@",annotator:marks.who||"",criteria:@CRITERIA@,votes},null,1)],{type:"application/json"});
  const link=document.createElement("a"); link.href=URL.createObjectURL(file); link.download="votes.json"; link.click();
});
save();
</script></html>
"""
