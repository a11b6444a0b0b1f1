"use strict";
// All text of rows goes through textContent: data is never parsed as HTML.
async function unpack() {
  const raw = Uint8Array.from(atob(document.getElementById("packed-rows").textContent), c => c.charCodeAt(0));
  const text = await new Response(new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const names = ["id", "parents", "round", "operator", "verdict", "outcome", "text", "answer"];
  return JSON.parse(text).map(row => Object.fromEntries(row.map((value, i) => [names[i], value])));
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

unpack().then(rows => {
  const byId = new Map(rows.map(row => [row.id, row]));
  const children = new Map();
  for (const row of rows) for (const parent of row.parents) children.set(parent, [...(children.get(parent) || []), row]);
  const box = name => document.getElementById("f-" + name);
  for (const name of ["operator", "verdict", "outcome"]) {
    for (const value of [...new Set(rows.map(row => row[name]))].sort()) box(name).append(element("option", value));
  }
  const list = document.getElementById("rows"), more = document.getElementById("more"), count = document.getElementById("count");
  const STEP = 40;
  let found = rows, shown = 0;

  function button(row) {
    const made = element("button", row.text || "(no text)");
    made.type = "button";
    made.append(element("span", `${row.id} · round ${row.round} · ${row.operator} · ${row.verdict} · ${row.outcome}`, "meta"));
    made.addEventListener("click", () => family(row));
    return made;
  }
  function extend() {
    for (const row of found.slice(shown, shown + STEP)) {
      const item = element("li");
      item.append(button(row));
      list.append(item);
    }
    shown = Math.min(found.length, shown + STEP);
    more.hidden = shown >= found.length;
  }
  function filter() {
    const text = box("text").value.toLowerCase();
    const wanted = ["operator", "verdict", "outcome"].map(name => [name, box(name).value]).filter(([, value]) => value);
    found = rows.filter(row => wanted.every(([name, value]) => row[name] === value)
      && (!text || row.id.startsWith(text) || row.text.toLowerCase().includes(text) || row.answer.toLowerCase().includes(text)));
    count.textContent = `${found.length} of ${rows.length} rows`;
    list.replaceChildren();
    shown = 0;
    extend();
  }
  function family(row) {
    let root = row;
    const seen = new Set();
    while (root.parents.length && byId.has(root.parents[0]) && !seen.has(root.id)) { seen.add(root.id); root = byId.get(root.parents[0]); }
    const place = document.getElementById("tree");
    const top = element("ul");
    const drawn = new Set();
    (function branch(into, node) {
      if (drawn.has(node.id)) return;
      drawn.add(node.id);
      const item = element("li", undefined, node === row ? "here" : "");
      item.append(button(node));
      if (node === row && node.answer) item.append(element("pre", node.answer));
      const below = children.get(node.id) || [];
      if (below.length) {
        const inner = element("ul");
        for (const child of below) branch(inner, child);
        item.append(inner);
      }
      into.append(item);
    })(top, root);
    place.replaceChildren(top);
    place.scrollIntoView({ block: "nearest" });
    const here = place.querySelector(".here > button");
    if (here) here.focus();
  }
  for (const name of ["operator", "verdict", "outcome"]) box(name).addEventListener("change", filter);
  box("text").addEventListener("input", filter);
  document.getElementById("filters").addEventListener("submit", event => event.preventDefault());
  more.addEventListener("click", extend);
  filter();
  document.body.dataset.ready = "yes";
});
