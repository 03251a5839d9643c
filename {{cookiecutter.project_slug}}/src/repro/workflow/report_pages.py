"""The markup of a report: Markdown for the repository, one self-contained HTML page for everyone else.

All text that comes from files is escaped.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Sequence
from urllib.parse import quote

from repro.results.statistics import SEEDS_FOR_INTERVAL
from repro.workflow.report_content import NOTHING, Section, Table
from repro.workflow.report_plots import Plot

LEGEND = (
    "Scores are of true returns: 0 is about random, 1 the best possible or known. In brackets: 95% intervals over "
    f"seeds (t; rate: Wilson). In parentheses, of fewer than {SEEDS_FOR_INTERVAL} seeds: the lowest and the highest."
)

ABLATIONS = (
    "Each ablation takes one part of the method away. Differences are of the mean judged scores, ablation less whole "
    f"method; where both have {SEEDS_FOR_INTERVAL} seeds, with 95% intervals of Welch's t (seeds are not paired). What "
    "the paper found is of Christiano et al. 2017."
)


VIDEOS_TITLE = "Segments with the highest and the lowest predicted returns"
VIDEOS = (
    "Of all segments that were compared in a run: those to which its reward model gives the highest returns in the "
    "end, and those to which it gives the lowest, with their true returns. What ranks highest is what the policy was "
    "trained to do."
)


def markdown_summary(summary: Table, sections: Sequence[Section]) -> str:
    """The README's table, with the warnings under it."""
    parts = [_markdown_table(summary), f"{LEGEND} Every seed: `reports/results.md`, written by `repro report`."]
    warnings = [f"{section.experiment}: {text}" for section in sections for text in section.warnings]
    parts += [f"> **Warning.** {_markdown(text)}" for text in warnings]
    return "\n\n".join(parts)


def markdown_page(summary: Table, sections: Sequence[Section]) -> str:
    """`reports/results.md`."""
    parts = ["# Results", _markdown_table(summary), LEGEND]
    for section in sections:
        parts += [f"## {_markdown(section.experiment)}"]
        parts += [f"> **Warning.** {_markdown(text)}" for text in section.warnings]
        parts += [_markdown(section.explanation), _markdown_table(section.results)]
        if section.ablations:
            parts += ["### Ablations", _markdown(ABLATIONS), _markdown_table(section.ablations)]
        for plot in section.plots:
            target = quote(f"{section.experiment}/{plot.name}.svg")
            parts += [f"### {_markdown(plot.title)}", f"![{_markdown(plot.title)}]({target})", _markdown(plot.caption)]
        if section.videos:
            files = [cell.video_path for cell in section.cells if cell.seed in section.videos]
            parts += [f"### {VIDEOS_TITLE}", VIDEOS, "\n".join(f"- {_markdown_code(file)}" for file in files)]
        if section.not_made:
            parts.append("\n".join(f"- {_markdown(text)}" for text in section.not_made))
        parts += ["### Where the numbers come from", _markdown_table(section.sources)]
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    lines = [[_markdown(name) for name in table.header], ["---"] * len(table.header)]
    for number, row in enumerate(table.rows):
        cells = [
            _markdown_code(text) if name in table.code and text != NOTHING else _markdown(text)
            for name, text in zip(table.header, row, strict=True)
        ]
        if number in table.emphasis:
            cells = [cell if cell == NOTHING else f"**{cell}**" for cell in cells]
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|~])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _markdown_code(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'").replace("|", r"\|") + "`"


def html_page(summary: Table, sections: Sequence[Section]) -> str:
    """`reports/report.html`: no script, nothing loaded from elsewhere, light and dark as the reader's system."""
    names = ", ".join(section.experiment for section in sections)
    table = _html_table(summary, links=[section.experiment for section in sections])
    body = ["<h1>Results</h1>", table, f"<p class=legend>{LEGEND}</p>"]
    body += [_html_section(section) for section in sections]
    return PAGE_START + f"<title>Results: {html.escape(names)}</title>\n</head>\n<body>\n" + "\n".join(body) + PAGE_END


def _html_section(section: Section) -> str:
    parts = [f'<section id="{html.escape(section.experiment)}">\n<h2>{html.escape(section.experiment)}</h2>']
    parts += [f"<p class=warning><strong>Warning.</strong> {html.escape(text)}</p>" for text in section.warnings]
    parts.append(f"<p>{html.escape(section.explanation)}</p>")
    parts.append(_html_table(section.results))
    if section.ablations:
        parts.append(f"<h3>Ablations</h3><p>{html.escape(ABLATIONS)}</p>{_html_table(section.ablations)}")
    parts.append(f"<div class=plots>{''.join(_html_plot(plot) for plot in section.plots)}</div>")
    if section.videos:
        videos = "".join(_html_video(seed, video) for seed, video in section.videos.items())
        parts.append(f"<h3>{VIDEOS_TITLE}</h3><p>{VIDEOS}</p><div class=plots>{videos}</div>")
    if section.not_made:
        parts.append(f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in section.not_made)}</ul>")
    parts.append(f"<h3>Where the numbers come from</h3>{_html_table(section.sources)}</section>")
    return "\n".join(parts)


def _html_plot(plot: Plot) -> str:
    light, dark = (f"data:image/svg+xml;base64,{base64.b64encode(image).decode()}" for image in (plot.svg, plot.dark))
    title, caption = html.escape(plot.title), html.escape(plot.caption)
    return (
        f"\n<figure><h3>{title}</h3><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}"><img alt="{title}" src="{light}"></picture>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _html_video(seed: int, video: bytes) -> str:
    source = f"data:video/mp4;base64,{base64.b64encode(video).decode()}"
    shown = f'<video controls loop muted playsinline aria-label="{VIDEOS_TITLE}, seed {seed}" src="{source}"></video>'
    return f"\n<figure>{shown}<figcaption>seed {seed}</figcaption></figure>"


def _html_table(table: Table, links: Collection[str] = ()) -> str:
    """`links`: names of rows that lead to their sections."""
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in table.header)
    lines = []
    for number, row in enumerate(table.rows):
        cells: list[str] = []
        for name, text in zip(table.header, row, strict=True):
            shown = _html_code(text) if name in table.code else _html_numbers(text)
            if text in links:
                shown = f'<a href="#{quote(text)}">{shown}</a>'
            label = f' data-name="{html.escape(name)}"' if text != NOTHING else " class=nothing"
            cells.append(f"<td{label}>{shown}</td>" if cells else f"<th scope=row>{shown}</th>")
        lines.append(f"<tr{' class=sum' if number in table.emphasis else ''}>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    table_html = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f'<div class=scroll tabindex=0 role=region aria-label="table">{table_html}</div>'


def _html_code(text: str) -> str:
    """Identifiers and paths, which may be broken after their marks."""
    breakable = re.sub("([/_-])", r"\1<wbr>", html.escape(text))
    return f"<code>{breakable}</code>"


def _html_numbers(text: str) -> str:
    """Text with intervals, ranges, and numbers with their unit, each of which stays on one line."""
    kept = r"[\[(][^\[(]*[\])]|[\d.,]+ (?:s|min|h)"
    return re.sub(kept, lambda part: f"<span class=whole>{part[0]}</span>", html.escape(text))


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
  --warning: #fff3d6; --warning-line: #d58a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #161b22; --text: #e6edf3; --faint: #9aa4b0; --line: #30363d; --accent: #56b4e9;
    --warning: #33270d; --warning-line: #e69f00;
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
<footer>Written by <code>repro report</code> from <code>results/cells</code>, <code>results/curves</code> and
<code>models</code>.</footer>
</body>
</html>
"""
