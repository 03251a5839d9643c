"""Links in Markdown lead somewhere. Those within docs/, down to headings, are checked by `make docs`."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import ROOT, TEMPLATE

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
SHIPPED = [path for path in TEMPLATE.rglob("*.md") if not any(part.startswith(".") for part in path.parts)]


def links(page: Path) -> list[str]:
    """Where links and pictures lead to, those that are made from answers left out."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [target for target in re.findall(r"\]\(([^()\s]+)\)", text) if "{{" not in target]


@pytest.mark.parametrize("page", [*PAGES, *SHIPPED], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    for link in links(page):
        url = urlsplit(link)
        if url.scheme:
            assert url.scheme in ("http", "https") and re.fullmatch(r"[\w-]+(\.[\w-]+)+", url.netloc), link
        elif url.path:
            assert url.path == "params.yaml" or (page.parent / url.path).exists(), link  # the preset that is chosen
