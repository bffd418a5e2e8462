"""Label spaces that several databases share."""

from __future__ import annotations

from abaw_ray.spaces import LabelSpace

EXPRESSION = LabelSpace(
    name="expression",
    kind="multiclass",
    names=("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
)
"""The seven expressions. Class ids of adapters and entries are places in its names."""

EIGHT_EXPRESSIONS = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Contempt")})
"""The seven and contempt, for databases that can have it."""

EXPRESSION_WITH_OTHER = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Other")})
"""The seven and any other, as Aff-Wild2 has them since 2022."""

VALENCE_AROUSAL = LabelSpace(name="valence_arousal", kind="regression", names=("valence", "arousal"))
"""Both in [-1, 1]."""

ACTION_UNITS = LabelSpace(
    name="action_units",
    kind="multilabel",
    names=("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"),
)
"""The twelve facial action units of Aff-Wild2 (ABAW2 2021)."""
