"""Checks every answer before the project is made; a bad one is reported in one line, and nothing is left behind.

Standard library only. The tests import this file as it stands.
"""

from __future__ import annotations

import json
import posixpath
import re
import sys
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

ANSWERS = "{{ cookiecutter | hook_literal }}"  # JSON; the only line that cookiecutter renders

MAX_LENGTH = 200
PRESETS = (
    "moving-dot",
    "moving-dot-off-centre",
    "moving-dot-true-reward",
    "moving-dot-continuous",
    "moving-dot-small",
    "cartpole-preferences",
    "cartpole",
    "cartpole-a2c",
    "cartpole-vpg",
    "cartpole-trpo",
    "cartpole-dqn",
    "acrobot",
    "frozenlake",
    "frozenlake-dqn",
    "pendulum",
    "pendulum-ddpg",
    "inverted-pendulum",
    "half-cheetah",
    "half-cheetah-preferences",
    "hopper",
    "pong",
    "pong-preferences",
    "breakout",
)
WANDB_MODES = ("auto", "online", "offline", "disabled")
LICENSES = ("MIT", "BSD-3-Clause", "Apache-2.0", "Proprietary")
CHOICES = {"preset": PRESETS, "wandb_mode": WANDB_MODES, "license": LICENSES}  # by name, or number in the menu
REMOTE_SCHEMES = ("s3", "gs", "azure", "ssh", "http", "https", "webdav", "webdavs")
# Invisible characters that change the order in which what follows them is shown, be it a licence or a line of code.
BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
WINDOWS_DEVICES = r"con|prn|aux|nul|(com|lpt)[1-9]"  # Windows refuses them as names of folders


# Each check returns what to do about a bad value, or None for a good one.


def check_text(value: str) -> str | None:
    """Any readable text on one line: quotes, accents, braces and emoji are all welcome."""
    if not any(unicodedata.category(character)[0] in "LNPS" for character in value):
        return "must not be empty"
    if value != value.strip():
        return "remove the spaces around it"
    return check_characters(value)


def check_characters(value: str) -> str | None:
    """No control characters, line breaks or broken Unicode, which no file format would carry unharmed."""
    if len(value) > MAX_LENGTH:
        return f"shorten it to {MAX_LENGTH} characters"
    for character in value:
        # The last two of each plane are no characters, and YAML refuses them.
        broken = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or ord(character) & 0xFFFE == 0xFFFE
        if broken or character in BIDI_CONTROLS:
            return f"remove the character U+{ord(character):04X}: one line of plain text is needed"
    return None


def check_slug(value: str) -> str | None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) or len(value) > 64:
        return "use at most 64 lower-case letters, digits and single dashes between them, e.g. moving-dot"
    if re.fullmatch(WINDOWS_DEVICES, value):
        return f"Windows has a device of this name; try {value}-reproduction"
    return None


def check_email(value: str) -> str | None:
    atom = r"[A-Za-z0-9!#$%&'*+/=?^_`|~-]+"
    if not re.fullmatch(rf"{atom}(\.{atom})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", value):
        return "write an address such as name@example.com"
    return check_characters(value)


def check_paper_url(value: str) -> str | None:
    arxiv_id = re.fullmatch(r"(?i:arxiv:)?(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?", value)
    url = re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?(/[^\s\"'<>()\[\]\\`]*)?", value)
    if not arxiv_id and not url:
        return "write an arXiv id such as 1706.03741, or a URL that starts with https://"
    return check_characters(value)


def check_wandb_entity(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", value):
        return "use letters, digits, dashes and underscores, or leave it empty for your default entity"
    return None


def check_wandb_project(value: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", value):
        return "use at most 128 letters, digits, dots, dashes and underscores"
    return None


def check_dvc_remote(value: str, slug: str) -> str | None:
    """A folder outside the project (inside it, git would see the data) or a URL of a scheme that DVC knows."""
    if not re.fullmatch(r"[A-Za-z0-9._/:@+= -]+", value) or value != value.strip() or len(value) > MAX_LENGTH:
        return "use letters A-Z, digits, spaces and . _ - / : @ + =, e.g. ../dvc-remote (write ~ out in full)"
    scheme, separator, location = value.partition("://")
    if separator:
        if scheme not in REMOTE_SCHEMES or not location:
            return f"use a folder or a URL of one of {', '.join(REMOTE_SCHEMES)}, e.g. s3://bucket/path"
        return None
    if ":" in value:
        return "a folder's name must not hold a colon; a URL starts with scheme://"
    if posixpath.isabs(value):
        return None if posixpath.normpath(value) != "/" else "name a folder below /"
    parts = posixpath.normpath(value).split("/")
    if parts[0] != ".." or parts[-1] == ".." or parts[:2] == ["..", slug]:
        return "the folder must lie outside the project, e.g. ../dvc-remote"
    return None


def one_of(choices: tuple[str, ...]) -> Callable[[str], str | None]:
    return lambda value: None if value in choices else f"choose one of {', '.join(choices)}"


CHECKS: dict[str, Callable[[str], str | None]] = {
    "project_name": check_text,
    "project_slug": check_slug,
    "author": check_text,
    "email": check_email,
    "paper_title": check_text,
    "paper_url": check_paper_url,
    "preset": one_of(CHOICES["preset"]),
    "wandb_entity": check_wandb_entity,
    "wandb_project": check_wandb_project,
    "wandb_mode": one_of(CHOICES["wandb_mode"]),
    "license": one_of(CHOICES["license"]),
}
QUESTIONS = (*CHECKS, "dvc_remote")
NO_TEXT = "write it as text, in quotes"


def find_problem(answers: Mapping[str, Any]) -> str | None:
    """One line naming the first bad field, its value and the fix; None if every answer is good."""
    return next(filter(None, (problem_of(field, answers) for field in QUESTIONS)), None)


def problem_of(field: str, answers: Mapping[str, Any]) -> str | None:
    """The same of one field."""
    value = answers.get(field, "")
    if not isinstance(value, str):
        fix = NO_TEXT
    elif field == "dvc_remote":
        fix = check_dvc_remote(value, str(answers.get("project_slug", "")))
    else:
        fix = CHECKS[field](value)
    return refusal(field, value, fix) if fix else None


def refusal(field: str, value: Any, fix: str) -> str:
    """The line about an answer that will not do."""
    return f"{_shown(field)[1:-1]}: {_shown(value)} will not do: {fix}"


def _shown(value: Any) -> str:
    """The value on one line, in ASCII escapes where a terminal could not show it; not all that YAML holds is JSON."""
    text = json.dumps(value, ensure_ascii=not value.isprintable()) if isinstance(value, str) else ascii(value)
    return text if len(text) <= 80 else text[:77] + "..."


def main() -> None:
    problem = find_problem(json.loads(ANSWERS))
    if problem:
        sys.exit(problem)


if __name__ == "__main__":
    main()
