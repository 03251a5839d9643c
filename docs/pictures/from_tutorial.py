"""Pictures of what commands print, for the guide: the output that stands in docs/tutorial.md, as a terminal shows it.

    build/check/awkward-answers/.venv/bin/python docs/pictures/from_tutorial.py

in an environment with a project's packages, and with Chromium. To be run again after docs/write_tutorial.py.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from make_pictures import HERE, chromium
from markdown_it import MarkdownIt  # which rich brings

TUTORIAL = HERE.parent / "tutorial.md"
TERMINAL = """
body { margin: 0; width: max-content; background: #1e1f22 }
pre { margin: 0; padding: 18px 22px; width: max-content; max-width: 110ch; white-space: pre-wrap; color: #e8e8e8;
  font: 15px/1.45 "DejaVu Sans Mono", monospace }
"""
PAPER = """
body { margin: 0; padding: 8px 28px 20px; width: 1040px; color: #202124; font: 15px/1.5 "DejaVu Sans", sans-serif }
h1 { font-size: 24px } h2 { font-size: 18px } a { color: #0969da }
table { border-collapse: collapse; font-size: 13px }
th, td { border: 1px solid #d0d7de; padding: 4px 8px; text-align: left }
"""


def printed(command: str) -> str:
    """What the tutorial shows below a command."""
    text = TUTORIAL.read_text(encoding="utf-8")
    return re.search(rf"^\$ {re.escape(command)}\n(.*?)(?=^\$ |^```)", text, re.MULTILINE | re.DOTALL)[1]


def terminal_picture(browser: Any, command: str, name: str) -> Path:
    """A command and its output, as a terminal shows them."""
    return _picture(browser, f"<pre>$ {html.escape(command)}\n{html.escape(printed(command))}</pre>", TERMINAL, name)


def log_picture(browser: Any) -> Path:
    """The page of the work log, as an editor or a forge shows its Markdown."""
    page = printed("repro log").partition("\n")[2]  # the first line is its path
    page = re.sub(r"<!--.*?-->\n", "", page).replace("- [x] ", "- \u2611 ").replace("- [ ] ", "- \u2610 ")
    return _picture(browser, MarkdownIt().enable("table").render(page), PAPER, "log")


def _picture(browser: Any, body: str, style: str, name: str) -> Path:
    page = browser.new_page(viewport={"width": 1200, "height": 100})
    page.set_content(f"<meta charset='utf-8'><style>{style}</style>{body}")
    size = page.evaluate("[document.body.offsetWidth, document.body.offsetHeight]")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.screenshot(path=HERE / f"{name}.png")
    return HERE / f"{name}.png"


if __name__ == "__main__":
    with chromium() as shared:
        made = [
            terminal_picture(shared, "repro prelaunch --answers answers.yaml", "gate"),
            terminal_picture(shared, "repro doctor latest", "doctor"),
            log_picture(shared),
        ]
    for path in made:
        print(f"{path.relative_to(HERE.parents[1])}: {path.stat().st_size / 1024:,.0f} KiB")
