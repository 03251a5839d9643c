"""Answers that nobody expects: thousands of sets are rendered in process, some generated for real.

python tests/fuzz.py [--sets N --seed N]     (make fuzz) writes docs/results/fuzz.md; test_any_input.py has fewer sets

Each must give a project in which every answer means what was typed, or be refused in one line that names the answer.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import yaml
from conftest import ROOT, Generator, choices, contents
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from rendering import FILES, Refused, all_answers, check, render

RESULT = ROOT / "docs/results/fuzz.md"
SETS = 2000
GENERATED = 50
SEED = 20261122

CODE = (
    "{{ 7 * 7 }}",
    "{% for x in y %}",
    "{# hidden",
    "}}",
    "{% endraw %}",
    "{{ lipsum.__globals__['os'].system('touch PWNED') }}",
    "{{ cookiecutter.__class__.__base__.__subclasses__() }}",
    "{{ cookiecutter.nothing }}",
    "$(touch PWNED)",
    "`touch PWNED`",
    "; touch PWNED #",
    "| touch PWNED",
    "${HOME}",
    "%(x)s %s {0} {x!r}",
    '" + __import__("os").system("touch PWNED") + "',
    "'''",
    '"""',
    "!!python/object/apply:os.system ['touch PWNED']",
    "<script>alert(1)</script>",
)
BREAKERS = (
    *("\n", "\r\n", "\t", "\0", "\x1b[31m", "\x7f", "\x85", "\u2028", "\ud83d", "\uffff", "\U0001fffe"),
    *("\\", "\\n", '\\"', "\\u0000", "\\x", '"', "'", "#", "# ", "---", "...", ": ", "- ", "? ", "&anchor", "*alias"),
    *("%YAML 1.1", "[table]", "key = 1", "|", ">", "~", "null", "true", "0x10", "1e3", "=", ",", "{", "}", "@", "!"),
    *("**", "_", "[a](b)", "](", ")", "<b>", "</a>", "&copy;", "&#99999999999999999999;", "&#x41;", "![", "$x$", "==="),
    *("🤖", "👩‍🔬", "🏳️‍🌈", "é", "e\u0301", "日本語", "שלום", "مرحبا", "\u200f", "\u202e", "\u2066", "\u200b", "\ufeff"),
    *("-", "--help", "-o", "/", "..", "../", "../../etc/passwd", "/etc/passwd", "C:\\", "con", "nul", ".git", "~root"),
    *(" ", "\u00a0", "\u3000", "x" * 199, "🤖" * 101, "x" * 5000, "a b" * 60),
)
PATHS = ("..", ".", "../evil", "a/b", "/tmp/x", "a\\b", "con", "lpt1", "-x", "x-", "a--b", "A", "x" * 65, "a\n", ".git")
REMOTES = (
    *(
        "../dvc-remote",
        "../with space/x",
        "../../shared",
        "/data/dvc",
        "s3://bucket/path",
        "ssh://me@host.example:22/data",
    ),
    *("../x/../y", ".././z/", "../-x", "../a=b", "azure://c/p", "https://host/x", "webdavs://host/a b", "gs://b"),
    *("/", "//", "..", "data", "./data", "~/data", "../a#b", "../%d", '../"a"', "ftp://host/x", "s3://", "../a\nb"),
)
URLS = (
    "1706.03741",
    "arXiv:1706.03741v4",
    "cs/0112017",
    "https://x.org/{a}_b*c*?d=1&copy;e=%20%zz#~f|g$h$",
    "http://é.org",
)

hostile = st.lists(st.sampled_from(CODE + BREAKERS) | st.text(max_size=12), min_size=0, max_size=5).map("".join)
printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
title = st.lists(st.sampled_from(CODE) | printable, min_size=1, max_size=4).map(" ".join)
slug = st.from_regex(r"[a-z0-9]{1,12}(-[a-z0-9]{1,6}){0,3}", fullmatch=True)
email = st.from_regex(r"[A-Za-z0-9.!#$%&'*+/=?^_`|~-]{1,12}@[a-z0-9-]{1,8}\.[a-z]{2,3}", fullmatch=True)
url = st.from_regex(r"https?://[a-z0-9.-]{1,20}/[!#-&*-;=?-Z^_a-~]{0,30}", fullmatch=True)
USUAL = {
    "project_name": title,
    "project_slug": slug,
    "author": title,
    "email": email,
    "paper_title": title,
    "paper_url": url | st.sampled_from(URLS),
    "wandb_entity": st.from_regex(r"[A-Za-z0-9_-]{0,12}", fullmatch=True),
    "wandb_project": st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True),
    "dvc_remote": st.sampled_from(REMOTES),
}
CHOICES = {name: st.sampled_from(options) for name, options in choices().items()}
MISTYPED = ("mving-dot", "Moving-dot", "moving-dot ", "cartpole,pong", "mit", "MIT-0", "on", "0", "2", "-1", "24", "٣")


@st.composite
def answer_sets(draw: st.DrawFn) -> dict[str, str]:
    """Some of the questions answered; half of the sets have hostile text in up to two answers."""
    answers = draw(st.fixed_dictionaries({}, optional=USUAL | CHOICES))
    spoiled = draw(st.just([]) | st.lists(st.sampled_from(sorted(USUAL | CHOICES)), min_size=1, max_size=2))
    return answers | {name: draw(hostile | st.sampled_from(PATHS + REMOTES + MISTYPED)) for name in spoiled}


def drawn(number: int, start: int = SEED) -> list[dict[str, str]]:
    """So many different sets."""
    found: dict[str, dict[str, str]] = {}

    @seed(start)
    @settings(max_examples=2 * number, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(answer_sets())
    def collect(answers: dict[str, str]) -> None:
        found.setdefault(json.dumps(answers, sort_keys=True), answers)

    collect()
    return list(found.values())[:number]


def check_for_real(generate: Generator, output: Path, given: dict[str, str]) -> str | None:
    """That the command does with a configuration file what is done in process; returns the refused field.

    A file holds what no command line can: line breaks, characters that are none.
    """
    configuration = generate.home / "answers.yaml"
    configuration.write_text(yaml.safe_dump({"default_context": given, "replay_dir": str(generate.home / "replay")}))
    done = generate(output, "--config-file", str(configuration))
    assert not [*output.rglob("PWNED"), *Path.cwd().glob("PWNED"), *generate.home.rglob("PWNED")]
    try:
        answers = all_answers(given)
    except Refused as refusal:
        assert done.returncode == 1 and done.stdout == "" and done.stderr == f"{refusal}\n", done.stderr
        assert list(output.iterdir()) == []
        return str(refusal).partition(":")[0]
    assert done.returncode == 0, done.stdout + done.stderr
    (project,) = output.iterdir()
    made = contents(project)
    assert set(made) == FILES
    assert {name: text.encode() for name, text in render(answers).items()}.items() <= made.items()
    assert generate.git(project, "status", "--porcelain") == ""
    return None


def fuzz(number: int, start: int) -> str:
    """Checks so many sets, the first of them for real too; returns the page about it."""
    begun = time.monotonic()
    sets = drawn(number, start)
    refused = Counter(check(answers) for answers in sets)
    seconds = time.monotonic() - begun
    refused_for_real = Counter()
    for answers in sets[:GENERATED]:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder, "home")
            home.mkdir()
            refused_for_real[check_for_real(Generator(home), Path(folder, "out"), answers)] += 1
    made, made_for_real = refused.pop(None), refused_for_real.pop(None)
    rows = "".join(f"| `{field}` | {count} |\n" for field, count in refused.most_common())
    return f"""# Answers that nobody expects

`make fuzz` (Hypothesis, seed {start}): quotes, backslashes, braces, Jinja, shell, line breaks, emoji, right-to-left and
very long text, paths, reserved names, what breaks YAML, TOML and Markdown. Each set must give a sound project, in which
every answer means what was typed, or be refused in one line, with nothing left behind; no answer may be run
([what is checked](../../tests/rendering.py)).

| sets | sound project | refused | failures |
|---|---|---|---|
| {len(sets)} rendered in process, {seconds:.0f} s | {made} | {refused.total()} | 0 |
| {len(sets[:GENERATED])} of them generated for real | {made_for_real} | {refused_for_real.total()} | 0 |

Refused because of

| answer | sets |
|---|---|
{rows}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=SETS)
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    page = fuzz(arguments.sets, arguments.seed)
    RESULT.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
