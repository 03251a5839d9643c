"""Which runs have the same parameters: seeds, gate and what `auto` came to make no difference, all else does."""

import copy

import pytest

from repro.tracking.parameters import params_hash, resolutions, same_params

RESOLVED = {
    "name": "dot",
    "agent": {"epochs": 4, "learning_rate": 1e-4},
    "training": {"device": "cpu", "precision": "bfloat16", "threads": 2},
    "seeds": {"final": [0]},
    "gate": {"after_minutes": 5.0},
    "health": {"max_kl": 0.05},
}


def changed(section, name, value):
    params = copy.deepcopy(RESOLVED)
    params[section][name] = value
    return params


@pytest.mark.parametrize(
    ("wanted", "same"),
    [
        (RESOLVED, True),
        (changed("seeds", "final", [0, 1]), True),
        (changed("gate", "after_minutes", 0.0), True),
        (changed("health", "max_kl", 1.0), True),
        (changed("training", "device", "auto"), True),
        (changed("training", "precision", "auto"), True),
        (changed("training", "device", "cuda"), False),
        (changed("training", "precision", "float32"), False),
        (changed("training", "threads", "auto"), False),
        (changed("agent", "epochs", 5), False),
        (changed("agent", "clip", 0.1), False),
        ({name: RESOLVED[name] for name in RESOLVED if name != "agent"}, False),
        (RESOLVED | {"name": "other"}, False),
    ],
)
def test_same_params(wanted, same):
    assert same_params(wanted, RESOLVED) == same
    assert (params_hash(RESOLVED) in map(params_hash, resolutions(wanted))) == same


def test_auto_stands_for_what_it_came_to_only_where_it_is_wanted():
    assert not same_params(RESOLVED, changed("training", "device", "auto"))


@pytest.mark.parametrize("training", [None, [], "cpu", {}])
def test_a_record_without_such_parameters_is_another(training):
    assert not same_params(changed("training", "device", "auto"), RESOLVED | {"training": training})
    assert not same_params(RESOLVED, {})
