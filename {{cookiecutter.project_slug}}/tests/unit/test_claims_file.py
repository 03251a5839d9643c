"""paper/claims.yaml: what is refused, in one line that names field, value and fix; and what is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from claims_examples import CLAIM, HEAD, SEEDS, write_claims

from repro.reading import UserError
from repro.results.claims import read_claims


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min_seeds: 10", "min_seed: 10", "claims[0].min_seed: unknown entry; did you mean 'min_seeds'?"),
        ("    min_seeds: 10\n", "", "claims[0].min_seeds: missing; add it"),
        ("claim: ", "claim: '  ' # ", 'claims[0].claim: "  " will not do'),
        (
            "min_seeds: 10",
            "min_seeds: 4",
            "claims[0].min_seeds: 4 will not do: input should be greater than or equal",
        ),
        ("min_seeds: 10", "min_seeds: 11", "claims[0] (dot).min_seeds: 11, but cells.seeds are 10; name more"),
        ("judged.score", "judged.scores", "claims[0]: metric: 'judged.scores' is none; did you mean 'judged.score'?"),
        ("target: 0.9", "target: null", "claims[0]: target, tolerance: exactly one of them is a number"),
        ("tolerance: null", "tolerance: 0.1", "claims[0]: target, tolerance: exactly one of them is a number"),
        (
            "target: 0.9\n    tolerance: null",
            "target: null\n    tolerance: 1",
            "claims[0]: paper_value: null has no tol",
        ),
        ("target: 0.9", "target: .nan", "claims[0].target: NaN will not do: input should be a finite number"),
        ("target: 0.9", "target: '0.9'", 'claims[0].target: "0.9" will not do: input should be a valid number'),
        ("id: dot", "id: The Dot", 'claims[0].id: "The Dot" will not do: string should match'),
        ("seeds: final", "seeds: tuning", "claims[0].cells.seeds: \"tuning\" will not do: input should be 'final'"),
        ("seeds: final", "seeds: [1, 2, 3, 4, 5, 6, 7, 8, 9, 101]", "cells.seeds: 101 is a tuning seed; claim on"),
        ("seeds: final", "seeds: [1, 1, 3, 4, 5, 6, 7, 8, 9, 10]", "lists one twice; each counts once"),
        ("seeds: final}", "seeds: final, seed: 1}", "claims[0].cells.seed: unknown entry; did you mean 'seeds'?"),
        ("experiment: moving-dot", "experiment: [a]", "claims[0].cells.experiment: "),
        ("experiment: moving-dot", "experiment: [b, a, b]", "cells.experiment: b is there twice; name each once"),
        ("judged.score", "success_rate\n    against: {experiment: b}", "against: success rates are not compared"),
        (
            "min_seeds: 10\n    cells: {experiment: moving-dot",
            "min_seeds: 9\n    cells: {experiment: [moving-dot, b]",
            "claims[0]: min_seeds: 9, but several experiments have a bootstrap interval",
        ),
        (
            "judged.score",
            "judged.score\n    against: {experiment: moving-dot}",
            "against: moving-dot is what is claimed",
        ),
        (CLAIM, CLAIM * 2, "claims: id 'dot' is there twice; rename one"),
        (HEAD, "paper: {}\nclaims: 3\n#", "claims: 3 will not do: input should be a valid list"),
        (HEAD, "- a\n#", "will not do: input should be a valid dictionary"),
        (HEAD, "claims: [\n", "not valid YAML"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = write_claims(tmp_path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old != HEAD else new + text[len(HEAD) :].replace("\n", "\n#"))
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_claims(tmp_path, SEEDS.tuning, SEEDS.final)
    assert "paper/claims.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=re.escape("claims.yaml: no such file")):
        read_claims(tmp_path, SEEDS.tuning, SEEDS.final)
