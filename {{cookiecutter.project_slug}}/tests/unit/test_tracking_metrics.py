"""metrics.jsonl: strict JSON, whole rows whatever happens, and one clear line when it cannot be written or read."""

import itertools
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import repro
from repro.reading import UserError
from repro.tracking.metrics import MetricsWriter, read_last_row, read_metrics

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}


def test_values_come_back_exactly_and_as_strict_json(tmp_path):
    path = tmp_path / "metrics.jsonl"
    row = {"env_step": 512, "a": 0.1 + 0.2, "nan": math.nan, "inf": math.inf, "minus": -math.inf, "tiny": 5e-324}
    scalars = {"np32": np.float32(0.1), "np64": np.int64(2**53 + 1), "torch": torch.tensor(0.25)}
    with MetricsWriter(path) as writer:
        writer.write(row | scalars)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    json.loads(path.read_text(), parse_constant=refuse)
    (back,) = read_metrics(path)
    assert math.isnan(back.pop("nan"))
    row.pop("nan")
    assert back == row | {"np32": float(np.float32(0.1)), "np64": 2**53 + 1, "torch": 0.25}
    assert list(back)[:2] == ["env_step", "a"]


@pytest.mark.parametrize("value", ["0.5", None, True, [1.0], np.zeros(2), torch.zeros(2), np.True_, 1j])
def test_what_is_not_a_number_is_refused_by_name_and_leaves_no_row(tmp_path, value):
    with MetricsWriter(tmp_path / "metrics.jsonl") as writer:
        with pytest.raises(TypeError, match="policy/loss: expected a number"):
            writer.write({"env_step": 1, "policy/loss": value})
        assert writer.position() == 0


def test_a_row_needs_env_step(tmp_path):
    with MetricsWriter(tmp_path / "metrics.jsonl") as writer, pytest.raises(ValueError, match="env_step"):
        writer.write({"return/mean": 1.0})


def test_truncating_to_a_position_forgets_what_came_after(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricsWriter(path) as writer:
        writer.write({"env_step": 1})
        position = writer.position()
        before = path.read_bytes()
        writer.write({"env_step": 2})
    with MetricsWriter(path) as writer:  # the resumed process
        writer.truncate(position)
        assert path.read_bytes() == before
        writer.write({"env_step": 3})
        with pytest.raises(UserError, match=r"metrics\.jsonl.*checkpoint says 9999"):
            writer.truncate(9999)
    assert [row["env_step"] for row in read_metrics(path)] == [1, 3]


def write_rows(path, count, returns_every):
    rows = [{"env_step": step} | ({"return/mean": 1.0} if step % returns_every == 0 else {}) for step in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("torn", ["", '{"env_st'])
def test_of_a_long_file_so_many_rows_are_read_evenly_spread_to_the_last(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    for count in (1, 9, 10):
        write_rows(path, count, 1)
        path.write_text(path.read_text() + torn)
        assert read_metrics(path, 10) == read_metrics(path)
    for count in (11, 12, 1000):
        write_rows(path, count, 1)
        path.write_text(path.read_text() + torn)
        steps = [row["env_step"] for row in read_metrics(path, 10)]
        assert len(steps) == len(set(steps)) == 10 and steps == sorted(steps)
        assert (steps[0], steps[-1]) == (0, count - 1)
    assert max(b - a for a, b in itertools.pairwise(steps)) == 111  # of 999 in nine


def test_of_rows_in_which_few_episodes_end_those_are_read(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 1000, 7)
    rows = read_metrics(path, 10)
    assert all("return/mean" in row for row in rows[:-1]) and rows[-1]["env_step"] == 999
    write_rows(path, 1000, 500)  # too few of them: others too
    rows = read_metrics(path, 10)
    assert len(rows) == 10 and sum("return/mean" in row for row in rows) == 2


def test_a_damaged_line_that_is_read_is_named_by_its_number(tmp_path):
    path = tmp_path / "metrics.jsonl"
    write_rows(path, 1000, 1)
    path.write_text(path.read_text().replace('"env_step": 999', '"step": 999'))
    with pytest.raises(UserError, match="line 1000: not a row of metrics"):
        read_metrics(path, 10)


@pytest.mark.parametrize("torn", [b'{"env_step":2,"a"', b"{", b"\0\0\0\0", b'{"env_step":2,"long":"' + b"x" * 200_000])
def test_a_torn_last_line_is_ignored_by_readers_and_removed_by_the_next_writer(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"env_step":1}\n' + torn)
    assert read_metrics(path) == [{"env_step": 1}]
    if len(torn) < 1000:
        assert read_last_row(path) == {"env_step": 1}
    with MetricsWriter(path) as writer:
        writer.write({"env_step": 3})
    assert path.read_bytes() == b'{"env_step":1}\n{"env_step":3}\n'
    assert read_last_row(path) == {"env_step": 3}


def test_a_file_of_one_torn_line_is_empty(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"env_')
    assert read_metrics(path) == []
    assert read_last_row(path) is None
    with MetricsWriter(path) as writer:
        assert writer.position() == 0


@pytest.mark.parametrize(
    "bad",
    [b'{"env_step":', b"[1, 2]", b'{"loss":1}', b'{"env_step":"x"}', b'{"env_step":1,"loss":[]}', b"", b"\xff\xfe"],
)
def test_a_damaged_middle_line_is_named(tmp_path, bad):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"env_step":1}\n' + bad + b'\n{"env_step":3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2: not a row") as caught:
        read_metrics(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_a_clear_line(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_metrics(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match=r"metrics\.jsonl: the folder .* is gone"):
        MetricsWriter(tmp_path / "gone" / "metrics.jsonl")


def test_a_full_disk_is_one_line_and_leaves_whole_rows(tmp_path):
    def at_most_a_kilobyte():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = (
        "import sys; from pathlib import Path; from repro.reading import UserError\n"
        "from repro.tracking.metrics import MetricsWriter\n"
        "writer = MetricsWriter(Path(sys.argv[1]))\n"
        "try:\n"
        "    while True: writer.write({'env_step': 1, 'loss': 0.123456})\n"
        "except UserError as error: print(error)\n"
    )
    path = tmp_path / "metrics.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", code, path],
        preexec_fn=at_most_a_kilobyte,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert str(path) in done.stdout and "disk is full" in done.stdout and done.stdout.count("\n") == 1
    assert path.read_bytes().endswith(b"\n") and path.stat().st_size > 900
    assert {row["loss"] for row in read_metrics(path)} == {0.123456}


def test_deleting_the_run_folder_is_noticed(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    with MetricsWriter(folder / "metrics.jsonl") as writer:
        writer.write({"env_step": 1})
        shutil.rmtree(folder)
        with pytest.raises(UserError, match=r"metrics\.jsonl: was deleted"):
            writer.write({"env_step": 2})


def test_kill_9_at_any_moment_loses_no_written_row(tmp_path):
    path = tmp_path / "metrics.jsonl"
    code = (
        "import sys; from pathlib import Path; from repro.tracking.metrics import MetricsWriter\n"
        "writer = MetricsWriter(Path(sys.argv[1]))\n"
        "for step in range(10**9):\n"
        "    writer.write({'env_step': step, 'loss': step / 7}); print(step, flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, env=ENVIRONMENT)
    process.stdout.readline()
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    *_, last = process.stdout.read().split()
    process.wait()
    rows = read_metrics(path)
    assert len(rows) >= int(last) + 1 > 10
    assert rows == [{"env_step": step, "loss": step / 7} for step in range(len(rows))]


def test_writing_a_row_costs_microseconds(tmp_path):
    row = {"env_step": 1} | {f"group/metric_{index}": index / 3 for index in range(40)}
    with MetricsWriter(tmp_path / "metrics.jsonl") as writer:
        start = time.perf_counter()
        for _ in range(500):
            writer.write(row)
        assert (time.perf_counter() - start) / 500 < 1e-3
