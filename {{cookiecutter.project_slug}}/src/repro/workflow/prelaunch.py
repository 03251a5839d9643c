"""The pre-launch gate: automatic checks, the questions of `checklists/prelaunch.yaml`, and a prediction.

The prediction follows Rahtz (2018), "Lessons Learned Reproducing a Deep RL Paper": imagine that the run failed; if
that is no surprise, name what went wrong and fix it, or accept it for a reason; again, until it would be one.

A passed gate is stored as `runs/.gate/<key>.json`, where the key stands for code and parameters (not seeds), so that
the stages and queued runs of a sweep find it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from repro.config import Config, UserError
from repro.files import write_atomic
from repro.preflight.checks import CheckResult, run_checks
from repro.tracking.durations import now
from repro.tracking.parameters import effective_params
from repro.tracking.text import plain
from repro.workflow.budget import machine_of, read_budget
from repro.workflow.checklist import ENOUGH, RESPONSES, SURPRISE, Checklist, read_answers, read_checklist

Record = dict[str, Any]
BRIEF_MINUTES = 1.0  # what a run may take without a word


def gate_key(code_hash: str, config: Config) -> str:
    """16 hex digits that stand for code and parameters, without the seeds and the gate's own threshold.

    They are those of the run itself: `auto` is what it comes to on this machine. Raises UserError if that is unknown.
    """
    if "auto" not in (config.training.device, config.training.precision):
        return key_of(code_hash, config.model_dump(mode="json"))
    from repro.training.device import resolve_auto

    return key_of(code_hash, resolve_auto(config))


def key_of(code_hash: str, params: Record) -> str:
    """The gate's key of runs with these parameters, in which nothing is `auto`."""
    text = json.dumps([code_hash, effective_params(params)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def find_pass(root: Path, key: str) -> Record | None:
    """The stored record of a passed (or skipped) gate, if there is one. Raises UserError if it is damaged."""
    path = _pass_path(root, key)
    try:
        record = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); delete it and pass the gate again") from None
    if not isinstance(record, dict) or record.get("gate_key") != key or "passed" not in record:
        raise UserError(f"{path}: not the record of a passed gate; delete it and pass the gate again")
    return record


def run_gate(
    root: Path,
    config: Config,
    *,
    code_hash: str,
    estimate_minutes: float,
    interactive: bool,
    answers_file: Path | None = None,
    skip_reason: str | None = None,
    always: bool = False,
    question: str | None = None,
    ask: Callable[[str], str] = input,
    say: Callable[[str], None] | None = None,
) -> Record:
    """Let a run pass, and return the record to be stored with it; raise UserError if it may not start.

    Args:
        estimate_minutes: of the run, or of the whole sweep; up to `gate.after_minutes` nothing is asked.
        interactive: whether a person can be asked (stdin is a terminal).
        answers_file: the answers, written beforehand; see `checklist.write_answers_template`.
        skip_reason: start without checks and questions; recorded.
        always: ask even below the threshold, or again after an earlier pass (`repro prelaunch`).
        question: given with the command: it answers the question of that id, which is shown and not asked, or which the
            answers file leaves empty.

    The record: passed ("below threshold", "answered" or "skipped"), estimate_minutes; above the threshold also
    code_hash, gate_key, decided (ISO time), skip_reason; if answered also question, answers {id: text}, checks
    [{name, passed, seen, reason, remedy, accepted}], prediction {failure_probability, surprise,
    causes [{cause, response, reason}]}.
    """
    say = say or print_wrapped
    if answers_file is not None and skip_reason is not None:
        raise UserError("--answers and --skip: give one of them, not both")
    if skip_reason is not None and not skip_reason.strip():
        raise UserError('--skip: give the reason, e.g. --skip "repeats yesterday\'s run on another machine"')
    key = gate_key(code_hash, config)
    if answers_file is None and not always:
        if estimate_minutes <= config.gate.after_minutes:
            return {"passed": "below threshold", "estimate_minutes": float(f"{estimate_minutes:.3g}")}
        if earlier := find_pass(root, key):
            say(_earlier_line(earlier))
            return earlier
    record: Record = {
        "passed": "answered",
        "estimate_minutes": float(f"{estimate_minutes:.3g}"),
        "code_hash": code_hash,
        "gate_key": key,
        "skip_reason": None,
    }
    if skip_reason is not None:
        record |= {"passed": "skipped", "skip_reason": skip_reason.strip()}
    elif answers_file is not None:
        record |= _pass_by_file(root, config, answers_file, code_hash, key, question, say)
    elif interactive:
        record |= _pass_by_asking(root, config, question, ask, say)
    else:
        raise UserError(
            "there is no terminal to ask the pre-launch questions on, and this run takes about "
            f"{estimate_minutes:.0f} minutes (gate.after_minutes is {config.gate.after_minutes:g}): "
            "give --answers FILE (repro prelaunch --write-answers FILE makes one to fill in) or --skip REASON"
        )
    record["decided"] = now()
    path = _pass_path(root, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(record, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace"))
    return record


def say_expected(root: Path, name: str, device: str, minutes: float, runs: int = 1) -> None:
    """Print what a run takes and costs, and all `runs` of its sweep; nothing of one that is over in a minute.

    `device` is "cpu" or "cuda". Raises UserError if budget.yaml cannot be read.
    """
    budget = read_budget(root)
    price = budget.prices.get(machine_of(device))

    def words(minutes: float) -> str:
        duration = f"{round(minutes)} min" if minutes < 120 else f"{minutes / 60:.1f} hours"
        return f"about {duration}" + ("" if price is None else f", {minutes / 60 * price:.2f} {budget.currency}")

    if minutes > BRIEF_MINUTES:
        whole = f"; all {runs} runs of the sweep: {words(runs * minutes)}" if runs > 1 else ""
        print_wrapped(f"{name}: {words(minutes)}{whole}")


def _pass_by_file(
    root: Path,
    config: Config,
    answers_file: Path,
    code_hash: str,
    key: str,
    question: str | None,
    say: Callable[[str], None],
) -> Record:
    """Check what was written beforehand; a failed check needs its reason there."""
    checklist = read_checklist(root)
    answers, prediction, accepted = read_answers(answers_file, checklist, code_hash, key, question)
    checks = _make_checks(root, config, checklist, say)
    blocked = [check for check in checks if _blocks(check, checklist) and check.name not in accepted]
    if blocked:
        problems = "; ".join(f"{check.name}: {check.seen}; {check.remedy}" for check in blocked)
        names = ", ".join(f"accept.{check.name}" for check in blocked)
        raise UserError(f"{answers_file}: failed checks: {problems}; or give the reason to start anyway as {names}")
    return _record(answers, prediction, checks, accepted)


def _pass_by_asking(
    root: Path, config: Config, given: str | None, ask: Callable[[str], str], say: Callable[[str], None]
) -> Record:
    """Ask a person, but for what is `given`. Nothing is stored until the last answer; Ctrl-C leaves all as it was."""
    checklist = read_checklist(root)
    say("Ctrl-C stops here, with nothing started.\n")
    try:
        checks = _make_checks(root, config, checklist, say)
        accepted = {}
        for check in checks:
            if _blocks(check, checklist):
                say(f"\n{check.name} failed. To fix it, stop here. To start the run all the same, give the reason.")
                accepted[check.name] = _ask_text("Reason", ask, say)
        answers = {}
        for question in checklist.questions:
            say(f"\n{question.ask}")
            if question.id == "question" and given and given.strip():
                answers[question.id] = given.strip()
                say(f"  {plain(given)}")
                continue
            say(f"  ({question.why})")
            answers[question.id] = _ask_text("Answer", ask, say)
        return _record(answers, _ask_prediction(ask, say), checks, accepted)
    except EOFError:
        raise UserError("the pre-launch questions were broken off; nothing was started, nothing stored") from None


def _ask_prediction(ask: Callable[[str], str], say: Callable[[str], None]) -> Record:
    causes: list[Record] = []
    while True:
        say("\nHow surprised would you be if this run failed?")
        surprise = _ask_choice(SURPRISE, ask, say)
        if surprise in ENOUGH:
            break
        say("\nSuppose it has failed. What went wrong, most likely?")
        cause = _ask_text("Cause", ask, say)
        say("Is that fixed, or accepted? (To fix it in code or parameters, stop here, fix it and launch again.)")
        response = _ask_choice(RESPONSES, ask, say)
        causes.append({"cause": cause, "response": response, "reason": _ask_text("How, or why", ask, say)})
    say("\nHow probable is it that this run fails, from 0 to 1?")
    return {"failure_probability": _ask_probability(ask, say), "surprise": surprise, "causes": causes}


def _ask_text(prompt: str, ask: Callable[[str], str], say: Callable[[str], None]) -> str:
    while not (text := ask(f"{prompt}: ").strip()):
        say("Write at least a few words; Ctrl-C stops.")
    return text


def _ask_choice(options: Sequence[str], ask: Callable[[str], str], say: Callable[[str], None]) -> str:
    """One of `options`, given by its number or its beginning."""
    say("  " + "   ".join(f"{number} {option}" for number, option in enumerate(options, start=1)))
    while True:
        text = ask("Choose: ").strip().lower()
        matches = [
            option for number, option in enumerate(options, start=1) if text in (str(number), option[: len(text)])
        ]
        if len(matches) == 1:
            return matches[0]
        say(f"Type a number from 1 to {len(options)}, or the beginning of one of the words.")


def _ask_probability(ask: Callable[[str], str], say: Callable[[str], None]) -> float:
    while True:
        text = ask("Probability: ").strip()
        try:
            if 0 <= float(text) <= 1:
                return float(text)
        except ValueError:
            pass
        say("Write a number between 0 (cannot fail) and 1 (is bound to fail), e.g. 0.2.")


def _make_checks(root: Path, config: Config, checklist: Checklist, say: Callable[[str], None]) -> list[CheckResult]:
    """Make the checks that this run needs, and say what each saw."""
    learned = config.reward.source == "learned"
    names = [name for name, rule in checklist.checks.items() if rule.runs == "all" or learned]
    results = []
    for result in run_checks(names, config, root):
        word = "ok" if result.passed else "FAILED" if _blocks(result, checklist) else "warning"
        say(f"{word:8}{result.name}: {result.seen}")
        if not result.passed:
            say(f"        why it matters: {result.reason}")
            say(f"        what to do: {result.remedy}")
        results.append(result)
    return results


def print_wrapped(text: str) -> None:
    """Print a line, wrapped at words and indented as it starts where there is a terminal; whole where there is none."""
    if not sys.stdout.isatty():
        print(text)
        return
    blank, line = text[: len(text) - len(text.lstrip("\n"))], text.strip("\n")
    word = re.match(r"(ok|warning|FAILED)? *", line)
    indent = " " * (word.end() if word else 0)
    wrapped = textwrap.fill(line, shutil.get_terminal_size().columns - 1, subsequent_indent=indent)
    for state, colour in (("ok", "green"), ("warning", "yellow"), ("FAILED", "red")):
        if line.startswith(f"{state} ") and "NO_COLOR" not in os.environ:
            wrapped = typer.style(state, fg=colour, bold=True) + wrapped.removeprefix(state)
    print(blank + wrapped + text[len(blank) + len(line) :])


def _blocks(result: CheckResult, checklist: Checklist) -> bool:
    return not result.passed and checklist.checks[result.name].failure == "blocks"


def _record(
    answers: dict[str, str], prediction: Record, checks: Sequence[CheckResult], accepted: dict[str, str]
) -> Record:
    return {
        "question": answers["question"],
        "answers": answers,
        "checks": [dataclasses.asdict(check) | {"accepted": accepted.get(check.name)} for check in checks],
        "prediction": prediction,
    }


def _earlier_line(record: Record) -> str:
    if record["passed"] == "skipped":
        return f"The gate was skipped for this code and these parameters ({record['skip_reason']})."
    return f"The gate was passed for this code and these parameters on {record['decided'][:10]}."


def _pass_path(root: Path, key: str) -> Path:
    return Path(root) / "runs" / ".gate" / f"{key}.json"
