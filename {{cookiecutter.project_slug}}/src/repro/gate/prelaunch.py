"""The pre-launch gate: automatic checks, the questions of `checklists/prelaunch.yaml`, and a prediction.

The prediction follows Rahtz (2018), "Lessons Learned Reproducing a Deep RL Paper": imagine that the run failed; if
that is no surprise, name what went wrong and fix it, or accept it for a reason; again, until it would be one.

A passed gate is stored as `runs/.gate/<key>.json`, where the key stands for code and parameters (not seeds), so that
the stages and queued runs of a sweep find it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro.config import Config
from repro.files import make_folder, write_json
from repro.gate.checklist import RESPONSES, SURPRISE, SURPRISED_ENOUGH, Checklist, read_answers, read_checklist
from repro.gate.dialogue import Dialogue
from repro.preflight.checks import CheckResult, run_checks
from repro.reading import UserError, parse_json
from repro.terminal.text import counted, plain, print_wrapped
from repro.tracking.durations import format_hours, now
from repro.tracking.parameters import digest, effective_params

Record = dict[str, Any]
NOTHING_LOST = "nothing was started, and the answers are kept for the next time"


def launched_params(config: Config) -> Record:
    """The parameters of the run itself, where `auto` is what it comes to on this machine. Raises UserError."""
    if "auto" not in (config.training.device, config.training.precision):
        return config.model_dump(mode="json")
    from repro.device import resolve_auto

    return resolve_auto(config)


def key_of(code_hash: str, params: Record) -> str:
    """16 hex digits that stand for code and effective parameters, in which nothing is `auto`."""
    return digest([code_hash, effective_params(params)])


def find_pass(root: Path, key: str) -> Record | None:
    """The stored record of a passed (or skipped) gate, if there is one. Raises UserError if it is damaged."""
    path = _pass_path(root, key)
    try:
        record = parse_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and pass the gate again") from None
    if not isinstance(record, dict) or record.get("gate_key") != key or not _is_pass(record):
        raise UserError(f"{path}: not the record of a passed gate; delete it and pass the gate again")
    return record


@dataclass(frozen=True)
class Given:
    """What is given for the gate with a command, so that it asks less, or nothing."""

    answers: Path | None = None  # a file, written beforehand; see `checklist.write_answers_template`
    skip: str | None = None  # the reason to start without checks and questions; it is recorded
    question: str | None = None  # the answer to the question of that id: not asked, and the file may lack it


def pass_gate(
    root: Path,
    config: Config,
    code_hash: str,
    given: Given,
    estimate_minutes: float,
    *,
    runs: int = 1,
    always: bool = False,
    interactive: bool | None = None,
    ask: Callable[[str], str] = input,
    say: Callable[[str], None] = print_wrapped,
) -> Record:
    """Let a run pass, and return the record to be stored with it; raise UserError if it may not start.

    Args:
        estimate_minutes: of the run, or of all `runs` of a sweep together; up to `gate.after_minutes` nothing is asked.
        always: ask even below the threshold, or again after an earlier pass (`repro prelaunch`).
        interactive: whether a person can be asked; by default, whether stdin is a terminal.

    The record: passed ("below threshold", "answered" or "skipped"), estimate_minutes; above the threshold also
    runs, code_hash, gate_key, decided (ISO time), skip_reason; if answered also question, answers {id: text}, checks
    [{name, passed, seen, reason, remedy, accepted}], prediction {failure_probability, surprise,
    causes [{cause, response, reason}]}.
    """
    check_given(root, config, code_hash, given)
    key = key_of(code_hash, launched_params(config))
    dialogue = earlier = None
    if given.answers is None and not always:
        if estimate_minutes <= config.gate.after_minutes:
            return {"passed": "below threshold", "estimate_minutes": float(f"{estimate_minutes:.3g}")}
        earlier = find_pass(root, key)
        if earlier and given.skip is None:
            say(_earlier_line(earlier))
            return earlier
    if always and given.skip is not None:
        answered = find_pass(root, key)
        if answered and answered["passed"] == "answered":  # whose answers and prediction nothing else may hold yet
            say(_earlier_line(answered))
            return answered
    record: Record = {
        "passed": "answered",
        "estimate_minutes": float(f"{estimate_minutes:.3g}"),
        "runs": runs,
        "code_hash": code_hash,
        "gate_key": key,
        "skip_reason": None,
    }
    if given.skip is not None:
        record |= {"passed": "skipped", "skip_reason": given.skip.strip()}
    elif given.answers is not None:
        record |= _pass_by_file(root, config, code_hash, given.answers, given.question, say)
    elif sys.stdin.isatty() if interactive is None else interactive:
        say("Ctrl-C stops here: nothing is started, and the answers so far are kept for the next time.\n")
        dialogue = Dialogue(_pass_path(root, key).parent, key, ask, say)
        record |= _pass_by_asking(root, config, given.question, dialogue)
    else:
        raise UserError(
            "there is no terminal to ask the pre-launch questions on, and this takes about "
            f"{format_hours(estimate_minutes / 60)} (gate.after_minutes is {config.gate.after_minutes:g}): answer them "
            "before, with repro prelaunch (or repro prelaunch --write-answers FILE, fill it in, --answers FILE), and "
            "start again, dvc repro as well; or give --answers FILE or --skip REASON here"
        )
    record["decided"] = now()
    if given.skip is not None and earlier and earlier["passed"] == "answered":
        return record  # of this run alone: answers and prediction stay for those that come after it
    path = _pass_path(root, key)
    make_folder(path.parent)
    write_json(path, record)
    if dialogue:
        dialogue.forget()
    return record


def check_given(root: Path, config: Config, code_hash: str, given: Given) -> None:
    """Raise UserError if what is given for the gate will not do; takes no time: it comes before the estimate."""
    if given.answers is not None and given.skip is not None:
        raise UserError("--answers and --skip: give one of them, not both")
    if given.skip is not None and not given.skip.strip():
        raise UserError('--skip: give the reason, e.g. --skip "repeats yesterday\'s run on another machine"')
    if given.answers is not None:
        read_answers(given.answers, read_checklist(root), code_hash, launched_params(config), given.question)


def _pass_by_file(
    root: Path, config: Config, code_hash: str, file: Path, question: str | None, say: Callable[[str], None]
) -> Record:
    """Check what was written beforehand; a failed check needs its reason there."""
    checklist = read_checklist(root)
    answers, prediction, accepted = read_answers(file, checklist, code_hash, launched_params(config), question)
    checks, blocking = _make_checks(root, config, checklist, say)
    if blocked := [name for name in blocking if name not in accepted]:
        problems = "; ".join(f"{name}: {checks[name].seen}; {checks[name].remedy}" for name in blocked)
        names = ", ".join(f"accept.{name}" for name in blocked)
        raise UserError(f"{file}: failed checks: {problems}; or give the reason to start anyway as {names}")
    return _record(answers, prediction, checks, accepted)


def _pass_by_asking(root: Path, config: Config, given: str | None, dialogue: Dialogue) -> Record:
    """Make the checks and ask a person, but for the question that is `given`."""
    checklist, say = read_checklist(root), dialogue.say
    try:
        checks, blocking = _make_checks(root, config, checklist, say)
        accepted = {}
        for number, name in enumerate(blocking, start=1):
            say(f"\nFailed check {number} of {len(blocking)}, {name}.")
            say("To fix it, stop here (Ctrl-C). To start the run all the same, give the reason.")
            accepted[name] = dialogue.reason(f"accept.{name}")
        answers = {}
        for number, question in enumerate(checklist.questions, start=1):
            say(f"\nQuestion {number} of {len(checklist.questions)}: {question.ask}")
            if question.id == "question" and given and given.strip():
                answers[question.id] = given.strip()
                say(f"  {plain(given)}")
                continue
            say(f"  ({question.why})")
            answers[question.id] = dialogue.text(f"answers.{question.id}", "Answer")
        return _record(answers, _ask_prediction(dialogue), checks, accepted)
    except EOFError:
        say("")  # the prompt's line has no end
        raise UserError(f"the pre-launch questions were broken off; {NOTHING_LOST}") from None
    except KeyboardInterrupt:
        say(f"\nstopped; {NOTHING_LOST}")
        raise


def _ask_prediction(dialogue: Dialogue) -> Record:
    causes: list[Record] = []
    say = dialogue.say
    while True:
        number = len(causes) + 1
        again = f", with {counted(len(causes), 'cause')} fixed or accepted" if causes else ""
        say(f"\nPrediction: How surprised would you be if this run failed{again}?")
        surprise = dialogue.choice(f"surprise.{number}", SURPRISE)
        if surprise in SURPRISED_ENOUGH:
            break
        say(f"\nCause {number}: Suppose it has failed. What went wrong, most likely?")
        cause = dialogue.text(f"cause.{number}", "Cause")
        say("Is that fixed, or accepted? (To fix it in code or parameters, stop here, fix it and launch again.)")
        response = dialogue.choice(f"response.{number}", RESPONSES)
        reason = dialogue.text(f"reason.{number}", "How, or why")
        causes.append({"cause": cause, "response": response, "reason": reason})
    say("\nPrediction: How probable is it that this run fails, from 0 to 1?")
    return {"failure_probability": dialogue.probability("failure_probability"), "surprise": surprise, "causes": causes}


def _make_checks(
    root: Path, config: Config, checklist: Checklist, say: Callable[[str], None]
) -> tuple[dict[str, CheckResult], list[str]]:
    """Make the checks that this run needs, and say what each saw: the results, and the names of those that block it."""
    learned = config.reward.source == "learned"
    names = [name for name, rule in checklist.checks.items() if rule.runs == "all" or learned]
    results, blocking = {}, []
    for name, result in run_checks(names, config, root):
        results[name] = result
        if result.passed:
            say(f"ok      {name}: {result.seen}")
            continue
        blocks = checklist.checks[name].failure == "blocks"
        blocking += [name] if blocks else []
        say(f"{'FAILED' if blocks else 'warning':8}{name}: {result.seen}")
        say(f"        why it matters: {result.reason}")
        say(f"        what to do: {result.remedy}")
    return results, blocking


def _record(
    answers: dict[str, str], prediction: Record, checks: dict[str, CheckResult], accepted: dict[str, str]
) -> Record:
    return {
        "question": answers["question"],
        "answers": answers,
        "checks": [
            {"name": name, **dataclasses.asdict(check), "accepted": accepted.get(name)}
            for name, check in checks.items()
        ],
        "prediction": prediction,
    }


def _earlier_line(record: Record) -> str:
    skipped = record["passed"] == "skipped"
    reason = f"; nothing was checked, for this reason: {plain(record['skip_reason'])}" if skipped else ""
    how = "skipped" if skipped else "passed"
    prediction = record.get("prediction")
    told = f"; the run has its prediction, {prediction['failure_probability']:.0%} to fail" if prediction else ""
    return f"The gate was {how} for this code and these parameters on {record['decided'][:10]}{reason}{told}."


def _is_pass(record: Record) -> bool:
    """Whether a stored record says that the gate was passed, when, and for how long a run."""
    skipped = record.get("passed") == "skipped" and isinstance(record.get("skip_reason"), str)
    whole = isinstance(record.get("decided"), str) and isinstance(record.get("estimate_minutes"), int | float)
    return whole and (skipped or record.get("passed") == "answered")


def _pass_path(root: Path, key: str) -> Path:
    return root / "runs" / ".gate" / f"{key}.json"
