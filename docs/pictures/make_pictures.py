"""Pictures of the README and the guide, from a project that was generated and in which `dvc repro` has run.

    build/moving-dot-from-preferences/.venv/bin/python docs/pictures/make_pictures.py build/moving-dot-from-preferences

after `make demo`: its runs, its labelling page in a real browser (Chromium), its report.
Nothing in the project is changed.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright
from repro.config import parse_config
from repro.envs import make_envs
from repro.experience.playing import film_episode, policy_of, random_policy
from repro.preferences.store import PreferenceStore
from repro.results.evaluate import load_agent

HERE = Path(__file__).resolve().parent
DOT, CAPTION, GAP = 252, 30, 24  # pixels of the dot's picture, of the line above it, between two of them
SECONDS, START = 12.0, 1003  # of the dot's picture; the seed of its start
RATE = 10  # pictures a second
ANSWERS = 5  # given on the labelling page
INK, PAPER, RING = (32, 33, 36), (255, 255, 255), (90, 90, 90)


def dot_picture(run: Path) -> Path:
    """An episode by random actions and one by what the run has learned, from the same start, side by side."""
    config = parse_config(json.loads((run / "run.json").read_text())["params"])
    envs = make_envs(config.env, num_envs=1)
    policies = {
        "random actions": random_policy(envs, np.random.default_rng(0)),
        "after 700 comparisons": policy_of(load_agent(config, run / "checkpoints/agent.pt"), "sampled"),
    }
    with tempfile.TemporaryDirectory() as folder:
        films = {}
        for index, (name, policy) in enumerate(policies.items()):
            path = Path(folder) / f"{index}.mp4"
            film_episode(config, policy, START, path)
            films[name] = list(_frames(path))
    font, pictures = ImageFont.load_default(15), []
    for index in range(int(SECONDS * RATE)):
        picture = Image.new("RGB", (len(films) * (DOT + GAP) - GAP, DOT + CAPTION), PAPER)
        draw = ImageDraw.Draw(picture)
        for place, (name, film) in enumerate(films.items()):
            left = place * (DOT + GAP)
            draw.text((left, 6), name, fill=INK, font=font)
            picture.paste(film[min(index, len(film) - 1)], (left, CAPTION))
            x, y = left + DOT // 2, CAPTION + DOT // 2  # the target, which the agent is not shown
            draw.ellipse((x - 16, y - 16, x + 16, y + 16), outline=RING)
        pictures.append(picture)
    return _write_gif("dot.gif", pictures)


def _frames(video: Path) -> Iterator[Image.Image]:
    with av.open(str(video)) as container:
        for frame in container.decode(video=0):
            yield frame.to_image().resize((DOT, DOT), Image.Resampling.NEAREST)


def labelling_pictures(project: Path, run: Path, browser: Any) -> list[Path]:
    """The labelling page: a person who prefers the clips of higher return answers by the arrow keys."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["repro", "label", run.name, "--store", f"{folder}/mine.db", "--annotator", "anna", "--port", "0"]
        server = subprocess.Popen([project / ".venv/bin" / command[0], *command[1:]], cwd=project, stdout=-1, text=True)
        try:
            address = re.search(r"http://\S+", server.stdout.readline())[0]
            page = browser.new_page(viewport={"width": 960, "height": 752})
            page.goto(address)
            return _label(page, run)
        finally:
            server.terminate()
            server.wait()


def _label(page: Page, run: Path) -> list[Path]:
    pictures = []

    def look(seconds: float) -> None:
        for _ in range(int(seconds * RATE)):
            pictures.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
            page.wait_for_timeout(1000 / RATE)

    for _ in range(ANSWERS):
        page.wait_for_selector("#clips[data-pair]:not([data-pair=''])")
        look(2.2)
        page.keyboard.press(_preferred(run, page.locator("#clips").get_attribute("data-pair")))
        look(0.4)
    pictures[-1].save(HERE / "labelling.png", optimize=True)
    small = [picture.resize((720, 564), Image.Resampling.LANCZOS) for picture in pictures]
    return [HERE / "labelling.png", _write_gif("labelling.gif", small)]


def _preferred(run: Path, pair: str) -> str:
    """The arrow key for the clip of higher true return."""
    with PreferenceStore(run / "preferences.db") as store:
        (row,) = store.rows("SELECT left_hash, right_hash FROM queries WHERE number = ?", (int(pair.rstrip("r")),))
        left, right = (store.segment(row[side]).true_return for side in ("left_hash", "right_hash"))
    if pair.endswith("r"):
        left, right = right, left
    return "ArrowUp" if left == right else "ArrowLeft" if left > right else "ArrowRight"


def page_picture(browser: Any, page_file: Path, name: str) -> Path:
    """The top of a page of the project."""
    page = browser.new_page(viewport={"width": 1100, "height": 1000})
    page.goto(page_file.as_uri())
    page.wait_for_timeout(500)
    page.screenshot(path=HERE / f"{name}.png")
    return HERE / f"{name}.png"


def _write_gif(name: str, pictures: list[Image.Image]) -> Path:
    path = HERE / name
    colours = pictures[len(pictures) // 2].quantize(64)  # the same for all, or they flicker
    first, *others = [picture.quantize(palette=colours, dither=Image.Dither.NONE) for picture in pictures]
    first.save(path, save_all=True, append_images=others, duration=1000 // RATE, loop=0, optimize=True)
    return path


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a window."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("error: there is no Chromium here; install it with: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[] if os.geteuid() else ["--no-sandbox"])
        yield browser
        browser.close()


def main() -> None:
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "runs").is_dir():
        sys.exit("error: give the folder of a project in which `dvc repro` has run, as `make demo` makes it")
    project = Path(sys.argv[1]).resolve()
    run = max(
        (path.parent for path in (project / "runs").glob("*/preferences.db")), key=lambda path: path.stat().st_mtime
    )
    made = [dot_picture(run)]
    with chromium() as browser:
        made += labelling_pictures(project, run, browser)
        made.append(page_picture(browser, project / "reports/report.html", "report"))
    for path in made:
        print(f"{path.relative_to(HERE.parents[1])}: {path.stat().st_size / 1024:,.0f} KiB")


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"{time.monotonic() - started:.0f} s")
