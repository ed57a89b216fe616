"""Adam by torch's functional form: its class imports torch's compiler, 2 seconds of each fresh process."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.adam import adam

MOMENTS = ("exp_avg", "exp_avg_sq")  # as torch.optim.Adam calls them in its state
STEP = "step"


class Adam:
    """`torch.optim.Adam` with ``fused=True`` and its other defaults: the same weights to the bit.

    Args:
        parameters: with gradients when `step` is called.
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        self.parameters, self.learning_rate = list(parameters), learning_rate
        # The moments lie in memory as their parameter does: the fused form goes through both in that order.
        self.state = [{name: torch.zeros_like(p) for name in MOMENTS} for p in self.parameters]
        for each, parameter in zip(self.state, self.parameters, strict=True):
            each[STEP] = torch.zeros((), device=parameter.device)

    def step(self) -> None:
        """Change the parameters by their gradients, then forget these."""
        gradients = [parameter.grad for parameter in self.parameters]
        assert all(gradient is not None for gradient in gradients)
        exp_avgs, exp_avg_sqs, steps = ([each[name] for each in self.state] for name in (*MOMENTS, STEP))
        with torch.no_grad():
            adam(
                self.parameters,
                [gradient for gradient in gradients if gradient is not None],
                exp_avgs,
                exp_avg_sqs,
                [],
                steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.learning_rate,
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )
        for parameter in self.parameters:
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """The state by names such as ``"3.exp_avg"``, for a checkpoint."""
        return {f"{number}.{name}": value for number, each in enumerate(self.state) for name, value in each.items()}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name, value in self.tensors().items():
            value.copy_(tensors[name])
