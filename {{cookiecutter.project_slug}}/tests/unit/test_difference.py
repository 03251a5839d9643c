"""The first metric in which two runs part; which parameters and files differ."""

import json
import math

import pytest

from repro.reading import UserError
from repro.tracking.difference import Difference, circumstances, differing, first_difference, same_task
from repro.tracking.snapshot import snapshot_code
from repro.views import code_changes

ROW = {"env_step": 256, "policy/loss": -0.5, "value/loss": 2, "time/env": 0.1, "memory/rss_mb": 370.3}


def write(path, *rows):
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row, separators=(",", ":"))) + "\n" for row in rows)
    )
    return path


@pytest.fixture
def files(tmp_path):
    """Writes two files of metrics; returns where they first differ."""

    def difference(one, other):
        return first_difference(write(tmp_path / "one", *one), write(tmp_path / "other", *other))

    return difference


class TestFirstDifference:
    def test_what_tells_of_the_machine_is_no_difference(self, files):
        other = ROW | {"time/env": 9.0, "memory/rss_mb": 1.0}
        assert files([ROW, ROW], [other, other | {"throughput/steps_per_second": 3.0}]) is None

    def test_a_metric_after_those_of_the_machine_counts(self, files):
        """The quick way, which compares the text before them, must not be taken."""
        rows = [ROW | {"mine": 1.0}], [ROW | {"mine": 2.0}]
        assert files(*rows) == Difference(256, "mine", (1.0, 2.0))

    def test_one_named_like_those_of_the_machine_counts(self, files):
        rows = [ROW | {"a time/b": 1.0}], [ROW | {"a time/b": 2.0}]
        assert files(*rows) == Difference(256, "a time/b", (1.0, 2.0))

    @pytest.mark.parametrize(
        ("value", "other"), [(-0.5, -0.49999999999999994), (-0.5, "NaN"), (-0.5, None), (0.0, -0.0), (0.0, 0)]
    )
    def test_the_smallest_difference_in_a_later_row(self, files, value, other):
        rows = [ROW | {"env_step": 512, "policy/loss": loss} for loss in (value, other)]
        if other is None:
            del rows[1]["policy/loss"]
        found = files([ROW, rows[0]], [ROW, rows[1]])
        assert repr(found) == repr(Difference(512, "policy/loss", (value, math.nan if other == "NaN" else other)))

    def test_not_a_number_equals_itself(self, files):
        assert files([ROW | {"value/loss": "NaN"}], [ROW | {"value/loss": "NaN", "time/env": 5.0}]) is None

    def test_order_of_the_metrics_does_not_matter(self, files):
        assert files([ROW], [dict(reversed(ROW.items()))]) is None

    @pytest.mark.parametrize("shorter", [0, 1])
    def test_rows_that_only_one_has(self, files, shorter):
        rows = [[ROW, ROW | {"env_step": 512}], [ROW]]
        found = files(*(rows if shorter else rows[::-1]))
        assert found.env_step == 512 and found.shorter == shorter
        assert str(found) == f"step 512: the {('first', 'second')[shorter]} has no such row"

    def test_a_torn_last_line_is_no_row(self, tmp_path):
        one, other = write(tmp_path / "one", ROW), write(tmp_path / "other", ROW)
        other.write_bytes(other.read_bytes() + b'{"env_step":512,"policy/lo')
        assert first_difference(one, other) is None

    def test_a_damaged_line_is_named(self, files):
        with pytest.raises(UserError, match=r"other, line 2: not a row of metrics; remove the line"):
            files([ROW, ROW, ROW], [ROW, "\x00\x00", ROW])

    def test_no_file(self, tmp_path):
        with pytest.raises(UserError, match=r"other: no such file; has the run written any metrics yet\?"):
            first_difference(write(tmp_path / "one", ROW), tmp_path / "other")


def test_in_words():
    assert str(Difference(1536, "policy/loss", (-0.1, None))) == "step 1,536, policy/loss: -0.1 against nothing"


def test_parameters_that_differ_have_dotted_names():
    one = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": 0.0}
    other = {"a": {"b": 1, "c": [1, 3]}, "d": None, "e": -0.0, "f": {"g": None}}
    assert list(differing([one, other])) == ["a.c", "e", "f.g"]
    assert differing([one, other, one])["a.c"] == [[1, 2], [1, 3], [1, 2]]
    assert differing([one, one]) == {}


def test_same_task_whatever_seeds_are_listed():
    one = {"code_hash": "c", "params": {"agent": {"a": 1}, "seeds": [1], "gate": {"after_minutes": 1}}, "seed": 1}
    assert same_task(one, one | {"seed": 2, "params": one["params"] | {"seeds": [2], "gate": {}}})
    assert not same_task(one, one | {"params": one["params"] | {"agent": {"a": 2}}})
    assert not same_task(one, one | {"code_hash": "d"})
    assert not same_task(one, one | {"preferences": "data/x"})


def test_circumstances_of_an_old_record():
    assert circumstances({"versions": {"torch": "2.6"}})["torch"] == "2.6"


def test_files_that_differ(repository):
    one = snapshot_code(repository).name
    (repository / "src/repro/agent.py").write_text("learning_rate = 1\nclip = 2\n")
    (repository / "src/repro/new.py").write_text("x = 1\n")
    (repository / "src/repro/image").write_bytes(b"\xff\xfe")
    (repository / "requirements.lock").write_text("numpy\n")
    other = snapshot_code(repository).name
    (repository / "runs/.snapshots" / one / "src/repro/__pycache__").mkdir()
    (repository / "runs/.snapshots" / one / "src/repro/__pycache__/agent.pyc").write_bytes(b"x")
    changes = code_changes.changed_files(repository, one, other)
    assert {change.name: str(change) for change in changes} == {
        "requirements.lock": "new, +1 -0",
        "src/repro/agent.py": "+1 -0",
        "src/repro/image": "not text",
        "src/repro/new.py": "new, +1 -0",
    }
    assert changes[1].diff[:2] == ["--- a/src/repro/agent.py", "+++ b/src/repro/agent.py"]
    assert changes[1].diff[-1] == "+clip = 2"
    assert str(code_changes.changed_files(repository, other, one)[3]) == "deleted, +0 -1"
