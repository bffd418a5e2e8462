"""A reader that is given bytes: where they are put, how it is called, and what it may end with."""

from __future__ import annotations

import hashlib
import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import abaw_ray
from abaw_ray.errors import DatabaseFormatError, UserError, WorkerFault

PACKAGE = str(Path(abaw_ray.__file__).parent)
LONGEST_MESSAGE = 8000
ODD = (b"1e400", b"-1", b"\x00", b'"', b"9" * 400, b"\xef\xbb\xbf", b"\r\n", b"\r", b"nan", b"-inf", b"\xff", b"1_0")
ODD += ("\u0661".encode(), b"9223372036854775808", b"../", b"[" * 300, b"{}", b"\n\n", b"\xf7\xbf", b"&a [*a]")


class Finding(Exception):
    """What a reader must not do."""


@dataclass(frozen=True)
class Target:
    """A reader.

    Args:
        file: that inputs are written to; what is in it at first is genuine, and read without an error.
        read: reads it.
        has_lines: whether what is wrong with the format is in a line, which the message must name.
        more: other genuine contents.
        finish: what is written of an input, as with hashes that fit.
        named: what messages may name in the place of the file, as its folder; those about its format only where it is
            another file; empty: nothing.
    """

    file: Path
    read: Callable[[], object]
    has_lines: bool = False
    more: tuple[bytes, ...] = ()
    finish: Callable[[bytes], bytes] = field(default=bytes)
    named: str = ""

    def seeds(self) -> list[bytes]:
        """Genuine contents."""
        return [self.file.read_bytes(), *self.more]


Harness = Callable[[Path], Target]
"""Makes a reader, with everything that it reads but the input, in an empty folder."""


def try_input(target: Target, content: bytes) -> bool:
    """Gives an input to a reader; whether it was read.

    Raises:
        Finding: it ended with what it may not end with, or in a message that does not say where.
    """
    target.file.write_bytes(target.finish(content))
    try:
        target.read()
    except WorkerFault as error:
        raise Finding("a fault of the software") from error
    except UserError as error:
        _check(target, error)
        return False
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise Finding(type(error).__name__) from error
    return True


def _check(target: Target, error: UserError) -> None:
    message, is_of_format = str(error), isinstance(error, DatabaseFormatError)
    is_of_another = bool(target.named) and (not is_of_format or "." in target.named)
    names = [target.file.name, *([target.named] if is_of_another else [])]
    if not any(name in message for name in names):
        raise Finding(f"a message without {target.file.name}") from error
    if len(message) > LONGEST_MESSAGE:
        raise Finding(f"a message of {len(message)} characters") from error
    if target.has_lines and isinstance(error, DatabaseFormatError) and error.line is None:
        raise Finding("a message without a line") from error


def place_of(finding: Finding) -> str:
    """What makes two findings one: what was wrong, and the line of ours that it came from."""
    cause = finding.__cause__ or finding
    ours = [frame for frame in traceback.extract_tb(cause.__traceback__) if frame.filename.startswith(PACKAGE)]
    where = f"{ours[-1].filename.removeprefix(PACKAGE)}:{ours[-1].lineno}" if ours else "?"
    return f"{finding} in {where}"


class Findings:
    """Keeps one input of each finding in a folder, with its traceback."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.places = folder, dict[str, str]()

    def add(self, finding: Finding, content: bytes) -> None:
        """Writes it, unless there is one of its place."""
        place = place_of(finding)
        if place not in self.places:
            name = hashlib.sha256(content).hexdigest()[:12]
            self.places[place] = name
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{name}.input").write_bytes(content)
            told = "".join(traceback.format_exception(finding))
            (self._folder / f"{name}.txt").write_text(f"{place}\n\n{told}", errors="backslashreplace")


def mutated(genuine: list[bytes], numbers: random.Random) -> bytes:
    """A genuine content that was changed at a few places: for want of coverage, and for tests."""
    content = bytearray(numbers.choice(genuine))
    for _ in range(numbers.randint(1, 4)):
        start = numbers.randint(0, len(content))
        stop = min(start + numbers.choice((0, 1, 1, 2, 4, 8, 64)), len(content))
        kind = numbers.randrange(5)
        if kind == 0:
            content[start:stop] = numbers.randbytes(numbers.randint(0, 8))
        elif kind == 1:
            content[start:stop] = numbers.choice(ODD)
        elif kind == 2 and content:
            content[start % len(content)] ^= 1 << numbers.randrange(8)
        elif kind == 3:
            del content[start:]
        else:
            other = numbers.choice(genuine)
            begin = numbers.randint(0, len(other))
            content[start:stop] = other[begin : begin + numbers.randint(0, 64)]
    return bytes(content)
