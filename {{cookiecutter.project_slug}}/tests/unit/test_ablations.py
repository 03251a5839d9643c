"""Ablations: what each changes, that the page tells the same, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
from project import SOURCE, Project

from repro.config import load_config
from repro.config.ablating import ablate, chosen_ablations
from repro.config.ablations import ABLATIONS, Same
from repro.reading import UserError

PAGE = (SOURCE / "docs/ablations.md").read_text()


def whole_method(*overrides):
    """Parameters from which every ablation takes something away."""
    paper = ["preferences.queries=disagreement", "preferences.label_decay_steps=20000", "reward_model.weight_decay=0.1"]
    return load_config(SOURCE / "presets/moving-dot.yaml", [*paper, *overrides])


def shown(name, value):
    if isinstance(value, Same):
        return f"`{name}` to `{value.name}`"
    return f"`{name}: {'null' if value is None else value}`"


def test_the_page_is_the_table():
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (name, ", ".join(shown(*override) for override in ablation.overrides.items()), ablation.finding)
        for name, ablation in ABLATIONS.items()
    ]


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_changes_what_it_says_and_nothing_else(name):
    whole = whole_method()
    ablated, plain = ablate(whole, name).model_dump(), whole.model_dump()
    changed = {
        f"{section}.{field}"
        for section, values in plain.items()
        if isinstance(values, dict)
        for field in values
        if ablated[section][field] != values[field]
    }
    assert changed == ABLATIONS[name].overrides.keys()
    for parameter, value in ABLATIONS[name].overrides.items():
        section, field = parameter.split(".")
        wanted = plain["preferences"]["total_labels"] if isinstance(value, Same) else value
        assert ablated[section][field] == wanted


def test_what_takes_nothing_away_is_refused_or_left_out_of_all():
    uniform = whole_method("preferences.queries=uniform")
    with pytest.raises(
        UserError, match=r'random-queries: takes nothing away: preferences.queries is "uniform" already'
    ):
        ablate(uniform, "random-queries")
    chosen, notes = chosen_ablations(uniform, ["all"])
    assert list(chosen) == ["none", *(name for name in ABLATIONS if name != "random-queries")]
    assert chosen["none"] == uniform and chosen["no-ensemble"].reward_model.members == 1
    assert notes == ['random-queries: takes nothing away: preferences.queries is "uniform" already']
    with pytest.raises(UserError, match="takes nothing away"):
        chosen_ablations(uniform, ["random-queries", "all"])


def test_some_are_chosen_in_the_order_of_the_table():
    chosen, notes = chosen_ablations(whole_method(), ["no-noise-term", "none", "random-queries"])
    assert (list(chosen), notes) == (["none", "random-queries", "no-noise-term"], [])


@pytest.mark.parametrize(
    ("name", "overrides", "said"),
    [
        ("no-ensembel", (), "no such ablation; did you mean 'no-ensemble'"),
        ("no-ensemble", ("reward.source=environment",), "is of learned rewards, but reward.source is environment"),
    ],
)
def test_others_are_refused(name, overrides, said):
    with pytest.raises(UserError, match=said):
        ablate(whole_method(*overrides), name)
    with pytest.raises(UserError, match=said):
        chosen_ablations(whole_method(*overrides), [name])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ("preferences.queries=disagreement", "reward_model.members=1"),
            "disagreement needs reward_model.members of 2 at least; write uniform, or entropy",
        ),
        (
            ("preferences.annotator=person", "reward_model.target=true_return"),
            "true_return is what only an oracle knows",
        ),
        (("seeds.ablations=[no-ensembel]",), "'no-ensembel' is none; did you mean 'no-ensemble'?"),
    ],
)
def test_parameters_that_cannot_go_together_are_refused(overrides, said):
    with pytest.raises(UserError, match=re.escape(said)):
        whole_method(*overrides)


def test_a_cell_of_an_ablation_is_a_level_of_its_own(project: Project):
    """The commands of dvc.yaml, by hand."""
    of_ablation = ("--ablation", "no-ensemble", "--seed", "100")
    project.does("prefs", "collect", *of_ablation)
    assert (project.root / "data/tiny/no-ensemble/seed-100/meta.json").exists()
    project.does("train", "--cell", *of_ablation, "--question", "is it needed?")
    project.does("evaluate", "--cell", *of_ablation)
    cell = json.loads((project.root / "results/cells/tiny/no-ensemble/seed-100.json").read_text())
    assert (cell["experiment"], cell["ablation"], cell["seed"]) == ("tiny", "no-ensemble", 100)
    assert (project.root / "results/curves/tiny/no-ensemble/seed-100.jsonl").exists()
    assert project.only_run().record["ablation"] == "no-ensemble"
    (project.root / "README.md").write_text("<!-- results:start -->\n<!-- results:end -->\n")
    project.does("report")
    assert "tiny/no-ensemble" in (project.root / "README.md").read_text()
    line = project.refuses("evaluate", "--cell", "--seed", "100")
    assert "models/tiny/seed-100/run.json: no such file" in line  # not that of the ablation
