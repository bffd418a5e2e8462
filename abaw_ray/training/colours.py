"""Whether a network learns colours at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import numpy as np

from abaw_ray.blocks.reader import Store

logger = logging.getLogger(__name__)


def warn_of_grey(store: Store, rows: Mapping[str, np.ndarray]) -> None:
    """Warns where no training image has colours: what a network says of colours, it has not learned.

    Args:
        store: where the images are.
        rows: training set -> rows (n,) of some of its images.
    """
    looked_at = np.unique(np.concatenate(list(rows.values())))
    looked_at = looked_at[store.index.has_face[looked_at]]
    images = store.images(looked_at)
    if len(images) and (images == images[..., :1]).all():
        logger.warning(
            "all of %d training images looked at are grey: of pictures with colours the network will say something"
            " else; model.grey=true leaves colours out of all that it is ever given",
            len(looked_at),
        )
