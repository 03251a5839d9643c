"""The head of the report's page with its style, light and dark, wide and narrow; and its end."""

PAGE_START = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<style>
:root {
  --page: #f6f7f9; --card: #ffffff; --text: #24292f; --faint: #59636e; --line: #dfe3e8; --accent: #0072b2;
  --warning: #fff3d6; --warning-line: #d58a00; --good: #00694c; --bad: #a8320a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #161b22; --text: #e6edf3; --faint: #9aa4b0; --line: #30363d; --accent: #56b4e9;
    --warning: #33270d; --warning-line: #e69f00; --good: #3ecf9f; --bad: #ff9068;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 74rem; padding: 1.5rem clamp(0.8rem, 3vw, 2rem) 3rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
h1 { margin: 0; font-size: 1.9rem; }
h2 { margin: 1.8rem 0 0.8rem; padding-bottom: 0.3rem; border-bottom: 2px solid var(--accent); font-size: 1.4rem; }
h2, li { overflow-wrap: anywhere; }
h3 { margin: 0 0 0.5rem; font-size: 1.02rem; }
p { max-width: 46rem; }
.legend, figcaption, footer { color: var(--faint); }
.warning {
  max-width: none; margin: 0.6rem 0; padding: 0.6rem 0.9rem; border-left: 4px solid var(--warning-line);
  border-radius: 4px; background: var(--warning); overflow-wrap: anywhere;
}
figure, .scroll { border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.scroll { margin: 1rem 0; overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.4rem 0.6rem; border-bottom: 1px solid var(--line); text-align: left; }
.whole { white-space: nowrap; }
thead th { color: var(--faint); font-weight: 600; vertical-align: bottom; }
tbody th { position: sticky; left: 0; background: var(--card); font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
.sum > * { border-top: 2px solid var(--line); font-weight: 600; }
a { color: var(--accent); }
.verdict { font-weight: 600; white-space: nowrap; }
.good { color: var(--good); }
.bad { color: var(--bad); }
.open { color: var(--faint); }
ul { max-width: 60rem; padding-left: 1.2rem; }
li { margin: 0.3rem 0; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
code { font: 0.85em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
.plots { margin: 1rem 0; }
figure { margin: 0; padding: 0.9rem 1rem; }
picture { display: block; }
img, video { display: block; width: 100%; max-width: 54rem; height: auto; margin: 0 auto; }
img { max-width: 40rem; }
figcaption { margin-top: 0.5rem; font-size: 0.85rem; }
footer { margin-top: 2rem; font-size: 0.85rem; }
@media (max-width: 44rem) { /* a row is a block */
  thead, tbody .nothing { display: none; }
  table, tbody, tr { display: block; }
  tr { padding: 0.5rem 0.7rem; border-bottom: 1px solid var(--line); }
  tr:last-child { border: 0; }
  tbody th, td, .sum > * { display: block; padding: 0.1rem 0; border: 0; }
  tbody th { position: static; font-weight: 600; }
  tbody td, .sum > td { position: relative; padding-left: 13em; }
  td::before { content: attr(data-name); position: absolute; left: 0; color: var(--faint); font-weight: 400; }
}
@media print { figure, tr { break-inside: avoid; } }
</style>
"""

PAGE_END = """
<footer>Written by <code>repro report</code> from <code>results/cells</code>, <code>results/curves</code>,
<code>models</code> and <code>paper</code>.</footer>
</body>
</html>
"""
