"""Our optimisers are PyTorch's, and load nothing that they do not need."""

import subprocess
import sys

import pytest
import torch
from archive_examples import ENVIRONMENT

from repro.optimisers import Adam, AdamW

FRESH = """
import sys, torch
from repro.agents.a2c import RMSpropTF
from repro.optimisers import Adam, AdamW
for make in (Adam, AdamW, lambda parameters: RMSpropTF(parameters, 1e-3, 0.9, 1e-5)):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = make([parameter])
    parameter.sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
"""


def test_the_compiler_is_not_loaded():
    done = subprocess.run([sys.executable, "-c", FRESH], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def moved(optimiser: type[torch.optim.Optimizer]) -> list[torch.Tensor]:
    """A parameter after each of some steps, one of them after a load of the state."""
    parameter = torch.nn.Parameter(torch.arange(-3.0, 3.0))
    one = optimiser([parameter], 0.1, eps=1e-5, fused=True)
    seen = []
    for step in range(6):
        one.zero_grad(set_to_none=False)
        (step * parameter**3).sum().backward()
        one.step()
        if step == 3:
            state = one.state_dict()
            one = optimiser([parameter], 0.2, fused=True)
            one.load_state_dict(state)
        seen.append(parameter.detach().clone())
    return seen


@pytest.mark.parametrize(("ours", "theirs"), [(Adam, torch.optim.Adam), (AdamW, torch.optim.AdamW)])
def test_a_step_is_theirs_bit_for_bit(ours, theirs):
    for one, other in zip(moved(ours), moved(theirs), strict=True):
        assert torch.equal(one, other)


def test_a_step_is_not_differentiated():
    parameter = torch.nn.Parameter(torch.ones(3))
    optimiser = Adam([parameter], 0.1)
    parameter.sum().backward()
    optimiser.step()
    assert parameter.grad_fn is None and parameter.is_leaf
