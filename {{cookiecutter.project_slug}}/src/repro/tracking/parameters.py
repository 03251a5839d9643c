"""Whether two runs have the same parameters: decided here, for all that look for a run that did the same."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

# Sections that say which runs are made, how carefully, and what is found remarkable in them, not what one does.
NOT_OF_ONE_RUN = ("seeds", "gate", "health")
# Parameters of `training` that may be "auto", and what that comes to when a run is launched.
RESOLVED_AT_LAUNCH = {"device": ("cpu", "cuda"), "precision": ("float32", "bfloat16")}

Params = Mapping[str, Any]


def effective_params(params: Params) -> dict[str, Any]:
    """The sections that decide what one run does."""
    return {section: values for section, values in params.items() if section not in NOT_OF_ONE_RUN}


def same_params(wanted: Params, recorded: Params) -> bool:
    """Whether a run with the parameters `recorded` is one of those wanted; `auto` there is whatever it came to."""
    return resolved_as(wanted, recorded) == effective_params(recorded)


def resolved_as(wanted: Params, recorded: Params) -> dict[str, Any]:
    """What is effective of `wanted`, with each `auto` replaced by what it came to in a run of these parameters."""
    params = effective_params(wanted)
    training, found = params.get("training"), recorded.get("training")
    if isinstance(training, dict) and isinstance(found, dict):
        auto = [name for name in RESOLVED_AT_LAUNCH if training.get(name) == "auto" and name in found]
        params["training"] = training | {name: found[name] for name in auto}
    return params


def resolutions(wanted: Params) -> list[dict[str, Any]]:
    """What is effective of `wanted`, with `auto` replaced by all that it can come to, and as it is."""
    return [
        resolved_as(wanted, {"training": dict(zip(RESOLVED_AT_LAUNCH, values, strict=True))})
        for values in itertools.product(*(("auto", *values) for values in RESOLVED_AT_LAUNCH.values()))
    ]


def params_hash(params: Params) -> str:
    """16 hex digits that stand for what is effective of the parameters."""
    return digest(effective_params(params))


def digest(value: Any) -> str:
    """16 hex digits that stand for a value of JSON; the order of its keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
