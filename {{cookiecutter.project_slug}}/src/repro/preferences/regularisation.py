"""What keeps the reward model from learning its labels by heart: adaptive weight decay, early stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

FIRST_DECAY, LEAST_DECAY, MOST_DECAY = 0.1, 1e-4, 100.0  # AdamW's coefficient, which it multiplies by the learning rate
LOSS_RATIO = (1.1, 1.5)  # of validation loss / training loss (Christiano et al. 2017, section 2.2.3)
CHANGE = 1.02  # of the coefficient in a gradient step; Ibarz et al. 2018: 1.001, in runs 100 times as long
MEMORY = 0.95  # of the losses, a gradient step
VALIDATION_STEPS = 10  # gradient steps between two validations, with early stopping


class AdaptiveDecay:
    """Moves the coefficient of the weight decay so that validation loss / training loss stays within LOSS_RATIO.

    Means are compared: the two sets differ in size. The losses of both come from the same forward passes, and so from
    the same weights, with the same dropout and batch statistics.
    """

    def __init__(self) -> None:
        self.coefficient = FIRST_DECAY
        self._sums = [0.0, 0.0, 0.0, 0.0]  # training loss, how many it is the sum of; validation loss, how many

    def update(self, training: tuple[float, float], validation: tuple[float, float]) -> None:
        """Take into account the (sum of losses, number of them) of a gradient step, and move the coefficient."""
        self._sums = [MEMORY * past + value for past, value in zip(self._sums, (*training, *validation), strict=True)]
        ratio = self.ratio
        if ratio is None:
            return
        change = CHANGE if ratio > LOSS_RATIO[1] else 1 / CHANGE if ratio < LOSS_RATIO[0] else 1.0
        self.coefficient = min(max(self.coefficient * change, LEAST_DECAY), MOST_DECAY)

    @property
    def ratio(self) -> float | None:
        """Of the recent mean losses, validation by training; None before there are both."""
        training, trained, validation, validated = self._sums
        if not (training and validated):
            return None
        return (validation / validated) / (training / trained)

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {"coefficient": self.coefficient, "sums": list(self._sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.coefficient, self._sums = state["coefficient"], list(state["sums"])


class EarlyStopping:
    """Remembers the state with the lowest validation loss in a fit, and says when that is too long ago."""

    def __init__(self, patience: int):
        self.patience = patience  # gradient steps
        self.best_loss, self.best_step = math.inf, 0
        self.best_state: Any = None

    def over(self, step: int, loss: float, state: Callable[[], Any]) -> bool:
        """Whether to stop after `step` steps, where the validation loss is `loss` and the state what `state` gives."""
        if loss < self.best_loss:
            self.best_loss, self.best_step, self.best_state = loss, step, copy.deepcopy(state())
        return step - self.best_step >= self.patience
