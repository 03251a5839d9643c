"""One run as text: what `repro show` prints."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repro.terminal.text import PIPED, describe_steps, hang, plain, shown_path, width
from repro.tracking.archive import RunFolder, effective_status
from repro.tracking.durations import active_seconds, format_hours, shown_time
from repro.tracking.metrics import read_last_row

INDENT = 11  # columns for the names of entries


def format_run(run: RunFolder, columns: int | None = None) -> str:
    """Everything about one run that a person would ask for; the latest metrics are shown until it ends.

    In lines of at most `columns` (None: PIPED), where words and paths are not longer.
    """
    record, last_row = run.record, read_last_row(run.path / "metrics.jsonl")
    entries = {name: value for name, value in _entries(run, last_row).items() if value not in (None, "", [])}
    lines = [_entry(name, value, columns or PIPED) for name, value in entries.items()]
    metrics = record.get("result_metrics") or last_row  # the former is of more than one row
    return "\n".join(lines + (["", "latest metrics:", *_groups(metrics, columns)] if metrics else []))


def format_remains(path: Path) -> str:
    """What there is in the folder of a run whose run.json cannot be read."""
    files = sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
    last_row = read_last_row(path / "metrics.jsonl")
    lines = [f"run        {plain(path.name)}", "status     unreadable", f"files      {plain(shown_path(path))}"]
    lines += [f"  {plain(name)}" for name in files]
    return "\n".join(lines + (["", "latest metrics:", *_groups(last_row)] if last_row else []))


def _entry(name: str, value: Any, columns: int) -> str:
    """The entry, in as many lines as it takes; of paths and of what a command consists of, nothing is broken."""
    start = f"{name:<{INDENT}}"
    if name == "files":
        return start + plain(value)
    if name == "command":
        return start + f"\n{' ' * INDENT}".join(_shell_lines(value, columns - INDENT))
    return hang(start + plain(value), INDENT, columns)


def _shell_lines(command: Sequence[str], columns: int) -> list[str]:
    """The command in lines of at most so many columns, where its words allow that; a shell takes them as one."""
    lines = [""]
    for word in command:
        longer = f"{lines[-1]} {plain(shlex.quote(word))}".lstrip()
        if lines[-1] and width(f"{longer} \\") > columns:
            lines.append(plain(shlex.quote(word)))
        else:
            lines[-1] = longer
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _entries(run: RunFolder, last_row: Mapping[str, Any] | None) -> dict[str, Any]:
    record, mirror = run.record, run.record.get("wandb") or {}
    status = effective_status(record, run.path)
    seconds = active_seconds(record, last_row, running=status == "running")
    exit_code = record.get("exit_code")
    closed = record.get("closed")
    return {
        "run": record["id"],
        "project": record.get("project"),
        "status": status + (f" (exit code {exit_code})" if exit_code is not None else ""),
        "closed": ": ".join(filter(None, (closed["outcome"], closed.get("cause")))) if closed else None,
        "question": record.get("question"),
        "result": record.get("result"),
        "steps": _steps(record, last_row),
        "evaluation": _scores(record),
        "gate": f"skipped: {record['skip_reason']}" if record.get("skip_reason") else None,
        "prediction": _prediction(record.get("prediction")),
        "stage": record.get("stage"),
        "started": shown_time(record.get("started")),
        "resumed": ", ".join(map(shown_time, record.get("resumed") or ())),
        "ended": shown_time(record.get("ended")),
        "took": format_hours(seconds / 3600) if seconds else None,
        "estimated": _estimated(record),
        "command": record.get("command"),
        "set": ", ".join(record.get("overrides", [])),
        "ablation": record.get("ablation"),
        "cell": record.get("cell"),
        "seed": record["seed"],
        "files": shown_path(run.path),
        "pruned": ", ".join(record.get("pruned", [])),
        "code": f"{record['code_hash']}, commit {shown_commit(record)}",
        "notes": "; ".join(record.get("notes", [])),
        "host": _host(record),
        "versions": _pairs(record.get("versions")),
        "data": _pairs(record.get("data_hashes")),
        "wandb": mirror.get("url") or mirror.get("mode"),
    }


def _steps(record: Mapping[str, Any], last_row: Mapping[str, Any] | None) -> str:
    """Those done, of those planned."""
    done = (record.get("result_metrics") or last_row or {}).get("env_step")
    planned = (record["params"].get("training") or {}).get("total_steps")
    return describe_steps(done, planned) if isinstance(done, int) and isinstance(planned, int) else ""


def _scores(record: Mapping[str, Any]) -> str:
    """Of an evaluation by `repro evaluate`, and which of them is judged."""
    evaluation = record.get("evaluation")
    if not evaluation:
        return ""
    marks = {(record["params"].get("evaluation") or {}).get("actions"): " (judged)"}
    scores = {name: (evaluation.get(name) or {}).get("score") for name in ("sampled", "greedy", "random")}
    known = ", ".join(f"{name} {score:.3f}{marks.get(name, '')}" for name, score in scores.items() if score is not None)
    return f"score {known} over {evaluation.get('episodes', '?')} episodes"


def _prediction(prediction: Mapping[str, Any] | None) -> str:
    """How probable a failure was thought to be before launch, and of what."""
    if not prediction:
        return ""
    causes = [f"{cause['cause']} ({cause['response']}: {cause['reason']})" for cause in prediction.get("causes", [])]
    return "; ".join([f"fails with probability {prediction['failure_probability']:g}", *causes])


def _estimated(record: Mapping[str, Any]) -> str:
    if record.get("estimate_minutes") is None:
        return ""
    labels = record.get("person_labels")
    person = f", a person's {labels:,} labels included" if labels else ""
    return format_hours(record["estimate_minutes"] / 60) + person


def _host(record: Mapping[str, Any]) -> str:
    devices = record.get("devices") or {}
    known = [devices.get("cpu"), *devices.get("gpus", [])]
    return ", ".join([record["host"], f"{devices.get('cores', '?')} cores", *filter(None, known)])


def shown_commit(record: Mapping[str, Any]) -> str:
    """Ten digits of the commit, and whether there were changes; "none" without one."""
    if not record.get("commit"):
        return "none"
    return record["commit"][:10] + (" with changes" if record.get("dirty") else "")


def _groups(metrics: Mapping[str, Any], columns: int | None = None) -> list[str]:
    """An entry for the metrics of each group: `policy/loss` and `policy/entropy` are of one."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in metrics.items():
        group, slash, rest = name.partition("/")
        groups.setdefault(group if slash else "", {})[rest if slash else name] = value
    size = max(map(len, groups))
    return [hang(f"  {group:<{size}}  {plain(_pairs(values))}", size + 4, columns) for group, values in groups.items()]


def _pairs(values: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{name} {_short(value)}" for name, value in (values or {}).items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
