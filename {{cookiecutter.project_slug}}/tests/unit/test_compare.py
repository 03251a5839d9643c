"""`repro compare`: runs side by side."""

import io
import json
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from archive_examples import CONFIG, new_run
from project import here
from rich.console import Console

from repro.reading import UserError
from repro.tracking.archive import finish_run
from repro.views.compare import check_different, print_comparison, short_names
from repro.views.compare_plot import labels, write_plot

RETURNS = (-3.0, 0.0, 3.0, 6.0)
HOSTILE = "why | [red]not[/red] :smile: 🦊 \x1b[31m\nnext"


def with_metrics(run, values=RETURNS, **changes):
    rows = [{"env_step": 256 * (n + 1), "return/mean": value, "time/wall": 1.0} for n, value in enumerate(values)]
    rows[-1] |= changes
    (run.path / "metrics.jsonl").write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))
    return run


def page(root, *runs, width=200, **options):
    out = io.StringIO()
    print_comparison(root, runs, Console(file=out, width=width), **options)
    return out.getvalue()


def row(text, label):
    """The cells of a row of the table."""
    found = [line for line in text.splitlines() if line.strip().startswith(f"{label}  ")]
    assert len(found) == 1, text
    return [cell.strip() for cell in found[0].strip().split("  ") if cell.strip()][1:]


@pytest.fixture
def two(repository):
    return [with_metrics(new_run(repository)) for _ in range(2)]


class TestEqualRuns:
    def verdict(self, repository, *runs):
        return next(line for line in page(repository, *runs).splitlines() if "same code and parameters" in line)

    def test_identical(self, repository, two):
        names = " and ".join(short_names(two))
        assert self.verdict(repository, *two) == f"{names}: same code and parameters, identical metrics."
        text = page(repository, *two)
        assert "Parameters: the same" in text and "Code: the same" in text and "Circumstances: the same" in text

    def test_first_difference_is_named(self, repository, two):
        with_metrics(two[1], **{"return/mean": 6.5})
        verdict = self.verdict(repository, *two)
        assert verdict.endswith("but metrics differ, first at step 1,024, return/mean: 6.0 against 6.5.")

    def test_one_is_not_as_far(self, repository, two):
        with_metrics(two[1], RETURNS[:2])
        end = f"identical metrics before step 768, which {short_names(two)[1]} lacks."
        assert self.verdict(repository, *two).endswith(end)

    def test_one_has_no_metrics(self, repository, two):
        (two[1].path / "metrics.jsonl").unlink()
        assert self.verdict(repository, *two).endswith(f"; {short_names(two)[1]}: no metrics yet.")
        assert f"  {short_names(two)[1]}  " in page(repository, *two)

    def test_another_seed(self, repository, two):
        two[1].update(seed=8)
        text = page(repository, *two)
        assert self.verdict(repository, *two).endswith(", another seed.")
        assert row(text, "seed") == ["7", "8"]

    def test_a_damaged_line_stops_it_before_anything_is_printed(self, repository, two):
        path = two[1].path / "metrics.jsonl"
        path.write_text(path.read_text().replace("{", "[", 1))
        with pytest.raises(UserError, match=r"metrics.jsonl, line 1: not a row of metrics"):
            page(repository, *two)


class TestOtherRuns:
    def test_only_what_differs_is_shown(self, repository, two):
        other = new_run(repository, config=CONFIG | {"agent": {"learning_rate": 3e-4, "clip": 0.1}, "list": [1, 3]})
        other.update(versions=other.record["versions"] | {"torch": "1.0"}, data_hashes={"data/x": "abc"})
        text = page(repository, two[0], other)
        assert row(text, "agent.learning_rate") == ["1e-05", "0.0003"]
        assert row(text, "list") == ["[1, 2]", "[1, 3]"]
        assert row(text, "torch") == [two[0].record["versions"]["torch"], "1.0"]
        assert row(text, "data: data/x") == ["-", "abc"]
        assert "agent.clip" not in text and "numpy" not in text and "same code and parameters" not in text

    def test_results_side_by_side(self, repository, two):
        for run, score in zip(two, (0.853, 0.9), strict=True):
            finish_run(run, "finished", 0, f"return {score}", {"env_step": 1024, "return/mean": score})
            run.update(evaluation={"sampled": {"score": score}, "greedy": {"score": 1.0}, "random": {"score": 0.0}})
        text = page(repository, *two)
        assert row(text, "status") == ["finished", "finished"]
        assert row(text, "result") == ["return 0.853", "return 0.9"]
        assert row(text, "sampled score") == ["0.853", "0.900"]
        assert row(text, "return/mean") == ["0.853", "0.9"]

    def test_files_that_differ_and_their_lines(self, repository, two):
        (repository / "src/repro/agent.py").write_text("learning_rate = 2\n")
        other = new_run(repository)
        text = page(repository, two[0], other)
        first, second = short_names([two[0], other])
        assert f"Code, {first} -> {second}: 1 file\n  src/repro/agent.py  +1 -1\n" in text
        assert row(text, "snapshot") == [two[0].record["code_hash"], other.record["code_hash"]]
        assert "\n-learning_rate = 1\n+learning_rate = 2\n" in page(repository, two[0], other, show_diff=True)

    def test_the_code_of_one_is_gone(self, repository, two):
        (repository / "src/repro/agent.py").write_text("learning_rate = 2\n")
        other = new_run(repository)
        shutil.rmtree(repository / "runs/.snapshots" / other.record["code_hash"])
        text = page(repository, two[0], other)
        assert "cannot be compared:" in text and "no such snapshot" in text and "return/mean over steps" in text

    def test_ids_are_never_split(self, repository, two):
        long = [run.path.rename(run.path.with_name(f"2026-11-21_moving-dot-small_{run.id[-4:]}")) for run in two]
        for run, path in zip(two, long, strict=True):
            run.path = path
        two[1].update(rerun_of=two[0].id)
        text = page(repository, *two, width=80)
        assert text.startswith("".join(f"{run.id[-4:]}  {run.id}\n" for run in two) + "\n")
        assert row(text, "repeats") == ["-", two[0].id[-4:]]

    @pytest.mark.parametrize("width", [80, 200])
    def test_fits_the_terminal(self, repository, two, width):
        third = new_run(repository, question=HOSTILE * 5)
        text = page(repository, *two, third, width=width)
        assert max(map(len, text.splitlines()[:20])) <= width
        assert "\x1b" not in text and "[red]not[/red]" in text

    def test_runs_with_the_same_code_at_the_end_keep_their_ids(self, two):
        moved = two[1].path.rename(two[1].path.with_name(f"other_{two[0].id[-4:]}"))
        two[1].path = moved
        assert short_names(two) == [two[0].id, moved.name]

    def test_named_twice(self, two):
        with pytest.raises(UserError, match=f"{two[0].id}: is named twice"):
            check_different([two[0], two[1], two[0]])


class TestPlot:
    def test_labels_say_what_differs(self, repository, two):
        other = with_metrics(new_run(repository, seed=8, config=CONFIG | {"answer": "$5 & <b>"}))
        names = short_names([two[0], other])
        assert labels([two[0], other]) == [f"{names[0]}, seed 7, answer no", f"{names[1]}, seed 8, answer $5 & <b>"]
        write_plot(repository / "plot.svg", [two[0], other])
        ElementTree.parse(repository / "plot.svg")
        write_plot(repository / "plot.PNG", [two[0], other])
        for name in ("plot.PNG", "plot-dark.PNG"):
            assert (repository / name).read_bytes().startswith(b"\x89PNG")
        assert (repository / "plot.PNG").read_bytes() != (repository / "plot-dark.PNG").read_bytes()

    def test_same_bytes_again(self, repository, two):
        for name in ("one.svg", "other.svg"):
            write_plot(repository / name, two)
        assert (repository / "one.svg").read_bytes() == (repository / "other.svg").read_bytes()

    def test_refused_in_a_line(self, repository, two):
        with pytest.raises(UserError, match=r"--plot plot.pdf: .pdf will not do; let the name end in .png or .svg"):
            write_plot((repository / "plot.pdf").relative_to(repository), two)
        for run in two:
            (run.path / "metrics.jsonl").unlink()
        with pytest.raises(UserError, match="nothing to draw: none of these runs has a return/mean yet"):
            write_plot(repository / "plot.png", two)
        assert not (repository / "plot.png").exists()


class TestCommand:
    def test_mistakes(self, project, monkeypatch, capsys):
        run, other = project.queue(100), project.queue(101)
        code, _, error = here(project, monkeypatch, capsys, "compare", run.id, f"runs/{run.id}")
        assert code == 2 and error == f"error: {run.id}: is named twice; name another run to compare it with\n"
        code, _, error = here(project, monkeypatch, capsys, "compare", run.id, f"{other.id}x")
        assert code == 2 and error == f"error: no run '{other.id}x'; did you mean {other.id}?\n"
        (other.path / "run.json").write_text("{")
        code, out, error = here(project, monkeypatch, capsys, "compare", run.id, other.id)
        assert code == 2 and out == "" and f"runs/{other.id}/run.json: missing or damaged" in error
