"""The page of all runs: every run once, nothing that a run says is markup, nothing comes from elsewhere."""

import itertools
import json
import math
import os
import time
from html.parser import HTMLParser

import pytest
from archive_examples import make_project, record

from repro.reading import UserError
from repro.tracking.curves import sample_curve
from repro.tracking.index import summarise
from repro.views.runs_page import write_runs_page


class Page(HTMLParser):
    """Elements with their attributes, and the text of each row's cells."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.rows = [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        if tag == "table":
            self.rows.append([])

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def project(tmp_path):
    root = make_project(tmp_path)
    (root / "runs").mkdir()
    return root


def write_page(root, *records):
    summaries = [each if each["status"] == "unreadable" else summarise(each) for each in records]
    return Page(write_runs_page(root, summaries, root / "runs/index.html"))


def write_metrics(root, run, values):
    folder = root / "runs" / run["id"]
    folder.mkdir()
    rows = [json.dumps({"env_step": 512 * i, "return/mean": value}) for i, value in enumerate(values)]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")


def test_a_row_for_each_run_with_all_there_is_to_know(project):
    metrics = {"env_step": 4096, "return/mean": 12.34, "return/score": 0.5}
    run = record(result_metrics=metrics, evaluation={"sampled": {"score": 0.875, "return_mean": 12.34}})
    write_metrics(project, run, [1.0, 2.0, 4.0])
    page = write_page(project, run, record("8f3a", status="running", process_start="tick 1", minutes=0))
    assert "Runs of p" in (project / "runs/index.html").read_text()
    assert page.rows[1] == [
        *("2026-11-21_moving-dot_7f3a", "finished", "2026-11-21 10:00", "100", "debugging", "4.1k", "1.25 h", "0.875"),
        *(
            "12.3",
            "return from 1.0 to 4.0, between 1.0 and 4.0",
            f"{run['question']}{run['result']}; judged: score 0.875 (sampled actions)\n",
        ),
    ]
    assert page.rows[2][:2] == ["2026-11-21_moving-dot_8f3a", "crashed"] and page.rows[2][9] == ""
    assert page.of("a")[0]["href"] == "./2026-11-21_moving-dot_7f3a/"
    assert page.of("polyline")[0]["points"] == "0.0,22.0 50.0,15.3 100.0,2.0"
    values = [attributes.get("data-v") for attributes in page.of("td")][2:8]
    assert values == ["100", None, "4096", "4500.0", "0.875", "12.34"]


def test_hostile_text_stays_text(project):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;<!-- rows -->\x1b[2J\u202e"
    fields = {"question": hostile, "result": hostile, "host": hostile, "status": "running", "stage": hostile}
    page = write_page(project, record('a"><script>x', **fields), {"id": '"><b>', "status": "unreadable"})
    assert len(page.of("script")) == 1 and not page.of("img") and not page.of("b")
    assert len(page.rows) == 3 + 1  # the head, two runs, and the end
    assert page.rows[1][10].startswith("<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;<!-- rows -->[2J<")
    assert page.rows[2][1] == "unreadable" and "\x1b" not in str(page.rows) and "\u202e" not in str(page.rows)
    assert all(attribute[:2] != "on" for _, attributes in page.elements for attribute in attributes)


def test_nothing_is_loaded_from_elsewhere(project):
    page = write_page(project, record())
    assert not page.of("link") and all("src" not in attributes for _, attributes in page.elements)
    (policy,) = [meta["content"] for meta in page.of("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'; ")
    assert "url(" not in (project / "runs/index.html").read_text()


def test_links_lead_to_the_runs_from_another_folder(project):
    (project / "a b").mkdir()
    page = Page(write_runs_page(project, [summarise(record())], project / "a b/page.html"))
    assert page.of("a")[0]["href"] == "../runs/2026-11-21_moving-dot_7f3a/"
    with pytest.raises(UserError, match=r"the folder .*/nowhere does not exist"):
        write_runs_page(project, [], project / "nowhere/page.html")


def test_folders_whose_names_are_no_text_are_linked(project):
    odd = os.fsdecode(b"caf\xe9")
    project = project.rename(project.with_name(odd))
    page = Page(write_runs_page(project, [summarise(record(id=odd))], project.parent / "page.html"))
    assert page.of("a")[0]["href"] == "caf%E9/runs/caf%E9/"


def test_only_the_first_runs_have_curves_and_thousands_are_quick(project):
    runs = [record(f"{index:04x}") for index in range(3000)]
    for run in runs[:250]:
        write_metrics(project, run, [1.0, 2.0])
    start = time.process_time()
    page_path = write_runs_page(project, [summarise(run) for run in runs], project / "runs/index.html")
    assert time.process_time() - start < 1.5
    text = page_path.read_text()
    assert text.count("<polyline") == 200 and text.count("<tr>") == 3001 and len(text) < 2_000_000


def test_a_curve_of_a_long_run_is_read_in_part(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [json.dumps({"env_step": i, "return/mean": float(i), "x" * 50: 0}) for i in range(20_000)]
    path.write_text("\n".join(rows) + '\n{"env_step": 9')
    points = sample_curve(path, "return/mean", 100)
    steps = [step for step, _ in points]
    assert len(points) <= 100 and steps[0] == 0 and steps[-1] == 19_999 and steps == sorted(steps)
    assert max(b - a for a, b in itertools.pairwise(steps)) < 500
    assert all(step == value for step, value in points)


def test_a_curve_leaves_out_what_cannot_be_drawn(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [1.0, "NaN", 3.0, "Infinity", None, 4.0]
    path.write_text("\n".join(json.dumps({"env_step": i, "return/mean": value}) for i, value in enumerate(rows)))
    assert sample_curve(path, "return/mean") == [(0, 1.0), (2, 3.0), (5, 4.0)]
    assert sample_curve(path, "loss") == [] and sample_curve(tmp_path / "none", "loss") == []
    assert all(math.isfinite(value) for _, value in sample_curve(path, "return/mean"))


@pytest.mark.parametrize(("outcome", "colour"), [("failed", "failed"), ("succeeded", "finished")])
def test_a_closed_run_has_the_colour_of_its_outcome(project, outcome, colour):
    write_page(project, record(status="finished", closed={"outcome": outcome}))
    assert f'class="s {colour}">closed: {outcome}<' in (project / "runs/index.html").read_text()
