"""The learning curve of a run in a dozen characters."""

import json
import time

import pytest

from repro.terminal.sparkline import sparkline
from repro.tracking.curves import WHOLE, sample_curve
from repro.worklog.rows import draw_curve


def over_steps(*values):
    return list(enumerate(values))


@pytest.mark.parametrize(
    "curve, last_step, drawn",
    [
        ([], 0, ""),
        ([(0, 5.0)], 0, "▅"),
        (over_steps(0, 1, 2, 3, 4, 5, 6, 7), 7, "▁▂▃▄▅▆▇█"),
        (over_steps(7, 0), 1, "███████▁"),
        (over_steps(*[3] * 50), 49, "▅" * 8),
        (over_steps(-1e308, 0, 1e308), 2, "▁▁▁▁▅▅▅█"),
        ([(0, 0), (1, 1), (2, 2), (3, 3), (100, 4)], 100, "▁▁▁▁▁▁▁█"),  # by step, not by row
    ],
)
def test_eight_levels_from_least_to_greatest(curve, last_step, drawn):
    assert sparkline(curve, last_step, 8) == drawn


def test_common_scales():
    curve = [(25.0, 0.0), (50.0, 5.0), (75.0, 10.0)]
    assert sparkline(curve, 100, 8, 0.0, 10.0) == "  ▁▁▅▅█"
    assert sparkline(curve, 100, 8, 0.0, 20.0) == "  ▁▁▃▃▅"
    assert sparkline([(1.0, 3.0)], 1, 4, 3.0, 3.0) == "   ▅"
    assert sparkline([(0.0, -1.7e308), (1.0, 1.7e308)], 1, 2, -1.7e308, 1.7e308) == "▁█"
    assert sparkline([], 1, 4, 0.0, 1.0) == ""


def test_values_that_fall_together_are_averaged():
    assert sparkline([(1.0, 0.0), (2.0, 10.0), (99.0, 10.0)], 99, 2, 0.0, 10.0) == "▅█"


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_return_is_drawn_else_the_first_metric(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert draw_curve(path) == ""
    write(path, [{"env_step": i, "time/wall": i, "policy/loss": -i, "other": i} for i in range(8)])
    assert draw_curve(path) == "█▇▇▆▆▅▄▄▃▃▂▁"
    write(path, [{"env_step": 0, "policy/loss": 1}, {"env_step": 1, "return/mean": "NaN"}])
    assert draw_curve(path) == ""
    write(path, [{"env_step": 0, "policy/loss": 1}, {"env_step": 1, "return/mean": 3}])
    assert draw_curve(path).strip() == "▅"
    write(path, [{"env_step": 0, "time/wall": 1}])
    assert draw_curve(path) == ""


def test_damage_is_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    values = ("1", "[1]", '"x"', "NaN", "2")
    rows = [f'{{"env_step": {step}, "return/mean": {value}}}' for step, value in enumerate(values)]
    path.write_text("\n".join([*rows, "\0\0", "[1]", '{"env_step": 3, "return/me']))
    assert draw_curve(path) == "▁▁▁▁▁▁▁▁▁▁▁█"
    path.unlink()
    path.mkdir()
    assert draw_curve(path) == ""


def test_of_a_large_file_metrics_that_few_rows_have_are_found_to_the_last(tmp_path):
    path = tmp_path / "metrics.jsonl"
    rows = [{"env_step": step, "value/loss": 0.1, "x" * 400: 0} for step in range(2_000)]
    for row in rows[15::16]:
        row["return/mean"] = row["env_step"]
    write(path, rows)
    assert path.stat().st_size > 3 * WHOLE
    points = sample_curve(path, "return/mean")
    assert points[0] == (15, 15) and points[-1] == (1999, 1999) and len(points) > 80
    assert points == sorted(set(points))


def test_of_a_large_file_only_a_part_is_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    padding = "x" * 5_000
    with open(path, "w") as file:
        for step in range(20_000):
            file.write(json.dumps({"env_step": step, "return/mean": step, padding: 0}) + "\n")
    assert path.stat().st_size > 50 * WHOLE
    start = time.perf_counter()
    assert draw_curve(path) == "▁▁▂▃▃▄▅▅▆▇██"
    assert time.perf_counter() - start < 0.5
