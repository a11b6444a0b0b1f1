const state = JSON.parse(localStorage.getItem(key) || "{}");
const rows = [...document.querySelectorAll("article")];

function show() {
  let accepted = 0, rejected = 0;
  for (const row of rows) {
    row.dataset.state = state[row.dataset.id] || "";
    accepted += row.dataset.state === "accept";
    rejected += row.dataset.state === "reject";
  }
  document.getElementById("count").textContent = `${accepted} accepted, ${rejected} rejected, ${rows.length - accepted - rejected} open`;
}
function decide(row, decision) {
  state[row.dataset.id] = state[row.dataset.id] === decision ? "" : decision;
  localStorage.setItem(key, JSON.stringify(state));
  show();
}
function move(row, step) {
  const next = rows[rows.indexOf(row) + step];
  if (next) { next.focus(); next.scrollIntoView({ block: "center" }); }
}
for (const row of rows) for (const button of row.querySelectorAll("button")) button.onclick = () => decide(row, button.value);
document.onkeydown = event => {
  const row = document.activeElement.closest("article") || rows[0];
  if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "a") { decide(row, "accept"); move(row, 1); }
  else if (event.key === "r") { decide(row, "reject"); move(row, 1); }
  else if (event.key === "j") move(row, 1);
  else if (event.key === "k") move(row, -1);
};
document.getElementById("save").onclick = () => {
  const link = document.createElement("a");
  link.href = "data:application/json," + encodeURIComponent(JSON.stringify(state, null, 1));
  link.download = "decisions.json";
  link.click();
};
show();
