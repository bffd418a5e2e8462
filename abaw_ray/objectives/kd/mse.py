"""Mean squared error of the logits (Ba and Caruana 2014; Kim et al. 2021)."""

from __future__ import annotations

from torch import Tensor

from abaw_ray.objectives.kd.base import Head, KDLoss


class MSE(KDLoss):
    """Sum over the groups of the mean over classes of squared differences between logits of mean zero.

    A softmax does not see what is added to all logits of a group; the means are taken out, so that this loss does not
    either. With `loss.temperature_squared` it is the same at every temperature.
    """

    def forward(self, task: str, student: Head, teacher: Head, target: Tensor | None) -> Tensor:
        return (_centred(student) - _centred(teacher)).square().mean(-1).sum(-1)


def _centred(head: Head) -> Tensor:
    log_p = head.distributions.log_p
    return log_p - log_p.mean(-1, keepdim=True)


LOSS = MSE
