"""The formats of the ABAW competition: label and test lists, entries, and the checker of entries."""

from typing import Literal, get_args

COMPETITION_DATABASE = "affwild2"

EntryEdition = Literal["abaw2", "abaw3", "mtl"]
"""The format of an entry: a file a track and task, as in 2021; one a task, as since 2023 (the labels are of 2022 and
later); one of all tasks, as in the multi-task challenge."""

ENTRY_EDITIONS: tuple[EntryEdition, ...] = get_args(EntryEdition)
