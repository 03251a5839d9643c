"""What `repro runs --prune` proposes and deletes; and what it never does."""

import json
import os
from datetime import datetime, timedelta

import pytest
from archive_examples import record

from repro.reading import UserError
from repro.runs.prune import delete, find_prunable, format_proposal, format_size
from repro.tracking.archive import read_run
from repro.tracking.index import list_summaries
from repro.tracking.locks import hold_run

KEPT = ("run.json", "metrics.jsonl", "preferences.db", "output.log", "checkpoints/agent.pt", "params.yaml")


def write_run(root, code, days=40, size=1000, video=0, **fields):
    """A run that ended so many days ago, with files of these bytes; returns its folder."""
    folder = root / "runs" / f"2026-01-01_dot_{code}"
    (folder / "checkpoints").mkdir(parents=True)
    ended = (datetime.now().astimezone() - timedelta(days=days)).isoformat(timespec="seconds")
    for name in KEPT:
        (folder / name).write_text("kept")
    (folder / "run.json").write_text(json.dumps(record(code, **{"ended": ended} | fields)))
    (folder / "checkpoints/last.pt").write_bytes(b"x" * size)
    if video:
        (folder / "videos/eval").mkdir(parents=True)
        (folder / "videos/eval/0.mp4").write_bytes(b"x" * video)
    return folder


def propose(root, older_than):
    return find_prunable(root, list_summaries(root), older_than)


def codes(found):
    return [each.path.name[-4:] for each in found]


def test_old_finished_runs_the_largest_first(tmp_path):
    write_run(tmp_path, "aaaa", size=1000)
    write_run(tmp_path, "bbbb", size=500, video=2_000_000)
    write_run(tmp_path, "cccc", days=20)
    assert codes(propose(tmp_path, 30)) == ["bbbb", "aaaa"]
    found = propose(tmp_path, 10)
    assert codes(found) == ["bbbb", "aaaa", "cccc"]
    assert format_proposal(found, 10).splitlines() == [
        "   2.0 MB  2026-01-01_dot_bbbb  checkpoints/last.pt, videos/eval/0.mp4",
        "   1.0 kB  2026-01-01_dot_aaaa  checkpoints/last.pt",
        "   1.0 kB  2026-01-01_dot_cccc  checkpoints/last.pt",
        "   2.0 MB  in all",
    ]
    assert "finished more than 90 days ago" in format_proposal(propose(tmp_path, 90), 90)


@pytest.mark.parametrize(("name", "text"), [("good-run", "see runs/good-run"), ("2026-01-01_dot_7f3a", "as in 7F3A")])
def test_a_run_that_the_log_refers_to_is_kept_under_another_name_and_in_capitals_too(tmp_path, name, text):
    write_run(tmp_path, "7f3a").rename(tmp_path / "runs" / name)
    assert [each.path.name for each in propose(tmp_path, 30)] == [name]
    (tmp_path / "worklog").mkdir()
    (tmp_path / "worklog/2026-01-02.md").write_text(text)
    assert propose(tmp_path, 30) == []


@pytest.mark.parametrize("status", ["queued", "running", "failed", "interrupted"])
def test_only_finished_ones(tmp_path, status):
    write_run(tmp_path, "aaaa", status=status)
    assert propose(tmp_path, 0) == []


def test_a_run_without_a_time_or_record_is_left_alone(tmp_path):
    write_run(tmp_path, "aaaa", ended=None)
    write_run(tmp_path, "bbbb", ended="some day")
    (write_run(tmp_path, "cccc") / "run.json").write_text("{")
    write_run(tmp_path, "dddd", days=-1)  # the clock went back
    assert propose(tmp_path, 0) == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("paper/claims.yaml", "  evidence: runs/2026-01-01_dot_aaaa"),
        ("results/cells/dot/seed-1.json", '{"run": "2026-01-01_dot_aaaa"}'),
        ("worklog/2026-11-21.md", "- 10:00 see [that one](../runs/2026-01-01_dot_aaaa), it is odd"),
        ("worklog/2026-11-21.md", "- the entropy of aaaa falls too fast"),
        ("worklog/2026-11-21.md", "<!-- runs:start -->\nmy note on aaaa\n<!-- runs:end -->"),
        ("worklog/2026-11-21.md", "<!-- runs:start -->\n| [2026-01-01_dot_aaaa](../runs/2026-01-01_dot_aaaa) |"),
        ("worklog/2026-11-21.md", b"\xff\xfe aaaa"),
        ("worklog/2026-11-21.md", "<!-- hours:start -->\n| debugging | 2.5 | why is aaaa flat? |\n<!-- hours:end -->"),
        ("worklog/2026-11-21.md", "<!-- confused:start -->\n|- [ ] C3 aaaa | odd\n<!-- confused:end -->"),
    ],
)
def test_what_is_referred_to_is_kept(tmp_path, file, text):
    write_run(tmp_path, "aaaa")
    write_run(tmp_path, "bbbb")
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert codes(propose(tmp_path, 30)) == ["bbbb"]


def test_the_rows_that_the_tool_writes_keep_nothing(tmp_path):
    write_run(tmp_path, "aaaa")
    (tmp_path / "worklog").mkdir()
    row = "| dot | [2026-01-01_dot_aaaa](../runs/2026-01-01_dot_aaaa) | 100 |"
    page = f"# 2026-11-21\n<!-- results:start -->\n| environment | run | seed |\n{row}\n<!-- results:end -->\n"
    (tmp_path / "worklog/2026-11-21.md").write_text(page)
    assert codes(propose(tmp_path, 30)) == ["aaaa"]


def test_nothing_is_proposed_where_a_reference_cannot_be_read(tmp_path):
    write_run(tmp_path, "aaaa")
    (tmp_path / "worklog/2026-11-21.md").mkdir(parents=True)
    with pytest.raises(UserError, match=r"2026-11-21\.md: cannot be read"):
        propose(tmp_path, 30)


def test_deleting_says_what_and_keeps_the_rest(tmp_path):
    folder = write_run(tmp_path, "aaaa", size=1000, video=500)
    outside = tmp_path / "precious.mp4"
    outside.write_text("precious")
    os.symlink(outside, folder / "videos/link.mp4")
    assert delete(propose(tmp_path, 30)) == "1.5 kB of 1 run"
    assert read_run(folder).record["pruned"] == ["checkpoints/last.pt", "videos/eval/0.mp4"]
    assert all((folder / name).read_text() == "kept" for name in KEPT[1:])
    assert not (folder / "checkpoints/last.pt").exists() and not (folder / "videos/eval/0.mp4").exists()
    assert outside.read_text() == "precious" and (folder / "videos/link.mp4").is_symlink()
    assert propose(tmp_path, 30) == []


@pytest.mark.parametrize("link", ["videos", "videos/eval", "checkpoints"])
def test_what_lies_behind_a_link_is_not_touched(tmp_path, link):
    folder = write_run(tmp_path, "aaaa", video=500)
    (folder / link).rename(tmp_path / "elsewhere")
    (folder / link).symlink_to(tmp_path / "elsewhere")
    before = sorted((tmp_path / "elsewhere").rglob("*"))
    found = propose(tmp_path, 30)
    assert found[0].files == (("videos/eval/0.mp4",) if link == "checkpoints" else ("checkpoints/last.pt",))
    delete(found)
    assert sorted((tmp_path / "elsewhere").rglob("*")) == before


def test_a_run_that_is_being_done_is_not_touched(tmp_path):
    folder = write_run(tmp_path, "aaaa")
    found = propose(tmp_path, 30)
    lock = hold_run(folder)
    with pytest.raises(UserError, match="is being done"):
        delete(found)
    os.close(lock)
    assert (folder / "checkpoints/last.pt").exists() and "pruned" not in read_run(folder).record


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (56_700_000, "57 MB"), (3.21e9, "3.2 GB")]
)
def test_sizes(size, text):
    assert format_size(size) == text
