"""Aff-Wild2 as handed out since 2022, by a name of its own: beside the labels of 2021 in one store.

A video of 2021's training split may be in the validation split of 2022: scores of what learned from both say little.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from abaw_ray.databases import affwild2


class AffWild2Abaw3Options(affwild2.AffWild2Options):
    """Those of Aff-Wild2, of one edition."""

    edition: Literal["abaw3"] = "abaw3"


DATABASE = replace(
    affwild2.DATABASE,
    name="affwild2_abaw3",
    title="Aff-Wild2 (ABAW3 2022 and later): eight expressions, valence-arousal and action units frame by frame",
    options=AffWild2Abaw3Options,
    layout=affwild2.ABAW3_TREE,
)
