"""Looks of the page and its few lines of script: sorting tables, and unfolding what a link leads into."""

STYLE = """
:root { color-scheme: light dark; --text: #1d2127; --soft: #59626d; --line: #d8dce1; --page: #ffffff; --band: #f3f5f7;
  --warn: #8a4b00; --link: #0b5cad; --mark: #fff4cc; --free: #e7f3ea; --free-line: #2b7a3e; --used: #e8eefa;
  --used-line: #3565b5; --bad: #fdecea; --bad-line: #b42318; }
@media (prefers-color-scheme: dark) { :root { --text: #e4e7eb; --soft: #a3adb8; --line: #373d45; --page: #16191d;
  --band: #1f2429; --warn: #f0b35e; --link: #7db7f5; --mark: #45401f; --free: #1b3323; --free-line: #5fb878;
  --used: #1d2a44; --used-line: #7ea6e8; --bad: #47201d; --bad-line: #f07f75; } }
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; display: grid;
  grid-template-columns: 13rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1.4rem 1rem; background: var(--band);
  border-right: 1px solid var(--line); font-size: .92rem; }
nav p { font-weight: 600; margin: 0 0 .6rem; } nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .22rem .4rem; color: var(--text); text-decoration: none; border-radius: 4px; }
nav a:hover { background: var(--line); }
main { padding: 1.2rem 2rem 5rem; max-width: 84rem; min-width: 0; }
a { color: var(--link); } a:focus-visible, button:focus-visible, summary:focus-visible, .scroll:focus-visible {
  outline: 2px solid var(--link); outline-offset: 1px; }
h1 { font-size: 1.6rem; margin: .2rem 0 .4rem; } h2 { font-size: 1.3rem; margin: 2.6rem 0 .4rem; padding-bottom: .2rem;
  border-bottom: 1px solid var(--line); } h3 { font-size: 1.02rem; margin: 1.5rem 0 .2rem; }
p { margin: .3rem 0 .6rem; max-width: 62rem; } .note { color: var(--soft); font-size: .88rem; }
.warning { color: var(--warn); } .files { white-space: nowrap; } .files a { margin-left: .4rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
.left { text-align: left; } .facts td { white-space: normal; vertical-align: top; }
thead th { background: var(--band); font-weight: 600; }
td a { color: inherit; text-decoration: underline dotted var(--soft) 1px; text-underline-offset: .2em; }
td a:hover { color: var(--link); }
table:not(.sorted) .rule td { border-top: 2px solid var(--soft); } :target, tr:target td { background: var(--mark); }
th button { all: unset; cursor: pointer; font-weight: 600; } th button::after { content: "\\a0\\2195"; opacity: .45; }
th[aria-sort=ascending] button::after { content: "\\a0\\2191"; opacity: 1; }
th[aria-sort=descending] button::after { content: "\\a0\\2193"; opacity: 1; }
details { margin: .4rem 0; border: 1px solid var(--line); border-radius: 6px; padding: .35rem .8rem; }
summary { cursor: pointer; font-weight: 600; font-size: .95rem; }
figure { margin: 1rem 0 1.6rem; } figure img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .88rem; }
article { border: 1px solid var(--line); border-radius: 6px; padding: .2rem 1rem .8rem; margin: 1rem 0; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .1rem 1rem; margin: .4rem 0;
  font-size: .9rem; } dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
code { font: .86em ui-monospace, monospace; overflow-wrap: anywhere; color: var(--text); }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
svg .dim { font-size: 11px; fill: var(--soft); } svg path { fill: none; stroke: var(--soft); stroke-width: 1.2; }
svg .free rect { fill: var(--free); stroke: var(--free-line); } svg .used rect { fill: var(--used);
  stroke: var(--used-line); } svg .bad rect { fill: var(--bad); stroke: var(--bad-line); stroke-width: 2; }
svg a:hover rect { stroke-width: 2.5; }
@media (max-width: 60rem) {
  body { display: block; } html { scroll-padding-top: 3.4rem; }
  nav { height: auto; padding: .3rem .8rem; border-right: 0; border-bottom: 1px solid var(--line); overflow-x: auto;
    z-index: 1; }
  nav p { display: none; } nav ul { display: flex; gap: .3rem; } nav a { white-space: nowrap; padding: .45rem .5rem; }
  main { padding: .8rem 1rem 4rem; }
  dl { grid-template-columns: minmax(0, 1fr); } dd { margin-bottom: .35rem; }
}
@media print {
  body { display: block; } nav { display: none; } .scroll { overflow: visible; } a { color: inherit; }
  th button::after { content: ""; } figure, tr, article { break-inside: avoid; } h2, h3 { break-after: avoid; }
}
"""

SCRIPT = """
for (const table of document.querySelectorAll("main table")) {
  table.querySelectorAll("thead th").forEach((head, column, heads) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(other => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      table.classList.add("sorted");
      const order = (left, right) => {
        const [a, b] = [left.cells[column], right.cells[column]], [x, y] = [a.dataset.key, b.dataset.key];
        if (x && y) return sign * (x - y);
        if (x || y || x === "" || y === "") return (y ? 1 : 0) - (x ? 1 : 0);
        return sign * a.textContent.localeCompare(b.textContent);
      };
      table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
    });
  });
}
const unfold = () => {
  const place = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let up = place; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  if (place) place.scrollIntoView();
};
addEventListener("hashchange", unfold);
if (location.hash) unfold();
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach(one => { one.open = true; }));
"""
