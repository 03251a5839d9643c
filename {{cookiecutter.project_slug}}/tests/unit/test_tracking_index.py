"""Which runs are listed, in which order; and that the index never says anything else than the records."""

import json
import math
import multiprocessing
import os
import re
import shutil
import time
from datetime import date, datetime, timedelta

import pytest
from archive_examples import record

from repro.accounts.budget import Budget
from repro.accounts.calibration import calibrate
from repro.accounts.ledger import book_runs
from repro.reading import UserError
from repro.tracking.index import FIELDS, list_summaries, summarise, without_copies
from repro.tracking.lookup import find_run_folder
from repro.views.listing import format_runs
from repro.views.selection import Selection, explain_empty, parse_day, select


def write_runs(root, count, age=60.0, **fields):
    """Records of so many runs, written `age` seconds ago."""
    for index in range(count):
        folder = root / "runs" / f"2026-11-21_dot_{index:04x}"
        folder.mkdir(parents=True, exist_ok=True)
        content = record(f"{index:04x}", started=f"2026-11-{1 + index % 28:02d}T10:00:00+00:00", **fields)
        (folder / "run.json").write_text(json.dumps(content))
        os.utime(folder / "run.json", (time.time() - age, time.time() - age))
    return root / "runs/.index.json"


def test_newest_first(tmp_path):
    write_runs(tmp_path, 30)
    days = [summary["started"][:10] for summary in list_summaries(tmp_path)]
    assert days == sorted(days, reverse=True) and len(days) == 30
    assert list_summaries(tmp_path / "nowhere") == []
    assert not (tmp_path / "runs/.index.json").exists()  # not worth it


def test_a_copy_of_a_folder_is_no_run_and_a_renamed_one_is(tmp_path):
    write_runs(tmp_path, 3)
    first, second, third = sorted((tmp_path / "runs").iterdir())
    for folder in (first, second, third):
        content = json.loads((folder / "run.json").read_text()) | {"id": folder.name}
        (folder / "run.json").write_text(json.dumps(content))
    shutil.copytree(first, tmp_path / "runs/first.bak")
    second.rename(tmp_path / "runs/best")
    listed = list_summaries(tmp_path)
    assert {run["id"] for run in listed} == {first.name, third.name, "first.bak", "best"}
    assert {run["id"] for run in without_copies(listed)} == {first.name, third.name, "best"}
    predicted = [run | {"failure_probability": 0.5} for run in listed]
    assert len(calibrate(predicted).open_runs) == 3
    assert len(book_runs(tmp_path, listed, Budget.model_construct(prices_per_hour={}))) == 3


def test_the_latest_run_is_never_a_copy(tmp_path):
    write_runs(tmp_path, 3)
    shutil.copytree(tmp_path / "runs/2026-11-21_dot_0002", tmp_path / "runs/2026-11-21_dot_0002.bak")
    for folder in (tmp_path / "runs").iterdir():
        content = json.loads((folder / "run.json").read_text()) | {"id": folder.name.removesuffix(".bak")}
        (folder / "run.json").write_text(json.dumps(content))
    assert list_summaries(tmp_path)[0]["id"] == "2026-11-21_dot_0002.bak"
    assert find_run_folder(tmp_path, "latest").name == "2026-11-21_dot_0002"


def test_the_index_follows_every_change(tmp_path):
    index = write_runs(tmp_path, 300)
    before = list_summaries(tmp_path)
    assert index.exists() and list_summaries(tmp_path) == before
    changed = tmp_path / "runs/2026-11-21_dot_0007/run.json"
    changed.write_text(changed.read_text().replace("finished", "faileded"))  # of the same length
    (tmp_path / "runs/2026-11-21_dot_0008/run.json").write_text("{")
    shutil.rmtree(tmp_path / "runs/2026-11-21_dot_0009")
    os.rename(tmp_path / "runs/2026-11-21_dot_000a", tmp_path / "runs/renamed")
    after = {summary["id"]: summary for summary in list_summaries(tmp_path)}
    assert len(after) == 299 and after["2026-11-21_dot_0007"]["status"] == "faileded"
    assert after["2026-11-21_dot_0008"] == {"id": "2026-11-21_dot_0008", "status": "unreadable"}
    assert "2026-11-21_dot_0009" not in after and after["renamed"]["seed"] == 100


def test_a_record_that_was_just_written_is_not_trusted_to_stay(tmp_path):
    """Two writes within the resolution of the clock look the same, so recent ones are read again."""
    write_runs(tmp_path, 300, age=-60.0)  # however long this test takes, they are recent
    list_summaries(tmp_path)
    path = tmp_path / "runs/2026-11-21_dot_0007/run.json"
    stat = path.stat()
    path.write_text(path.read_text().replace("finished", "queuedxx"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert "queuedxx" in [summary["status"] for summary in list_summaries(tmp_path)]


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"null", b'{"fields": [], "entries": {}}', "entries", "ids", "older"]
)
def test_a_damaged_index_is_made_anew(tmp_path, damage):
    index = write_runs(tmp_path, 250)
    wanted = list_summaries(tmp_path)
    content = json.loads(index.read_bytes())
    if damage == "entries":
        content["entries"]["2026-11-21_dot_0007"] = 5
    elif damage == "ids":
        entries = content["entries"]
        entries["2026-11-21_dot_0007"], entries["2026-11-21_dot_0008"] = entries["2026-11-21_dot_0008"], []
    if damage == "older":  # of a version that derived less
        content["fields"] = list(FIELDS)
        for _, summary in content["entries"].values():
            del summary["params_hash"]
    index.write_bytes(damage if isinstance(damage, bytes) else json.dumps(content).encode())
    assert list_summaries(tmp_path) == wanted
    assert json.loads(index.read_bytes())["entries"].keys() == {run["id"] for run in wanted}


def test_processes_that_list_at_once_agree(tmp_path):
    write_runs(tmp_path, 400)
    with multiprocessing.get_context("fork").Pool(6) as pool:
        lists = pool.map(list_summaries, [tmp_path] * 12)
    assert all(each == lists[0] for each in lists) and len(lists[0]) == 400
    assert not list((tmp_path / "runs").glob(".*.tmp"))


def test_the_score_is_that_of_an_evaluation_the_return_else_of_the_training():
    training = {"return/score": 0.5, "return/mean": 10.0, "env_step": 99}
    assert summarise(record(result_metrics=training)).items() >= {"score": None, "return": 10.0, "steps": 99}.items()
    judged = {"sampled": {"score": 0.7, "return_mean": 14.0}, "greedy": {"score": 0.9, "return_mean": 18.0}}
    both = record(result_metrics=training, evaluation=judged)
    assert summarise(both).items() >= {"score": 0.7, "return": 14.0}.items()
    assert summarise(both)["result"].endswith("; judged: score 0.700 (sampled actions)")
    both["params"]["evaluation"] = {"actions": "greedy"}
    assert summarise(both)["score"] == 0.9
    assert summarise(both)["result"].endswith("; judged: score 0.900 (greedy actions)")
    assert summarise(record()).items() >= {"score": None, "steps": None, "planned_steps": 1_500_000}.items()


def test_what_a_prediction_and_its_gate_come_to():
    gates = [{"decided": 1, "checks": []}, {"checks": [], "decided": 1}, {"decided": 2, "checks": []}]
    one, same, other = (summarise(record(gate=gate, prediction={"failure_probability": 0.0})) for gate in gates)
    assert one["gate_hash"] == same["gate_hash"] != other["gate_hash"] and one["failure_probability"] == 0.0
    assert summarise(record()).items() >= {"gate_hash": None, "failure_probability": None}.items()


RUNS = [
    summarise(record(code, **fields))
    for code, fields in {
        "d": {"started": "2026-11-21T10:00:00+00:00", "seed": 3, "evaluation": {"sampled": {"score": 0.5}}},
        "c": {"started": "2026-11-20T10:00:00+00:00", "seed": 1, "name": "pong", "status": "failed", "minutes": 5},
        "b": {
            "started": "2026-11-19T10:00:00+00:00",
            "seed": 2,
            "evaluation": {"sampled": {"score": 0.9}},
            "closed": {"outcome": "failed"},
        },
        "a": {"started": "2026-11-18T10:00:00+00:00", "seed": 2, "question": "Größe?", "stage": "tuning"},
        "n": {
            "started": None,
            "seed": 0,
            "evaluation": {"sampled": {"score": math.nan}},
            "process_start": "x",
        },
    }.items()
]


@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ({}, "dcban"),
        ({"sort": "score"}, "bdcan"),
        ({"sort": "seed"}, "ncbad"),
        ({"sort": "name"}, "dbanc"),
        ({"sort": "time"}, "dbanc"),
        ({"limit": 2}, "dc"),
        ({"status": "failed"}, "c"),
        ({"status": "crashed"}, ""),
        ({"outcome": "failed"}, "b"),
        ({"outcome": "succeeded"}, ""),
        ({"outcome": "open"}, "dcan"),
        ({"outcome": "open", "status": "failed"}, "c"),
        ({"name": "pong"}, "c"),
        ({"stage": "tuning"}, "a"),
        ({"question": "GRÖSSE"}, "a"),
        ({"since": date(2026, 11, 20)}, "dc"),
        ({"since": date(2026, 11, 19), "sort": "score", "limit": 1}, "b"),
    ],
)
def test_filters_and_orders(wanted, codes):
    assert "".join(run["id"][-1] for run in select(RUNS, Selection(**wanted))) == codes


def test_by_time_a_run_counts_with_what_it_has_run_since_it_was_started():
    """As the column of the table shows it; recorded is what was spent before."""
    started = (datetime.now().astimezone() - timedelta(hours=10)).isoformat()
    runs = [
        summarise(record("a", minutes=1)),
        summarise(record("b", minutes=0, status="running", started=started)),
        summarise(record("c", minutes=300, status="running", started=started, process_start="tick 1")),  # crashed
    ]
    found = select(runs, Selection(sort="time"))
    assert [run["id"][-1] for run in found] == ["b", "c", "a"]
    assert [re.search(r" (\S+ (?:h|min)) ", line)[1] for line in format_runs(found, None).splitlines()[1:]] == [
        "10.00 h",
        "5.00 h",
        "1.0 min",
    ]


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"^--name pongg: no run is of this experiment; did you mean 'pong'"):
        select(RUNS, Selection(name="pongg"))


def test_a_run_under_way_is_not_open():
    running = summarise(record(status="running"))
    unreadable = {"id": "x", "status": "unreadable"}
    assert select([running, unreadable], Selection(outcome="open")) == []
    assert select([], Selection(name="pong")) == []  # without runs no name is wrong


def test_an_empty_list_says_which_option_is_to_blame():
    wanted = Selection(status="failed", question="x", since=date(2026, 11, 20), sort="score", limit=3)
    assert explain_empty(RUNS, wanted) == (
        "no run of 5 is like that: 1 with --status failed, 0 with --question x, 2 with --since 2026-11-20"
    )


def test_days():
    assert parse_day("2026-11-21") == date(2026, 11, 21)
    assert parse_day("yesterday") == date.today() - timedelta(days=1)
    with pytest.raises(UserError, match=r"--since last week: not a day; write it as 2026-11-21"):
        parse_day("last week")
