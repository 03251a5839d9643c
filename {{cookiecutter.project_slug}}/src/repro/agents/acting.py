"""How on-policy agents act: actions drawn from what a network of policy and value says."""

from __future__ import annotations

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from repro.agents.distributions import ActionDistribution, make_distribution
from repro.agents.divergence import check_finite
from repro.agents.networks import ActorCritic, SeparateActorCritic, TwinEncoder
from repro.config import AgentConfig
from repro.device import autocast


class PolicyRunner:
    """A network on its device, the precision that it computes in, and the generator that actions are drawn from."""

    def __init__(
        self,
        network: ActorCritic | SeparateActorCritic,
        config: AgentConfig,
        device: torch.device,
        generator: torch.Generator,
        precision: str,
    ):
        self.network = network.to(device)
        self.config, self.device, self.generator = config, device, generator
        self.precision = precision
        self.quick: NumpyForward | None = None
        if (
            precision == "float32"
            and device.type == "cpu"
            and isinstance(network, ActorCritic)
            and isinstance(network.encoder, TwinEncoder)
            and network.encoder.normaliser is None
        ):
            self.quick = NumpyForward(network)

    def __call__(self, observations: Tensor) -> tuple[ActionDistribution, Tensor]:
        """Distributions of actions, and values (batch,), for a batch of observations on the device."""
        outputs, values = self._forward(observations)
        return make_distribution(outputs, self.network.log_std), values

    @torch.inference_mode()
    def act(self, observations: NDArray, greedy: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Actions (N, ...), their log-probabilities (N,) and values (N,), all on the CPU.

        Raises UserError if the network has diverged so far that there is nothing to sample from.
        """
        outputs, values = self._forward_few(observations)
        policy = make_distribution(outputs, self.network.log_std)
        actions = policy.mode() if greedy else policy.sample(self.generator)
        log_probs = policy.log_prob(actions)
        check_finite(log_probs + values, observations, self.config)
        return actions.cpu(), log_probs.cpu(), values.cpu()

    @torch.inference_mode()
    def value(self, observations: NDArray) -> Tensor:
        """Values of observations (N, ...), float32 (N,) on the CPU."""
        return self._forward_few(observations)[1].cpu()

    def _forward_few(self, observations: NDArray) -> tuple[Tensor, Tensor]:
        """Of the environments' current observations (N, ...); without gradients."""
        if self.quick and self.quick.fits(observations):
            return self.quick(observations)
        return self._forward(torch.from_numpy(observations).to(self.device))

    def _forward(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(self.device, self.precision):
            return self.network(observations)


class NumpyForward:
    """The forward pass of an ActorCritic with a TwinEncoder, by numpy: a third of PyTorch's time for a few rows.

    The weights are views of the network's, so that they are always those of the last gradient step.
    """

    def __init__(self, network: ActorCritic):
        self.network = network
        self.parameters = [parameter for name, parameter in network.named_parameters() if name != "log_std"]
        self.address = 0  # in memory, of the parameters that `weights` are views of
        self.same = False

    def fits(self, observations: NDArray) -> bool:
        """Whether it computes what the network does, which may have been changed, or have hooks; else PyTorch has to.

        Looked at on these observations, at first and when the parameters have moved in memory; with a copy in float64,
        lest rounding decide.
        """
        if self.parameters[0].data_ptr() != self.address:
            self.address = self.parameters[0].data_ptr()
            self.weights = [parameter.detach().numpy() for parameter in self.parameters]
            listened_to = any(module._forward_hooks or module._forward_pre_hooks for module in self.network.modules())
            copied = NumpyForward(copy.deepcopy(self.network).double())
            self.same = not listened_to and copied._is_exact(observations.astype(np.float64))
        return self.same

    def _is_exact(self, observations: NDArray[np.float64]) -> bool:
        """Whether it computes, of weights in float64, what the network does, which rounds its outputs to float32."""
        self.weights = [parameter.detach().numpy() for parameter in self.parameters]
        try:
            pairs = zip(self(observations), self.network(torch.from_numpy(observations)), strict=True)
            return all(bool((mine - its).abs().max() <= 1e-12 + 1e-6 * its.abs().max()) for mine, its in pairs)
        except (ValueError, RuntimeError):  # other layers, or such as compute in float32 alone
            return False

    def __call__(self, observations: NDArray) -> tuple[Tensor, Tensor]:
        """Policy outputs (N, outputs), and values (N,), of the observations' dtype."""
        first, first_bias, second, second_bias, policy, policy_bias, value, value_bias = self.weights
        features = np.tanh(observations @ first + first_bias)
        for_policy, for_value = np.tanh(features @ second + second_bias)
        outputs, values = for_policy @ policy.T + policy_bias, for_value @ value[0] + value_bias
        return torch.from_numpy(outputs), torch.from_numpy(values)
