"""The page of a report without its content, which takes the place of the comments `<!--name-->`."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="<!--policy-->">
<title><!--title--></title>
<style>
:root { color-scheme: light; --ink: #1c2230; --soft: #5c6474; --line: #dfe3ea; --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2rem 1.25rem 4rem; color: var(--ink);
  background: #fff; font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem;
  border-bottom: 2px solid var(--accent); }
.summary, .notes, figcaption { color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; width: 100%;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; }
th, td { padding: .28rem .6rem; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; position: sticky; left: 0; background: #fff; font-weight: 500; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; white-space: normal; }
tbody + tbody tr:first-child > * { border-top: 1.5px solid var(--ink); }
tbody tr + tr > * { border-top: 1px solid var(--line); }
tbody tr:hover > * { background: #f2f7fb; }
td small { color: var(--soft); }
td b { font-weight: 700; }
button { all: unset; cursor: pointer; font-weight: 650; }
button::after { content: "↕"; color: #b9c0cc; margin-left: .3em; }
button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[aria-sort=ascending] button::after { content: "↑"; color: var(--accent); }
[aria-sort=descending] button::after { content: "↓"; color: var(--accent); }
.notes { font-size: .85rem; padding-left: 1.1rem; }
figure { margin: 1rem 0; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem; justify-content: center; }
.pair figure { flex: 1 1 22rem; }
img { max-width: 100%; height: auto; display: block; margin: 0 auto; }
figcaption { text-align: center; font-size: .85rem; }
@media print { body { max-width: none; padding: 0; font-size: 10px; } button::after { content: ""; }
  figure, tr { break-inside: avoid; } .scroll { overflow: visible; } }
</style>
</head>
<body>
<h1>Benchmark scores</h1>
<p class="summary"><!--summary--></p>
<main>
<!--sections-->
</main>
<script>
// Sorts the block of rows under the header by a column: numbers by value, none last.
function key(row, column) {
  const cell = row.cells[column];
  if (!("value" in cell.dataset)) return cell.textContent.toLowerCase();
  const value = parseFloat(cell.dataset.value);
  return Number.isNaN(value) ? null : value;
}
function order(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  return sign * (a < b ? -1 : a > b ? 1 : 0);
}
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  // Of several blocks the longest holds the games; what is above and below it stays.
  const body = [...table.tBodies].reduce((a, b) => (b.rows.length > a.rows.length ? b : a));
  heads.forEach((head, column) => {
    head.addEventListener("click", () => {
      const first = column === 0 ? "ascending" : "descending";
      const other = column === 0 ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row) => [key(row, column), row]);
      rows.sort((a, b) => order(a[0], b[0], sign));
      body.append(...rows.map(([, row]) => row));
    });
  });
}
</script>
</body>
</html>
"""
