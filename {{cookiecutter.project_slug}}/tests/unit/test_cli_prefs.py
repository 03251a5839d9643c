"""`repro prefs`: what was answered, exports and imports, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from project import Project, here

from repro.preferences.export import check_export
from repro.preferences.schema import REPEATS
from repro.preferences.segments import Segment
from repro.preferences.store import PreferenceStore
from repro.reading import UserError


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture
def repro(project, monkeypatch, capsys):
    """`repro ...` in this process; what it printed, or its one line of refusal."""

    def command(*arguments, code=0):
        exit_code, out, err = here(project, monkeypatch, capsys, *arguments)
        assert exit_code == code, out + err
        if code:
            assert err.startswith("error: ") and err.count("\n") == 1
        return err if code else out

    return command


@pytest.fixture
def run(project):
    """A run with ten comparisons, of which two annotators answered some, and one of them two once more."""
    run = project.queue(100, "preferences.annotator=person")
    pairs = [
        (
            Segment(np.full((5, 2), number, np.float32), np.zeros(5), np.full(5, number % 2, np.float32)),
            Segment(np.full((5, 2), -number - 1, np.float32), np.zeros(5), np.full(5, 0.5, np.float32)),
        )
        for number in range(10)
    ]
    with PreferenceStore(run.path / "preferences.db", "dot") as store:
        for number, pair in enumerate(pairs):
            store.add_query(run.id, number, *pair, 100, "uniform" if number < 6 else "disagreement")
        for number in range(8):  # always right: the left segment is the better one where the number is odd
            answer = "left" if number % 2 else "right"
            store.add_label(
                run.id, number, answer, "anna", 2.0 + number, 100, f"2026-11-21T10:00:{2 * number:02}+00:00"
            )
        store.add_label(run.id, 8, "tie", "anna", 1.0, 100, "2026-11-21T11:00:00+00:00")  # after a pause
        store.add_label(run.id, 9, "incomparable", "anna", 1.0, 100, "2026-11-21T11:00:10+00:00")
        for number in range(4):
            store.add_label(run.id, number, "left", "bert", None, 100, "2026-11-21T09:00:00+00:00")
        for number in (1, 2):
            left, right = pairs[number]
            store.add_query(run.id + REPEATS, number, right, left, 100, "repeat")
            store.add_label(run.id + REPEATS, number, "right", "anna", 2.0, 100, "2026-11-21T12:00:00+00:00")
    return run


def test_all_numbers_are_there_for_programs(run, repro):
    found = json.loads(repro("prefs", "show", run.id, "--json"))
    assert {name: found[name] for name in ("queries", "segments", "waiting", "duplicates", "labels")} == {
        "queries": 10,
        "segments": 20,
        "waiting": 0,
        "duplicates": 0,
        "labels": 9,
    }
    assert found["ties"] == {"count": 1, "of": 9, "share": 1 / 9} | {
        bound: found["ties"][bound] for bound in ("low", "high")
    }
    assert found["left"]["count"] == 4 and found["left"]["of"] == 8
    assert found["entropy"] == pytest.approx(np.log(2) / 9)
    assert found["true_agreement"]["count"] == found["true_agreement"]["of"] == 8
    anna, bert = found["annotators"]["anna"], found["annotators"]["bert"]
    assert [anna[name] for name in ("answers", "left", "right", "tie", "incomparable")] == [10, 4, 4, 1, 1]
    # Seven gaps of 2 seconds and one of 10; the pauses between are not worked.
    assert anna["per_hour"] == pytest.approx(3600 * 9 / 24) and bert["per_hour"] is None
    # Query 1 was answered `left`, and `right` with its sides exchanged, which is the same; query 2 was not.
    assert (anna["repeats"]["count"], anna["repeats"]["of"]) == (1, 2) and bert["repeats"] is None
    assert (bert["true_agreement"]["count"], bert["true_agreement"]["of"]) == (2, 4)
    (both,) = found["agreements"]
    assert both["annotators"] == ["anna", "bert"] and (both["count"], both["of"]) == (2, 4)
    assert both["kappa"] == 0  # half the answers agree, as they would by chance
    assert found["strategies"]["disagreement"]["tie"] == 1 and found["strategies"]["uniform"]["queries"] == 6


def test_segments_that_labels_show_again_are_counted(tmp_path):
    from repro.labels.statistics import label_statistics
    from repro.labels.statistics_text import format_labels

    clips = [Segment(np.full((5, 2), i, np.float32), np.zeros(5), np.zeros(5, np.float32)) for i in range(6)]
    with PreferenceStore(tmp_path / "labels.db", "dot") as store:
        for number, (left, right) in enumerate([(0, 1), (0, 2), (1, 3), (4, 5), (4, 5), (0, 5)]):
            store.add_query("r", number, clips[left], clips[right], 100, "uniform")
            if number < 4:
                store.add_label("r", number, "left", "anna", 1.0, 100)
        found = label_statistics(store)
    assert (found["labels"], found["duplicates"]) == (4, 2)  # 0 and 1, which are in two pairs each
    assert "4 labels to learn from, which show 2 segments again: ties" in format_labels(found, 200)


@pytest.mark.parametrize("columns", [80, 200])
def test_the_page_fits_the_terminal(run, project, columns):
    from repro.labels.statistics import label_statistics
    from repro.labels.statistics_text import format_labels

    with PreferenceStore(run.path / "preferences.db") as store:
        lines = format_labels(label_statistics(store, run.id), columns).splitlines()
    assert max(map(len, lines)) <= columns
    row = next(line for line in lines if line.startswith("anna "))
    assert "50% [9, 91] of 2" in row  # the repeats, at any width
    heads = [line.split() for line in lines if line.startswith(("annotator ", "strategy "))]
    assert all(("left" in head) == ("right" in head) for head in heads)
    assert "return" in heads[1]


def test_an_oracle_has_no_times_to_show(run):
    from repro.labels.statistics import label_statistics
    from repro.labels.statistics_text import format_labels

    with PreferenceStore(run.path / "preferences.db") as store:
        found = label_statistics(store, run.id)
        found["annotators"] = {"oracle": found["annotators"]["bert"]}  # who took no time
        text = format_labels(found, 200)
    assert "seconds" not in text and "per hour" not in text and "repeats" not in text
    assert "\noracle           4     4 " in text


def test_a_run_may_be_named_without_a_command(run, repro):
    assert repro("prefs") == repro("prefs", run.id[-4:]) == repro("prefs", "show", "latest")
    assert "did you mean: repro prefs export" in repro("prefs", "exprot", code=2)
    assert "no run 'zzz'" in repro("prefs", "zzz", code=2)
    assert "no.db: no such database" in repro("prefs", "no.db", code=2)


def test_labels_leave_a_run_and_come_back_into_it_or_into_a_database(run, repro, project):
    out = repro("prefs", "export", run.id, "--out", "data/x")
    assert out.startswith("10 labelled comparisons, 16 answers: data/x\n") and "dvc add data/x" in out
    assert repro("prefs", "import", "data/x", run.id) == f"0 answers entered: {run.id}\n"
    assert repro("prefs", "import", "data/x", "copy.db") == "16 answers entered: copy.db\n"
    assert repro("prefs", "import", "data/x", "copy.db") == "0 answers entered: copy.db\n"
    original, copy = (json.loads(repro("prefs", "show", name, "--json")) for name in (run.id, "copy.db"))
    assert original | {"run": ""} == copy | {"run": ""}
    assert repro("prefs", "export", run.id, "--out", "data/x") == out  # one of the same run is replaced ...
    other = project.queue(100, "preferences.annotator=person")
    with PreferenceStore(other.path / "preferences.db", "dot") as store:
        for number in (0, 1):
            segments = [Segment(np.full((5, 2), n, np.float32), np.zeros(5), np.zeros(5, np.float32)) for n in (7, 8)]
            store.add_query(other.id, number, *segments, 100, "uniform")
            store.add_label(other.id, number, "left", "ben", 1.0, 100)
    refusal = repro("prefs", "export", other.id, "--out", "data/x", code=2)
    assert f"--out data/x: holds answers of anna to what {other.id} has not asked; name a new folder" in refusal
    repro("prefs", "export", other.id, "--out", "data/y")
    refusal = repro("prefs", "import", "data/y", "copy.db", code=2)
    assert "data/y: copy.db holds other comparisons of " in refusal and refusal.strip().endswith(
        "name another database"
    )
    refusal = repro("prefs", "collect", "--seed", "100", "--out", "data/y", code=2)
    assert "--out data/y: holds answers of ben; name a new folder" in refusal
    (project.root / "data/y/labels.jsonl").write_text("{")  # nobody knows whose answers these were
    for command in (("export", other.id), ("collect", "--seed", "100")):
        refusal = repro("prefs", *command, "--out", "data/y", code=2)
        assert "--out data/y: is not replaced, as it cannot be read (" in refusal
    assert (project.root / "data/y/labels.jsonl").read_text() == "{"
    (project.root / "data/notes").mkdir()
    (project.root / "data/notes/mine.txt").write_text("mine")
    refusal = repro("prefs", "export", run.id, "--out", "data/notes", code=2)  # ... and nothing else
    assert "--out data/notes: is something else than an earlier export; name a new folder" in refusal


def test_a_command_to_paste_names_a_folder_with_a_space_as_one(run, project, repro):
    folder = "'data/from anna'"
    out = repro("prefs", "export", run.id, "--out", "data/from anna")
    assert out.startswith("10 labelled comparisons, 16 answers: data/from anna\n")
    assert f"keep it: dvc add {folder}; start from it: repro train --preferences {folder} --set " in out
    other = project.queue(100, "preferences.annotator=person")
    PreferenceStore(other.path / "preferences.db", "dot").close()
    refusal = repro("prefs", "import", "data/from anna", other.id, code=2)
    assert refusal.endswith(f"start one: repro train --preferences {folder}\n")
    with pytest.raises(UserError, match=r"make them with: repro prefs collect --seed 100 --out 'data/from ben'$"):
        check_export(project.config(), "dot", Path("data/from ben"), 100)


def test_people_s_answers_enter_a_run_with_an_oracle_only_once_it_is_finished(run, project, repro):
    """It learns from the oracle's, and would take theirs instead of these when it is resumed."""
    repro("prefs", "export", run.id, "--out", "data/x")
    other = project.queue()
    with (
        PreferenceStore(run.path / "preferences.db") as store,
        PreferenceStore(other.path / "preferences.db", "dot") as oracles,
    ):
        for query in store.rows("SELECT number, left_hash, right_hash FROM queries WHERE run = ?", (run.id,)):
            pair = (store.segment(query[side]) for side in ("left_hash", "right_hash"))
            oracles.add_query(other.id, query["number"], *pair, 100, "uniform")
            oracles.add_label(other.id, query["number"], "right", "oracle", None, 100)
    for status in ("queued", "running", "interrupted", "failed"):
        other.update(status=status)
        refusal = repro("prefs", "import", "data/x", other.id, code=2)
        said = f"data/x: holds answers of anna, bert, and {other.id} learns from the oracle until it is finished; "
        assert said in refusal and refusal.endswith("import into a database: repro prefs import data/x mine.db\n")
    with PreferenceStore(other.path / "preferences.db") as store:
        assert {row["annotator"] for row in store.rows("SELECT annotator FROM labels")} == {"oracle"}
    repro("prefs", "export", other.id, "--out", "data/oracle's")
    assert repro("prefs", "import", "data/oracle's", other.id) == f"0 answers entered: {other.id}\n"
    other.update(status="finished")
    assert repro("prefs", "import", "data/x", other.id) == f"16 answers entered: {other.id}\n"


def test_what_cannot_be_shown_exported_or_imported_is_one_line(run, project, repro):
    repro("prefs", "export", run.id, "--out", "data/x")
    other = project.queue(100, "preferences.annotator=person")
    assert "no such database; a run has one once" in repro("prefs", "show", other.id, code=2)
    PreferenceStore(other.path / "preferences.db", "dot").close()
    assert f"holds no comparisons yet of run {other.id}" in repro("prefs", "show", other.id, code=2)
    assert f"holds no labels yet of run {other.id}" in repro("prefs", "export", other.id, code=2)
    assert f"run {other.id} has not asked query 0" in repro("prefs", "import", "data/x", other.id, code=2)
    with PreferenceStore(other.path / "preferences.db") as store:
        segment = Segment(np.ones((5, 2), np.float32), np.zeros(5), np.zeros(5, np.float32))
        store.add_query(other.id, 0, segment, segment, 100, "uniform")
    refusal = repro("prefs", "import", "data/x", other.id, code=2)
    assert f"data/x: run {other.id} has not asked query 0, or of other segments; import into" in refusal
    PreferenceStore(project.root / "pong.db", "pong").close()
    assert "holds preferences for pong, not for dot" in repro("prefs", "import", "data/x", "pong.db", code=2)
    assert "data/none: holds no exported preferences" in repro("prefs", "import", "data/none", "new.db", code=2)
    assert not (project.root / "new.db").exists()
