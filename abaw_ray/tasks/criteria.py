"""The criteria of the ABAW competition, which the expressions, valence and arousal, and the action units are scored by.

abaw2: those of 2020 and 2021. abaw3: those since 2022: macro F1 of the expressions, mean CCC, mean F1 of the units;
their sum is the score P of the multi-task challenge.
"""

from __future__ import annotations

from typing import Literal

Criterion = Literal["abaw2", "abaw3"]
