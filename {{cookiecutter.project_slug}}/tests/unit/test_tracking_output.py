"""output.log: what was printed, as it reads on paper, with tracebacks and crashes."""

import os
import pty
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import repro
from repro.reading import UserError
from repro.tracking.output import keep_warnings, tee_output

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(repro.__file__).parents[1])}
PROLOGUE = "import sys, time; from pathlib import Path; from repro.tracking.output import tee_output\n"


def run(code, *arguments, **options):
    command = [sys.executable, "-c", PROLOGUE + code, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, **options)


def test_both_streams_reach_the_log_and_the_terminal(tmp_path, capsys):
    path = tmp_path / "output.log"
    path.write_text("first attempt\n")
    with tee_output(path):
        print("to stdout é 😀")
        print("to stderr", file=sys.stderr)
        print("no end", end="")
    print("afterwards")
    assert path.read_text() == "first attempt\nto stdout é 😀\nto stderr\nno end\n"
    assert capsys.readouterr() == ("to stdout é 😀\nno endafterwards\n", "to stderr\n")


def test_warnings_are_kept_and_shown(tmp_path, capsys):
    path = tmp_path / "output.log"
    path.write_text("first attempt\n")
    with pytest.raises(ValueError), keep_warnings(path):
        print("no warning")
        print("warning: é 😀", file=sys.stderr)
        raise ValueError
    assert path.read_text() == "first attempt\nwarning: é 😀\n"
    with keep_warnings(tmp_path / "deleted/output.log"):
        print("warning: the folder is gone", file=sys.stderr)
    with keep_warnings(tmp_path / "silent.log"):
        pass
    assert os.listdir(tmp_path) == ["output.log"]
    assert capsys.readouterr() == ("no warning\n", "warning: é 😀\nwarning: the folder is gone\n")


def test_a_line_is_in_the_file_as_soon_as_it_is_printed(tmp_path):
    path = tmp_path / "output.log"
    with tee_output(path):
        print("now")
        assert path.read_text() == "now\n"


def test_progress_bars_and_colours_leave_one_line(tmp_path):
    code = (
        "from rich.progress import Progress; from rich.console import Console\n"
        "console = Console(force_terminal=True, width=60)\n"
        "with tee_output(Path(sys.argv[1])):\n"
        "    with Progress(console=console, auto_refresh=False) as progress:\n"
        "        task = progress.add_task('train', total=300)\n"
        "        for step in range(300):\n"
        "            progress.update(task, advance=1, refresh=True)\n"
        "            if step == 150: print('a print in between')\n"
        "    for percent in range(101): print(f'\\r{percent}% done', end='')\n"
        "    print()\n"
        "    console.print('[bold red]coloured[/]')\n"
    )
    done = run(code, tmp_path / "output.log")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\x1b[2K") > 250  # the terminal got it all
    lines = (tmp_path / "output.log").read_text().splitlines()
    assert lines[0] == "a print in between"
    assert lines[1].startswith("train ") and "100%" in lines[1]
    assert lines[2:] == ["100% done", "coloured"]


def test_the_terminal_stays_a_terminal(tmp_path):
    main, terminal = pty.openpty()
    code = "with tee_output(Path(sys.argv[1])): print(sys.stdout.isatty(), sys.stderr.isatty(), sys.stdout.fileno())"
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + code, tmp_path / "output.log"],
        env=ENVIRONMENT,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
        timeout=30,
    )
    os.close(terminal)
    shown = os.read(main, 1000)
    os.close(main)
    assert done.returncode == 0 and shown.split() == [b"True", b"False", b"1"]


def test_a_traceback_is_logged_and_the_error_goes_on(tmp_path):
    path = tmp_path / "output.log"
    with pytest.raises(ZeroDivisionError), tee_output(path):
        print("before")
        _ = 1 / 0
    text = path.read_text()
    assert text.startswith("before\nTraceback") and text.endswith("ZeroDivisionError: division by zero\n")
    assert not hasattr(sys.stdout, "_log")


def test_a_user_error_is_logged_as_one_line(tmp_path):
    path = tmp_path / "output.log"
    with pytest.raises(UserError), tee_output(path):
        raise UserError("agent.learning_rate: too large")
    assert path.read_text() == "error: agent.learning_rate: too large\n"


def test_a_crash_of_the_interpreter_leaves_its_stacks(tmp_path):
    code = (
        "import ctypes\n"
        "def train_one_rollout(): ctypes.string_at(0)\n"
        "with tee_output(Path(sys.argv[1])): train_one_rollout()\n"
    )
    done = run(code, tmp_path / "output.log")
    assert done.returncode == -11
    assert "Segmentation fault" in (text := (tmp_path / "output.log").read_text()) and "train_one_rollout" in text


def test_output_of_threads_is_kept(tmp_path):
    path = tmp_path / "output.log"
    code = (
        "import threading\n"
        "with tee_output(Path(sys.argv[1])):\n"
        "    work = lambda: [print(f'{threading.get_ident()} line') for _ in range(200)]\n"
        "    threads = [threading.Thread(target=work) for _ in range(4)]\n"
        "    [thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
    )
    assert run(code, path).returncode == 0
    lines = [line for line in path.read_text().split("\n") if line]
    assert sum(line.count("line") for line in lines) == 800


def test_a_full_disk_is_one_user_error(tmp_path):
    code = (
        "from repro.reading import UserError\n"
        "shown = 0\n"
        "try:\n"
        "    with tee_output(Path(sys.argv[1])):\n"
        "        for shown in range(10**6): print('x' * 99)\n"
        "except UserError as error: print(f'{shown} {error}')\n"
    )
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2050, 2050))  # noqa: E731
    done = run(code, tmp_path / "output.log", preexec_fn=limit)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(f"20 {tmp_path}") and "disk is full" in done.stdout


def test_a_deleted_run_folder_is_one_user_error_and_printing_still_works(tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(UserError, match=r"the folder .* is gone"), tee_output(folder / "output.log"):
        shutil.rmtree(folder)
        try:
            print("met")
        finally:
            print("said all the same")
    assert capsys.readouterr().out == "met\nsaid all the same\n"
    with pytest.raises(UserError, match="is gone"), tee_output(folder / "output.log"):
        pass
