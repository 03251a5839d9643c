"""Any answers give a sound project or one clear line; `make fuzz` does the same with thousands of sets."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Generator
from fuzz import CODE, answer_sets, check_for_real, drawn
from hypothesis import HealthCheck, given, settings
from rendering import ENVIRONMENT, all_answers, check

SOME = drawn(6)
AWKWARD = {"project_slug": "dot", "paper_url": "https://x.org/?a&copy;", "dvc_remote": "../data"} | dict.fromkeys(
    ("project_name", "author", "paper_title"), '"quoted" \\ *starred* {{ 7 }}'
)


@settings(max_examples=200, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(answer_sets())
def test_a_set_of_answers_gives_a_sound_project_or_one_line(answers: dict[str, str]):
    check(answers)


@pytest.mark.parametrize("text", CODE)
def test_what_looks_like_code_is_text_wherever_it_comes_from(text: str):
    given = {"project_name": text, "author": text, "paper_title": text, "project_slug": "dot"}
    assert check(given) is None
    answers = all_answers({"wandb_entity": "e"} | given)
    assert {answers["project_name"], answers["author"], answers["paper_title"]} == {text}


@pytest.mark.parametrize("filter_name", ["in_quotes", "markdown", "hook_literal", "paper_link", "dvc_url"])
def test_the_checks_see_an_answer_that_is_written_as_it_is(monkeypatch: pytest.MonkeyPatch, filter_name: str):
    answers = AWKWARD | ({"paper_url": "1706.03741"} if filter_name == "paper_link" else {})
    assert check(answers) is None
    monkeypatch.setitem(ENVIRONMENT.filters, filter_name, str)
    with pytest.raises((AssertionError, ValueError, SyntaxError)):
        check(answers)


@pytest.mark.parametrize("number", range(6))
def test_the_command_does_what_is_rendered_in_process(generate: Generator, tmp_path: Path, number: int):
    check_for_real(generate, tmp_path / "out", SOME[number])
