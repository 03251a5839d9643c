"""Preferences outside a database, for DVC and for people: a folder of three files.

`labels.jsonl`: one answer a line, the standing one of each annotator; answers to what was asked once more are marked
`repeat`. `segments.npz`: the segments they name. `meta.json`: what they are of, and what they cost. The same content
gives the same bytes: times of day are those of people's answers only.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from repro.config import Config
from repro.config.base import NonNegativeFloat, Record, parse_record
from repro.files import write_atomic, write_json
from repro.preferences.schema import Answer
from repro.preferences.segments import Segment, load_segments, save_segments
from repro.reading import UserError

FORMAT = 3  # of the folder; one more with every change to it, or to the hash of a segment
REMEDY = "export the preferences again"


def _with_zone(time: str) -> str:
    with suppress(ValueError, OverflowError):
        parsed = datetime.fromisoformat(time)
        if parsed.tzinfo and parsed.astimezone(UTC):
            return time
    raise ValueError("write a time with its zone, such as 2026-11-21T09:30:00+00:00")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds unprintable characters")
    return text


Number = Annotated[int, Field(ge=0, lt=2**63)]  # as a database holds it
Text = Annotated[str, AfterValidator(_printable)]


class _Format(Record):
    """What every version of meta.json says; the first said nothing."""

    format: Number = 1


class _Meta(_Format):
    """meta.json."""

    name: Text
    seed: Number
    env_steps: Number
    labels: Number  # comparisons that somebody answered
    answers: Number  # lines of labels.jsonl
    environment: Text | None


class _Label(Record):
    """A line of labels.jsonl."""

    number: Number
    repeat: bool
    answer: Answer
    annotator: Text
    left: Text
    right: Text
    strategy: Text
    env_step: Number
    latency_seconds: NonNegativeFloat | None
    labelled_at: Number
    created: Annotated[Text, AfterValidator(_with_zone)] | None


def write_export(
    directory: Path, meta: dict[str, Any], labels: Sequence[dict[str, Any]], segments: dict[str, Segment]
) -> None:
    """Write the folder; each file appears whole or not at all. segments: by hash. Raises UserError."""
    counts = {"labels": len({label["number"] for label in labels if not label["repeat"]}), "answers": len(labels)}
    meta = {"format": FORMAT} | meta | counts
    save_segments(directory / "segments.npz", list(segments.values()))
    lines = []
    for label in labels:
        returns = [segments[label[side]].true_return for side in ("left", "right")]
        line = {field: label[field] for field in _Label.model_fields}
        line |= {"repeat": bool(label["repeat"]), "true_returns": returns}
        lines.append(json.dumps(line, ensure_ascii=False) + "\n")
    write_atomic(directory / "labels.jsonl", "".join(lines).encode())
    write_json(directory / "meta.json", meta)


def answers_to_replace(directory: Path) -> list[dict[str, Any]]:
    """The answers in a folder that is about to be written; none if it is no export.

    Raises UserError if they cannot be read, as nobody knows then what would be lost.
    """
    if not (directory / "meta.json").exists():
        return []
    try:
        return read_export(directory)[1]
    except UserError as error:
        raise UserError(
            f"--out {directory}: is not replaced, as it cannot be read ({error}); name a new folder"
        ) from None


def read_export(directory: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Segment]]:
    """Read and check the folder; returns meta, labels, and segments by hash. Raises UserError."""
    meta = read_meta(directory)
    segments = {segment.hash: segment for segment in load_segments(directory / "segments.npz")}
    path = directory / "labels.jsonl"
    labels: list[dict[str, Any]] = []
    answered: set[tuple[Any, ...]] = set()
    for line_number, line in enumerate(_read(path).split("\n")[:-1], start=1):
        place = f"{path}, line {line_number}"
        label = parse_record(_Label, line, place, REMEDY).model_dump()
        for side in ("left", "right"):
            if label[side] not in segments:
                raise UserError(f"{place}: {side} names segment {label[side]}, which segments.npz does not hold")
        given = tuple(label[field] for field in ("number", "repeat", "annotator"))
        if given in answered:
            raise UserError(f"{place}: query {label['number']} is labelled twice by {label['annotator']}")
        answered.add(given)
        labels.append(label)
    if len(labels) != meta["answers"]:
        raise UserError(f"{path}: holds {len(labels)} answers where meta.json says {meta['answers']}")
    return meta, labels, segments


def read_meta(directory: Path) -> dict[str, Any]:
    """The checked `meta.json` of the folder. Raises UserError."""
    path = directory / "meta.json"
    if not path.exists():
        raise UserError(
            f"{directory}: holds no exported preferences (no meta.json); make them with: repro prefs export"
        )
    text = _read(path)
    found = parse_record(_Format, text, str(path), REMEDY).format
    if found != FORMAT:
        remedy = REMEDY if found < FORMAT else "use the newer code that wrote it"
        raise UserError(f"{path}: has format {found}; this code reads format {FORMAT} only; {remedy}")
    return parse_record(_Meta, text, str(path), REMEDY).model_dump()


def run_of_export(meta: dict[str, Any]) -> str:
    """The run under which a database of its own holds an export: one name, so that all answers to it come together."""
    return f"{meta['name']}-seed-{meta['seed']}"


def check_export(config: Config, environment: str, directory: Path, seed: int) -> None:
    """Raise UserError unless the folder holds comparisons that a run with `config` and `seed` can start from.

    environment: what `repro.envs.describe_environment` says of the run's.
    """
    if config.reward.source != "learned":
        raise UserError("--preferences: reward.source is environment, which needs none; leave the option out")
    others = f"repro prefs collect --seed {seed}"  # not to this folder: it may hold a person's work
    if not (directory / "meta.json").exists():
        raise UserError(
            f"{directory}: holds no exported preferences (no meta.json); make them with: {others} --out "
            + shlex.quote(str(directory))
        )
    meta, _, segments = read_export(directory)
    if meta["environment"] != environment:
        raise UserError(
            f"{directory}: holds preferences for {meta['environment']}, not for {environment}; collect others: {others}"
        )
    if meta["labels"] != config.preferences.initial_labels:
        raise UserError(
            f"{directory}: holds {meta['labels']} labels, but preferences.initial_labels is "
            f"{config.preferences.initial_labels}; start with what is there: --set preferences.initial_labels="
            f"{meta['labels']}; or collect others: {others}"
        )
    lengths, wanted = {len(segment) for segment in segments.values()}, config.preferences.segment_steps
    # Short episodes give shorter segments, but hardly all of one length.
    if max(lengths) > wanted or (len(lengths) == 1 and lengths != {wanted}):
        raise UserError(
            f"{directory}: holds segments of {', '.join(map(str, sorted(lengths)))} steps, but "
            f"preferences.segment_steps is {wanted}; collect others: {others}"
        )


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {REMEDY}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if not text.endswith("\n"):
        raise UserError(f"{path}: truncated: its last line has no end")
    return text
