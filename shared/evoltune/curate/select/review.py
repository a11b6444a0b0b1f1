"""The accept/reject page: the manual part of a LIMA-style selection, one static HTML file that opens offline.

Decisions stay in the browser (localStorage) and are saved as `decisions.json`, which `evoltune select --decisions` reads:
accepted rows are always taken, rejected ones never, and others step up in their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from evoltune.errors import DataError
from evoltune.rows.files import write_file

_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Review: {title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:0 auto;padding:1rem;color:#1b1f24;background:#fff}}
header{{position:sticky;top:0;background:#fff;border-bottom:1px solid #d0d7de;padding:.5rem 0;display:flex;gap:1rem;align-items:center;flex-wrap:wrap}}
article{{border:1px solid #d0d7de;border-radius:8px;padding:1rem;margin:1rem 0}}
article:focus{{outline:3px solid #0969da}}
article[data-state=accept]{{border-left:8px solid #1a7f37}} article[data-state=reject]{{border-left:8px solid #cf222e;opacity:.6}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere;font:inherit;margin:.5rem 0}} .asked{{font-weight:600}} small{{color:#57606a}}
button{{font:inherit;padding:.2rem .8rem;border:1px solid #8c959f;border-radius:6px;background:#f6f8fa;cursor:pointer}}
@media (prefers-color-scheme:dark){{body,header{{background:#0d1117;color:#e6edf3}}small{{color:#9198a1}}button{{background:#21262d;color:inherit}}}}
</style>
<header><strong>{title}</strong><span id="count" role="status"></span><button id="save">Save decisions.json</button>
<small>keys: a accept, r reject, j next, k back</small></header><main>
"""
_TAIL = """</main><script>
const key = "evoltune-review:" + {key}, state = JSON.parse(localStorage.getItem(key) || "{{}}");
const rows = [...document.querySelectorAll("article")];
function show() {{
  let yes = 0, no = 0;
  for (const row of rows) {{ const s = state[row.dataset.id] || ""; row.dataset.state = s; yes += s === "accept"; no += s === "reject"; }}
  document.getElementById("count").textContent = yes + " accepted, " + no + " rejected, " + (rows.length - yes - no) + " open";
}}
function decide(row, what) {{ state[row.dataset.id] = state[row.dataset.id] === what ? "" : what; localStorage.setItem(key, JSON.stringify(state)); show(); }}
function move(row, step) {{ const next = rows[rows.indexOf(row) + step]; if (next) {{ next.focus(); next.scrollIntoView({{block: "center"}}); }} }}
for (const row of rows) for (const b of row.querySelectorAll("button")) b.onclick = () => decide(row, b.value);
document.onkeydown = e => {{
  const row = document.activeElement.closest("article") || rows[0];
  if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "a") {{ decide(row, "accept"); move(row, 1); }} else if (e.key === "r") {{ decide(row, "reject"); move(row, 1); }}
  else if (e.key === "j") move(row, 1); else if (e.key === "k") move(row, -1);
}};
document.getElementById("save").onclick = () => {{
  const a = document.createElement("a");
  a.href = "data:application/json," + encodeURIComponent(JSON.stringify(state, null, 1));
  a.download = "decisions.json"; a.click();
}};
show();
</script>
"""


def write_review(path: Path, title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """One page over rows with `id`, `source`, `instruction`, `output`. All text is escaped; the page loads nothing."""
    parts = [_HEAD.format(title=escape(title))]
    for number, row in enumerate(rows, start=1):
        parts.append(
            f'<article tabindex="0" data-id="{escape(str(row["id"]))}"><small>{number} · {escape(str(row.get("source", "")))} · '
            f'{escape(str(row["id"]))}</small><pre class="asked">{escape(row["instruction"])}</pre>'
            f"<pre>{escape(row['output'])}</pre>"
            '<button value="accept">Accept</button> <button value="reject">Reject</button></article>\n'
        )
    key = json.dumps(title).replace("<", "\\u003c")
    parts.append(_TAIL.format(key=key))
    write_file(path, "".join(parts))


def read_decisions(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """(accepted ids, rejected ids) of a saved decisions.json. Raises DataError when it is something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as decisions: {error}: save it anew from the review page"
        ) from error
    known = {"accept", "reject", ""}
    if not isinstance(found, dict) or not all(isinstance(v, str) and v in known for v in found.values()):
        raise DataError(f"{path}: must map ids to 'accept' or 'reject', as the review page saves it")
    accepted = frozenset(i for i, what in found.items() if what == "accept")
    return accepted, frozenset(i for i, what in found.items() if what == "reject")
