"""The markup of a report: Markdown for the repository, one self-contained HTML page for everyone else.

All text that comes from files is escaped. The head of the HTML page, with its style, is in `report.html`.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from repro.report.content import NOTHING, Section, Table
from repro.report.overview import Overview
from repro.report.plots import Plot
from repro.results.aggregates import SEEDS_FOR_BOOTSTRAP
from repro.results.statistics import SEEDS_FOR_INTERVAL
from repro.terminal.text import counted

LEGEND = (
    "Scores are of true returns: 0 is about random, 1 the best possible or known. In brackets: 95% intervals over "
    f"seeds (t; rate: Wilson). In parentheses, of fewer than {SEEDS_FOR_INTERVAL} seeds: the lowest and the highest."
)

ABLATIONS = (
    "Each ablation takes one part of the method away. Differences are of the mean judged scores, ablation less whole "
    f"method; where both have {SEEDS_FOR_INTERVAL} seeds, with 95% intervals: Student's t of the pairs where the seeds "
    "are the same, else Welch's t. "
    "Better: how likely a seed of the ablation scores higher than one of the whole method; with a bootstrap "
    f"interval where both have {SEEDS_FOR_BOOTSTRAP} seeds, unless all seeds of one are above all of the other. "
    "Tuning runs: on other than final seeds, before these. What the paper found is of Christiano et al. 2017."
)


CLAIMS = (
    "Reproduced: the whole 95% interval reaches what it must; not reproduced: none of it does; else inconclusive "
    "(docs/claims.md). Tuning runs: on other seeds, before the final ones."
)
DEVIATIONS = "What is, or was done, otherwise than registered:"
COMPUTE = "Of the seeds that are reported, training alone; runs for tuning are counted, not timed."
KINDS = {"✓": "good", "✗": "bad", "?": "open"}


def markdown_summary(overview: Overview, summary: Table, sections: Sequence[Section]) -> str:
    """The README's tables, with the warnings under them."""
    parts = [_markdown_table(overview.claims), CLAIMS, _markdown(overview.registered)] if overview.claims else []
    if overview.deviations:
        parts.append(
            f"{counted(len(overview.deviations), 'deviation')} from what was preregistered: see `reports/results.md`."
        )
    parts += [_markdown_table(summary), f"{LEGEND} Every seed: `reports/results.md`, written by `repro report`."]
    warnings = [f"{section.experiment}: {text}" for section in sections for text in section.warnings]
    parts += _markdown_warnings(overview.left_out + warnings)
    return "\n\n".join(parts)


def markdown_page(overview: Overview, summary: Table, sections: Sequence[Section]) -> str:
    """`reports/results.md`."""
    parts = ["# Results"]
    if overview.claims:
        parts += ["## Claims", _markdown_table(overview.claims), CLAIMS, _markdown_list(overview.details)]
        parts += ["## Preregistration", _markdown(overview.registered)]
        parts += [DEVIATIONS, _markdown_list(overview.deviations)] if overview.deviations else []
    parts += ["## Experiments", _markdown_table(summary), LEGEND, *_markdown_warnings(overview.left_out)]
    parts += ["## Compute spent", _markdown_table(overview.compute), COMPUTE]
    for section in sections:
        parts += [f"## {_markdown(section.experiment)}"]
        parts += _markdown_warnings(section.warnings)
        parts += [_markdown(section.explanation), _markdown_table(section.results)]
        if section.ablations:
            parts += ["### Ablations", _markdown(ABLATIONS), _markdown_table(section.ablations)]
        for plot in section.plots:
            target = quote(f"{section.experiment}/{plot.name}.svg")
            parts += [f"### {_markdown(plot.title)}", f"![{_markdown(plot.title)}]({target})", _markdown(plot.caption)]
        for film in section.films:
            files = "\n".join(f"- {_markdown_code(file)}" for file in film.files)
            parts += [f"### {film.title}", film.caption, files]
        if section.not_made:
            parts.append("\n".join(f"- {_markdown(text)}" for text in section.not_made))
        parts += ["### Where the numbers come from", _markdown_table(section.sources)]
    if overview.paper.rows:
        parts.append(
            f"## Deviations from the paper\n\n{counted(len(overview.paper.rows), 'detail')}, in `paper/deviations.md`."
        )
    return "\n\n".join(parts) + "\n"


def _markdown_warnings(texts: Sequence[str]) -> list[str]:
    return [f"> **Warning.** {_markdown(text)}" for text in texts]


def _markdown_list(texts: Sequence[str]) -> str:
    return "\n".join(f"- {_markdown(text)}" for text in texts)


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


def html_page(overview: Overview, summary: Table, sections: Sequence[Section]) -> str:
    """`reports/report.html`: no script, nothing loaded from elsewhere, light and dark as the reader's system."""
    names = ", ".join(section.experiment for section in sections)
    table = _html_table(summary, links=[section.experiment for section in sections])
    body = ["<h1>Results</h1>", *_html_claims(overview)]
    body += ["<h2>Experiments</h2>" if overview.claims else "", table, f"<p class=legend>{LEGEND}</p>"]
    body += _html_warnings(overview.left_out)
    body += [f"<h2>Compute spent</h2>{_html_table(overview.compute)}<p class=legend>{COMPUTE}</p>"]
    body += [_html_section(section) for section in sections]
    if overview.paper.rows:
        listed = f"<summary>{counted(len(overview.paper.rows), 'detail')}</summary>{_html_table(overview.paper)}"
        body.append(f"<h2>Deviations from the paper</h2><details>{listed}</details>")
    page = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    return page.replace("<!-- title -->", html.escape(names)).replace("<!-- body -->", "\n".join(body))


def _html_claims(overview: Overview) -> list[str]:
    if overview.claims is None:
        return []
    parts = ["<h2>Claims</h2>", _html_table(overview.claims), f"<p class=legend>{CLAIMS}</p>"]
    parts.append(f"<details><summary>What is claimed, and the runs behind it</summary>{_html_list(overview.details)}")
    parts.append(f"</details><h2>Preregistration</h2><p>{html.escape(overview.registered)}</p>")
    if overview.deviations:
        parts.append(f"<p class=warning>{DEVIATIONS}</p>{_html_list(overview.deviations)}")
    return parts


def _html_warnings(texts: Sequence[str]) -> list[str]:
    return [f"<p class=warning><strong>Warning.</strong> {html.escape(text)}</p>" for text in texts]


def _html_list(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>"


def _html_section(section: Section) -> str:
    parts = [f'<section id="{html.escape(section.experiment)}">\n<h2>{html.escape(section.experiment)}</h2>']
    parts += _html_warnings(section.warnings)
    parts.append(f"<p>{html.escape(section.explanation)}</p>")
    parts.append(_html_table(section.results))
    if section.ablations:
        parts.append(f"<h3>Ablations</h3><p>{html.escape(ABLATIONS)}</p>{_html_table(section.ablations)}")
    parts.append(f"<div class=plots>{''.join(_html_plot(plot) for plot in section.plots)}</div>")
    for film in section.films:
        shown = "".join(_html_video(film.title, seed, video) for seed, video in film.videos.items())
        parts.append(f"<h3>{film.title}</h3><p>{film.caption}</p><div class=plots>{shown}</div>")
    if section.not_made:
        parts.append(_html_list(section.not_made))
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


def _html_video(title: str, seed: int, video: bytes) -> str:
    source = f"data:video/mp4;base64,{base64.b64encode(video).decode()}"
    shown = f'<video controls loop muted playsinline aria-label="{title}, seed {seed}" src="{source}"></video>'
    return f"\n<figure>{shown}<figcaption>seed {seed}</figcaption></figure>"


def _html_table(table: Table, links: Collection[str] = ()) -> str:
    """`links`: names of rows that lead to their sections."""
    head = "".join(f"<th scope=col>{html.escape(name)}</th>" for name in table.header)
    lines = []
    for number, row in enumerate(table.rows):
        cells: list[str] = []
        for name, text in zip(table.header, row, strict=True):
            shown = _html_code(text) if name in table.code else _html_numbers(text)
            if name == "verdict":
                shown = f'<span class="verdict {KINDS[text[0]]}">{shown}</span>'
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
