"""The learning curve of a run in a dozen characters."""

import json
import time

import pytest

from repro.tracking.curves import WHOLE
from repro.workflow.sparkline import draw_curve, sparkline


@pytest.mark.parametrize(
    "values, drawn",
    [
        ([], ""),
        ([5.0], "▄"),
        ([1, 2], "▁█"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([7, 0], "█▁"),
        ([3] * 50, "▄" * 12),
        ([-1e308, 0, 1e308], "▁▅█"),
        ([0] * 6 + [1] * 18, "▁▁▁█████████"),
    ],
)
def test_eight_levels_from_least_to_greatest(values, drawn):
    assert sparkline(values) == drawn


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_return_is_drawn_else_the_first_metric(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert draw_curve(path) == ""
    write(path, [{"env_step": i, "time/wall": i, "policy/loss": -i, "other": i} for i in range(8)])
    assert draw_curve(path) == "█▇▆▅▄▃▂▁"
    write(path, [{"env_step": 0, "policy/loss": 1}, {"env_step": 1, "return/mean": "NaN"}])
    assert draw_curve(path) == ""
    write(path, [{"env_step": 0, "policy/loss": 1}, {"env_step": 1, "return/mean": 3}])
    assert draw_curve(path) == "▄"
    write(path, [{"env_step": 0, "time/wall": 1}])
    assert draw_curve(path) == ""


def test_damage_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = ("1", "[1]", '"x"', "NaN", "2")
    rows = [f'{{"env_step": 1, "return/mean": {value}}}' for value in values]
    path.write_text("\n".join([*rows, "\0\0", "[1]", '{"env_step": 3, "return/me']))
    assert draw_curve(path) == "▁█"
    path.unlink()
    path.mkdir()
    assert draw_curve(path) == ""


def test_of_a_large_file_only_a_part_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    padding = "x" * 5_000
    with open(path, "w") as file:
        for step in range(20_000):
            file.write(json.dumps({"env_step": step, "return/mean": step, "padding": padding}) + "\n")
    assert path.stat().st_size > 50 * WHOLE
    start = time.perf_counter()
    assert draw_curve(path) == "▁▁▂▃▃▄▅▆▆▇██"
    assert time.perf_counter() - start < 0.5
