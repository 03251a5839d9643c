"""budget.yaml is the user's: what it says is read exactly, and a slip of the pen is one line that names it."""

from __future__ import annotations

import pytest
from user_files import write_budget

from repro.accounts.budget import Stage, read_budget, stage_name
from repro.reading import UserError


@pytest.fixture
def root(tmp_path):
    write_budget(tmp_path)
    return tmp_path


def edit(root, old, new):
    path = root / "budget.yaml"
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))


def test_what_is_planned_is_read(root):
    budget = read_budget(root)
    assert (budget.currency, budget.prices_per_hour, budget.stage) == ("USD", {"cpu": 0.1, "gpu": 1.5}, "debugging")
    assert [stage.name for stage in budget.stages] == [
        "reading",
        "implementing",
        "debugging",
        "tuning",
        "final",
        "writing",
    ]
    assert budget.stages[4] == Stage(
        name="final",
        about="final experiments and ablations",
        machine="cpu",
        compute_hours=200.0,
        person_hours=10.0,
    )


def test_a_person_may_plan_with_machines_and_stages_of_their_own(root):
    edit(root, "  gpu: 1.50", "  big-box: 9\n  gpu: 1.50")
    edit(
        root,
        "{name: final, about: final experiments and ablations, machine: cpu",
        "{name: f2, about: é🎉, machine: big-box",
    )
    edit(root, "USD", "€")
    budget = read_budget(root)
    assert (budget.currency, budget.prices_per_hour["big-box"], budget.stages[4].machine) == ("€", 9.0, "big-box")


def test_the_stage_that_is_booked_to(root):
    budget = read_budget(root)
    assert stage_name(budget, None) == "debugging"
    assert stage_name(budget, "tuning") == "tuning"
    with pytest.raises(UserError, match=r"^--stage tunning: no such stage in budget.yaml; did you mean 'tuning'\?$"):
        stage_name(budget, "tunning")
    with pytest.raises(UserError, match=r"known: reading, implementing, debugging, tuning, final, writing$"):
        stage_name(budget, "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("currency:", "curency:", "curency: unknown entry; did you mean 'currency'?"),
        ("currency: USD", "", "currency: missing; add it"),
        ("currency: USD", "currency: 5", "currency: 5 will not do: input should be a valid string"),
        ("currency: USD", "currency: ' '", 'currency: " " will not do'),
        ("cpu: 0.10", "cpu: -0.10", "cpu: -0.1 will not do: input should be greater than or equal to 0"),
        ("cpu: 0.10", "cpu: .inf", "prices_per_hour.cpu: Infinity will not do"),
        ("cpu: 0.10", "cpu: .nan", "prices_per_hour.cpu: NaN will not do"),
        ("cpu: 0.10", "cpu: true", "prices_per_hour.cpu: true will not do"),
        ("cpu: 0.10", "cpu: '0.10'", 'prices_per_hour.cpu: "0.10" will not do'),
        ("stage: debugging", "stage: debuging", "stage: 'debuging' is not among the stages; did you mean 'debugging'?"),
        ("stage: debugging", "stage:", "stage: null will not do"),
        ("machine: cpu", "machine: cpus", "stages[0].machine: 'cpus' has no price in prices_per_hour; did you mean"),
        ("compute_hours: 10,", "compute_hours: -10,", "stages[1].compute_hours: -10 will not do"),
        ("person_hours: 60", "person_hours: many", 'stages[1].person_hours: "many" will not do'),
        ("person_hours: 60", "hours: 60", "stages[1].hours: unknown entry; known: "),
        ("name: tuning,", "name: debugging,", "stages[2].name: 'debugging' is the name of more than one"),
        ("name: tuning,", "name: 'Tuning | final',", 'stages[3].name: "Tuning | final" will not do'),
        ("name: tuning,", "name: total,", "stages[3].name: 'total' is another row of repro ledger; rename it"),
        ("name: tuning,", "name: unknown,", "stages[3].name: 'unknown' is another row of repro ledger"),
        ("name: tuning,", "", "stages[3].name: missing; add it"),
        ("currency: USD", "currency: [", "not valid YAML"),
    ],
)
def test_a_slip_is_one_line(root, old, new, message):
    edit(root, old, new)
    with pytest.raises(UserError) as caught:
        read_budget(root)
    assert str(caught.value).startswith(str(root / "budget.yaml")) and message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "currency: USD\nprices_per_hour: {}\nstage: a\nstages: []\n", "\0"])
def test_a_file_of_something_else(root, text):
    (root / "budget.yaml").write_text(text)
    with pytest.raises(UserError, match=r"budget\.yaml: "):
        read_budget(root)


def test_a_missing_file_says_how_to_get_it_back(root):
    (root / "budget.yaml").unlink()
    with pytest.raises(UserError, match=r"no such file; bring it back with git, e.g. git checkout -- budget.yaml"):
        read_budget(root)
