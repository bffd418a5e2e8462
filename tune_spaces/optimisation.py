"""Adam, and how much it sees in a step."""

from __future__ import annotations

from typing import Any

from ray import tune


def space() -> dict[str, Any]:
    """Learning rate, batch size, weight decay."""
    return {
        # the paper's 1e-4 is for pre-trained networks; small ones from random weights want up to a hundred times that
        "train.learning_rate": tune.loguniform(1e-5, 1e-2),
        # images of each set; divisible by up to 16 workers. Below, the CCC of a batch is noise
        "sampling.batch_size": tune.choice([16, 32, 64, 128]),
        # an L2 penalty inside Adam: more than 1e-3 outweighs the gradient
        "train.weight_decay": tune.loguniform(1e-7, 1e-3),
    }
