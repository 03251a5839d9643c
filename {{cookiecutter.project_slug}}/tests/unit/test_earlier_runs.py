"""Finding an earlier run of the same code, parameters and seed."""

import shutil

import pytest
from archive_examples import CONFIG, new_run

from repro.reading import UserError
from repro.runs.earlier import find_furthest, find_same_run, find_trained, find_unfinished, offer_earlier
from repro.tracking.index import list_summaries

PARAMS = CONFIG | {"seeds": {"final": [0]}, "gate": {"after_minutes": 30}}


def finished(root, **fields):
    run = new_run(root, **({"config": PARAMS} | fields))
    run.update(status="finished", result="return 3")
    return run


def find(run, preferences=None, **changes):
    """The record of the run that is found for one like `run`, with changes."""
    record = run.record | changes
    root = run.path.parent.parent
    found = find_same_run(root, record["code_hash"], record["params"], record["seed"], preferences)
    return found and found.record


def test_the_latest_one_is_found_with_its_result(repository):
    first, second = finished(repository), finished(repository)
    first.update(started="2026-01-01T10:00:00+00:00")
    second.update(started="2026-01-02T10:00:00+00:00", result="return 4")
    found = find(first)
    assert (found["id"], found["result"]) == (second.id, "return 4")


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"code_hash": "0" * 16},
        {"params": PARAMS | {"answer": "yes"}},
        {"params": PARAMS | {"new": None}},
        {"params": PARAMS | {"agent": {"learning_rate": 1e-05}}},
    ],
)
def test_another_seed_code_or_parameter_is_another_run(repository, changes):
    run = finished(repository)
    assert find(run) and find(run, **changes) is None


def test_lists_of_seeds_and_the_gate_make_no_difference(repository):
    run = finished(repository)
    other = PARAMS | {"seeds": {"final": [1, 2]}, "gate": {"after_minutes": 0}}
    assert find(run, params=other)["id"] == run.id == find(run, params=CONFIG)["id"]


@pytest.mark.parametrize("status", ["queued", "running", "failed", "interrupted"])
def test_only_a_finished_one_counts(repository, status):
    run = finished(repository)
    run.update(status=status)
    assert find(run) is None


@pytest.mark.parametrize("status", ["finished", "interrupted"])
def test_the_copy_of_a_folder_is_not_found(repository, status):
    run = finished(repository)
    run.update(status=status, cell="tiny/seed-7")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints/agent.pt").touch()
    shutil.copytree(run.path, run.path.with_name(f"{run.id}.bak"))
    listed, code = list_summaries(repository), run.record["code_hash"]
    assert listed[0]["id"] == f"{run.id}.bak"
    found = [
        find_same_run(repository, code, PARAMS, 7),
        find_trained(repository, code, PARAMS, 7, None, None, dirty=True),
        find_unfinished(repository, "tiny/seed-7", code, PARAMS, 7, None),
        find_furthest(repository, listed, code, PARAMS, 7, dirty=True),
    ]
    expected = [run.id, run.id, None, run.id] if status == "finished" else [None, None, run.id, run.id]
    assert [each and each.id for each in found] == expected


def test_damaged_runs_are_passed_over(repository):
    damaged, run = finished(repository), finished(repository)
    (damaged.path / "run.json").write_text("{")
    assert find(run)["id"] == run.id


def test_other_preferences_to_start_from_are_another_run(repository):
    run = finished(repository)
    assert find(run, repository / "data") is None
    run.update(preferences=str(repository / "data"))
    assert find(run) is None and find(run, repository / "data")["id"] == run.id


def test_a_project_that_was_moved_finds_it(repository, tmp_path):
    (repository / "data").mkdir()
    run = finished(repository, preferences=repository / "data")
    assert run.record["preferences"] == "data"
    moved = repository.rename(tmp_path / "moved")
    record = run.record
    found = find_same_run(moved, record["code_hash"], record["params"], record["seed"], moved / "data")
    assert found and found.id == run.id
    elsewhere = finished(moved, preferences=tmp_path)
    assert elsewhere.record["preferences"] == str(tmp_path)


def test_of_a_commit_only_runs_of_a_commit_have_come_far(repository):
    run = finished(repository)

    def furthest(dirty):
        return find_furthest(repository, list_summaries(repository), run.record["code_hash"], PARAMS, 7, dirty)

    assert furthest(dirty=False).id == furthest(dirty=True).id == run.id
    run.update(dirty=True)
    assert furthest(dirty=False) is None and furthest(dirty=True).id == run.id


def test_its_result_is_offered(repository, capsys):
    run = finished(repository)
    offer_earlier(run, None)
    assert f"{run.id} had the same code, parameters and seed: return 3" in capsys.readouterr().out
    offer_earlier(run, lambda _: "yes")
    for answer in ("", "n", "what?"):
        with pytest.raises(UserError, match=f"nothing was started; the earlier result: repro show {run.id}"):
            offer_earlier(run, lambda _, answer=answer: answer)


def test_without_any_run(tmp_path):
    assert find_same_run(tmp_path, "c", PARAMS, 7) is None
