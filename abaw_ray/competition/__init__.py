"""The formats of the ABAW competition: label and test lists, entries, and the checker of entries."""

COMPETITION_DATABASE = "affwild2"
