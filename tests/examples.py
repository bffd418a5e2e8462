"""The examples of CONTRIBUTING.md."""

from __future__ import annotations

import re
from pathlib import Path

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def examples(heading: str, language: str = "python") -> list[str]:
    """The code in a language under a heading, block by block."""
    section = re.split(r"^## ", CONTRIBUTING.read_text(), flags=re.MULTILINE)
    (text,) = (part for part in section if part.splitlines()[0] == heading)
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
