"""A head for clips: one answer for all frames of a clip."""

from __future__ import annotations

from torch import Tensor

from abaw_ray.models.heads.paper import PaperHead


class PooledHead(PaperHead):
    """The paper's head over the mean of a clip's frames that are there; a clip without any counts as zeros."""

    def rows(self, frames: Tensor, present: Tensor) -> Tensor:
        """Means over the present frames: (clips, in_features)."""
        total = frames.masked_fill(~present[..., None], 0.0).sum(1)
        return total / present.sum(1, keepdim=True).clamp(min=1)


HEAD = PooledHead
