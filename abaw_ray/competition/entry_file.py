"""What is wrong in the text of one file of a competition entry.

The graders' own code is not public. What competitors and baselines read such files with is: Python line by line
(`split(",")`, then `int` or `float`; classes also compared as text), pandas' `read_csv`, and NumPy's `loadtxt` and
`genfromtxt`. What one of them refuses or reads as another number or another row is wrong; what all of them read alike
is right:

- wrong: another header, blanks in the header, a byte order mark, carriage returns, blank lines (pandas and NumPy pass
  over them, so that later frames move up), also at the end, `nan`, `inf`, `1_0`, `0x1`, quotes, comments, control
  characters, digits that are not ASCII; of classes and action units also `1.0`, `1e0`, `-0`, `+1`, `01`;
- right: spaces and tabs around a number, a last line with or without its line feed; of valence and arousal also `-0`,
  `+0.5`, `.5`, `5e-1`, and `1e-400`, which is 0 to all of them.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from abaw_ray.competition.image_files import ImageFormat
from abaw_ray.competition.track_files import TrackFormat
from abaw_ray.errors import quoted

INTEGER = re.compile(r"0|[1-9][0-9]*")
DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class Violation:
    """Something wrong in `file`, in its 1-based `line` if it is about one."""

    file: Path
    line: int | None
    found: str
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line is not None else str(self.file)
        return f"{place}: found {self.found}, expected {self.expected}"


def check_entry_file(file: Path, content: bytes, form: TrackFormat | ImageFormat) -> tuple[list[str], list[Violation]]:
    """The rows below the header of a file, and everything that is wrong in its text but the names of images.

    Args:
        file: what violations name.
        content: of the file.
        form: of the file.
    """
    violations = []
    header = f"the header {form.header}"
    if content.startswith(codecs.BOM_UTF8):
        violations.append(Violation(file, 1, "a byte order mark", f"{header} from the first byte on"))
        content = content.removeprefix(codecs.BOM_UTF8)
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    if lines[-1] == "":  # after the line feed of the last line
        lines.pop()
    returns = [number for number, line in enumerate(lines, 1) if line.endswith("\r")]
    if returns:
        found = f"a carriage return at the end of the line, as of {len(returns):,} of {len(lines):,} lines"
        violations.append(Violation(file, returns[0], found, "a line feed alone between lines"))
        lines = [line.removesuffix("\r") for line in lines]
    num_filled = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    if num_filled < len(lines):
        found = f"{len(lines) - num_filled:,} blank lines at the end"
        violations.append(Violation(file, num_filled + 1, found, "no line after that of the last frame"))
        lines = lines[:num_filled]
    if not lines or lines[0] != form.header:
        violations.append(Violation(file, 1, quoted(lines[0]) if lines else "an empty file", header))
    return lines[1:], violations + list(_wrong_lines(file, lines, form))


def _wrong_lines(file: Path, lines: list[str], form: TrackFormat | ImageFormat) -> Iterator[Violation]:
    expected = f"{form.line}, in plain digits" if form.integers else form.line
    fields = form.fields()
    # lines of classes and action units come many times
    wrong = {line for line in set(lines[1:]) if not _is_right(line, form, fields)}
    for number, line in enumerate(lines[1:], 2) if wrong else ():
        if line in wrong:
            yield Violation(file, number, quoted(line), expected)


def _is_right(line: str, form: TrackFormat | ImageFormat, fields: list[TrackFormat]) -> bool:
    numbers = line.partition(",")[2] if isinstance(form, ImageFormat) else line
    texts = [text.strip(" \t") for text in numbers.split(",")]
    return len(texts) == len(fields) and all(map(_is_number, texts, fields))


def _is_number(text: str, form: TrackFormat) -> bool:
    pattern = INTEGER if form.integers else DECIMAL
    return pattern.fullmatch(text) is not None and form.low <= float(text) <= form.high
