"""Closing a run: how it turned out, why it failed, and whether the prediction made before launch foresaw that.

What is stored with the run, as `closed`: outcome ("succeeded" or "failed"), cause (text or None), foreseen (the number
of the predicted cause, from 0; False if none of them was it; None if not known), by, at (ISO time).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repro.reading import UserError
from repro.terminal.text import plain
from repro.tracking.archive import Record, RunFolder, effective_status
from repro.tracking.durations import now
from repro.tracking.index import judged
from repro.tracking.locks import is_held
from repro.worklog import entries

OUTCOMES = ("succeeded", "failed")
PERSON, CRITERION = "person", "success criterion"


@dataclass(frozen=True)
class Closing:
    """How a run turned out; `foreseen` is the number of a predicted cause, from 0, or False, or None: not known."""

    outcome: str
    cause: str | None = None
    foreseen: int | bool | None = None


def read_closing(
    run: RunFolder,
    outcome: str | None,
    cause: str | None,
    foreseen: str | None,
    ask: Callable[[str], str] | None,
    say: Callable[[str], None] = print,
) -> Closing:
    """The closing of a run from what was typed; `ask` is asked for what is missing, or is None without a terminal.

    Args:
        outcome: "succeeded" or "failed"; the latter goes without saying if one of the next two is given.
        foreseen: the number of a predicted cause, from 1, or "no"; only for a run with a prediction.

    Raises UserError if the run has not ended, for what does not fit together, or for what is missing.
    """
    check_ended(run.path, run.record)
    if outcome not in (None, *OUTCOMES):
        raise UserError(f"--outcome {outcome}: write one of: {', '.join(OUTCOMES)}")
    if outcome == "succeeded" and (cause is not None or foreseen is not None):
        raise UserError("--cause and --foreseen are for runs that failed; leave them out, or give --outcome failed")
    if cause is not None and not cause.strip():
        raise UserError('--cause: is empty; say what went wrong, e.g. --cause "observations were not normalised"')
    if cause is not None or foreseen is not None:
        outcome = "failed"
    if foreseen is not None and not run.record.get("prediction"):
        raise UserError(f"--foreseen {foreseen}: nothing was predicted for {run.id}, so it is not closed; leave it out")
    causes = predicted_causes(run.record)
    number = None if foreseen is None else _foreseen(foreseen, causes)
    missing = _missing(outcome, cause, number, causes)
    if missing and ask is None:
        raise UserError(f"{run.id}: there is no terminal to ask on; give {' and '.join(missing)}")
    if missing and ask is not None:
        say(describe_prediction(run))
        try:
            outcome = outcome or _ask_outcome(ask, say)
            if outcome == "failed" and causes and number is None:
                number = _ask_foreseen(causes, ask, say)
            if outcome == "failed" and cause is None and _no_number(number):
                cause = _ask_cause(ask, say)
        except EOFError:
            raise UserError(f"{run.id}: broken off; the run is not closed") from None
    if outcome == "succeeded":
        return Closing("succeeded")
    if number is None and run.record.get("prediction"):
        number = False  # it named no cause
    return Closing("failed", " ".join((cause or causes[number or 0]).split()), number)


def close_run(root: Path, run: RunFolder, closing: Closing, by: str = PERSON) -> Record | None:
    """Close a run and move its row in the work log to log 4. Returns the closing that this one replaces.

    Where a person has closed the run, the success criterion replaces nothing. Raises UserError if the run has not
    ended (nothing is changed then), or if the page is damaged: the run is closed all the same.
    """
    replaced: list[Record | None] = []

    def change(record: Record) -> Record:
        check_ended(run.path, record)  # again: it may have been resumed meanwhile
        replaced[:] = [record.get("closed")]
        if by == CRITERION and closed_by_person(record):
            return {}
        fields = {"outcome": closing.outcome, "cause": closing.cause, "foreseen": closing.foreseen}
        return {"closed": fields | {"by": by, "at": now()}}

    run.revise(change)
    try:
        entries.enter_result(root, run.record)
    except UserError as error:
        raise UserError(f"{run.id} is closed, but its row in the work log is not: {error}") from None
    return replaced[0]


def close_by_criterion(root: Path, run: RunFolder, evaluation: Record) -> str | None:
    """Hold an evaluated run against its prediction, by `evaluation.success_score`; returns what to say.

    A run without a prediction stays open, one that a person has closed stays as it is; the log has the evaluation.
    """
    if not has_ended(run.path, run.record):
        return None
    if not (run.record.get("prediction") or run.record.get("closed")):
        entries.enter_result(root, run.record)
        return None
    settings = run.record["params"]["evaluation"]
    success = evaluation[settings["actions"]]["score"] >= settings["success_score"]
    close_run(root, run, Closing("succeeded" if success else "failed"), by=CRITERION)
    if closed_by_person(run.record):
        return f"closed: {describe_closing(run.record)}"
    if success:
        return "closed as succeeded"
    foreseen = " --foreseen NUMBER|no" if predicted_causes(run.record) else ""
    return f'closed as failed; say what went wrong: repro close {run.id} --cause "…"{foreseen}'


def against_criterion(record: Record) -> str | None:
    """What to say where a run was closed otherwise than its score says, by the success criterion; None if it was not.

    The score is that of the evaluation, else of the end of training; nothing is said where there is neither.
    """
    settings = record["params"].get("evaluation") or {}
    evaluated = judged(record)
    trained = (record.get("result_metrics") or {}).get("return/score")
    score, wanted = evaluated.get("score", trained), settings.get("success_score")
    if not isinstance(score, int | float) or not isinstance(wanted, int | float):
        return None
    outcome = OUTCOMES[score < wanted]
    if record["closed"]["outcome"] == outcome:
        return None
    where = "evaluated" if evaluated else "at the end of training; not evaluated yet"
    return f"note: by the success criterion it {outcome}: its score is {score:.2f} ({where}), and {wanted:g} is wanted"


def say_withdrawn(record: Record) -> None:
    """Print, before a run goes on, that this takes its closing away, if it is closed."""
    if record.get("closed"):
        was = describe_closing(record)
        print(f"{record['id']}: was closed as {was}; that is withdrawn, close it again when it ends", flush=True)


def check_ended(path: Path, record: Record) -> None:
    """Raise UserError if the run in the folder at `path` is still in progress."""
    if not has_ended(path, record):
        who = f" (process {record['pid']} on {record['host']})" if record["status"] == "running" else ""
        raise UserError(f"{record['id']}: is still {record['status']}{who}; close it when it has ended")


def has_ended(path: Path, record: Record) -> bool:
    """Whether the run in the folder at `path` is neither queued nor done by a process, on whichever machine."""
    status = effective_status(record, path)
    if status == "queued":  # of a job of SLURM only its owner knows whether it was cancelled
        return bool(record.get("slurm_job")) and not is_held(path)
    return status != "running"


def closed_by_person(record: Record) -> bool:
    """Whether a person has said how the run turned out."""
    return (record.get("closed") or {}).get("by") == PERSON


def predicted_causes(record: Record) -> list[str]:
    """What was predicted, before launch, to go wrong."""
    return [cause["cause"] for cause in (record.get("prediction") or {}).get("causes", ())]


def describe_prediction(run: RunFolder) -> str:
    """What a person needs in order to close the run: the question, the result, the prediction, its causes numbered."""
    record = run.record
    lines = [f"{run.id}: {effective_status(record, run.path)}"]
    lines += [f"{name}: {plain(record[name])}" for name in ("question", "result") if record.get(name)]
    prediction = record.get("prediction")
    if not prediction:
        return "\n".join([*lines, "prediction: none was made"])
    lines.append(f"prediction: fails with probability {prediction['failure_probability']:g}; causes that were named:")
    for number, cause in enumerate(prediction["causes"], start=1):
        lines.append(f"  {number} {plain(cause['cause'])} ({cause['response']}: {plain(cause['reason'])})")
    return "\n".join(lines if prediction["causes"] else [*lines, "  none"])


def describe_closing(record: Record, closed: Record | None = None) -> str:
    """A closing in one line: that of the run as it is, or another that it had."""
    closed = closed or record["closed"]
    text = closed["outcome"]
    if closed["cause"]:
        text += f": {closed['cause']}"
    causes = predicted_causes(record)
    if closed["outcome"] == "failed" and closed["foreseen"] is not None:
        foreseen = closed["foreseen"]
        text += " (not foreseen)" if foreseen is False else f" (foreseen as {foreseen + 1} {causes[foreseen]})"
    by = "a person" if closed["by"] == PERSON else "the success criterion"
    return plain(f"{text}, by {by} on {closed['at'][:10]}")


def _foreseen(text: str, causes: list[str]) -> int | bool:
    """`--foreseen` of a run with a prediction: no, or a number from 1."""
    if text.strip().lower() == "no":
        return False
    if not causes:
        raise UserError(f"--foreseen {text}: the prediction of this run names no cause; give no, or leave it out")
    if text.strip().isdecimal() and 1 <= int(text) <= len(causes):
        return int(text) - 1
    listed = "; ".join(f"{number} {cause}" for number, cause in enumerate(causes, start=1))
    raise UserError(f"--foreseen {text}: give no, or the number of a predicted cause: {listed}")


def _missing(outcome: str | None, cause: str | None, number: int | bool | None, causes: list[str]) -> list[str]:
    """The options that still have to be given."""
    missing = []
    if outcome is None:
        missing.append("--outcome succeeded, or --outcome failed with --cause TEXT")
    elif outcome == "failed" and cause is None and _no_number(number):
        missing.append("--cause TEXT")
    if outcome != "succeeded" and causes and number is None:
        listed = "; ".join(f"{number} {name}" for number, name in enumerate(causes, start=1))
        missing.append(f"--foreseen NUMBER|no (predicted: {listed})")
    return missing


def _no_number(foreseen: int | bool | None) -> bool:
    """Whether no predicted cause was named; the first one has the number 0, which equals False."""
    return foreseen is None or foreseen is False


def _ask_outcome(ask: Callable[[str], str], say: Callable[[str], None]) -> str:
    while True:
        text = ask("How did it turn out, succeeded or failed? ").strip().lower()
        matches = [outcome for outcome in OUTCOMES if text and outcome.startswith(text)]
        if matches:
            return matches[0]
        say(f"Write one of: {', '.join(OUTCOMES)}")


def _ask_foreseen(causes: list[str], ask: Callable[[str], str], say: Callable[[str], None]) -> int | bool:
    while True:
        try:
            return _foreseen(ask("Was the cause one of those above? Its number, or no: ") or "nothing", causes)
        except UserError as error:
            say(str(error).removeprefix("--foreseen "))


def _ask_cause(ask: Callable[[str], str], say: Callable[[str], None]) -> str:
    while not (text := ask("What went wrong? ").strip()):
        say("Write at least a few words; Ctrl-C stops, and the run is not closed.")
    return text
