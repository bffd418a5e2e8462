"""Label spaces that several databases share."""

from __future__ import annotations

from abaw_ray.spaces import LabelSpace

EXPRESSION = LabelSpace(
    name="expression",
    kind="multiclass",
    names=("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise"),
)
"""The seven expressions. Class ids of adapters and entries are places in its names."""

EXPRESSION_OR_OTHER = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Other")})
"""The same, and an eighth class for expressions that are none of the seven (Aff-Wild2 since ABAW3, 2022). It is of the
same task: beside databases of seven classes a head has eight, and their rows are without the last."""

EIGHT_EXPRESSIONS = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Contempt")})
"""The seven and contempt, for databases that can have it."""

TEN_EXPRESSIONS = EXPRESSION.model_copy(update={"names": (*EXPRESSION.names, "Bored", "Confused", "Disappointed")})
"""The seven and three more, which only HEU Emotion has."""

VALENCE_AROUSAL = LabelSpace(name="valence_arousal", kind="regression", names=("valence", "arousal"))
"""Both in [-1, 1]."""

ACTION_UNITS = LabelSpace(
    name="action_units",
    kind="multilabel",
    names=("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26"),
)
"""The twelve facial action units of Aff-Wild2 (ABAW2 2021)."""
