"""What a weight file holds: safetensors and torch files are read, anything else is refused by what it looks like.

A file is what its bytes are, whatever its name. Nothing pickled is executed: torch reads tensors and plain containers
only, and classes that a pickle would call are found by disassembling it.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from abaw_ray.errors import ConfigurationError, MissingInputError

EXPECTED = "expected the network's tensors: a safetensors file, or a torch file of a state_dict()"

_SIGNATURES = (
    (0, b"version https://git-lfs", "a git-lfs pointer, not the file itself (`git lfs pull` fetches it)"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"GGUF", "a GGUF file"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!", "a rar archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"%PDF", "a PDF document"),
    (0, b"PK\x05\x06", "an empty zip archive"),
)
"""Offset, the bytes there, and what begins so."""

_HARMLESS = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|builtins\.(bytearray|set|complex)"
    r"|torch\.((cuda|sparse)\.)*\w+|torch\.(_utils|_tensor|serialization)\.\w+|torch\.storage\.\w+Storage"
    r"|torch\.nn\.parameter\.\w+"
)
"""Names that torch's own files of tensors contain; they are not what makes torch refuse one."""

_TEXT_BYTES = frozenset(range(0x20, 0x7F)) | frozenset(b"\t\n\r\f\x1b")
_MAX_SAFETENSORS_HEADER = 100_000_000  # bytes, the format's own limit
MOST_UNPACKED = 20
"""Times the size of a torch archive that what is in it may have; weights can hardly be compressed."""
_NUM_PICKLES = 5  # of a torch file before version 1.6, the tensors' bytes follow


def read_weight_file(path: Path) -> Mapping[Any, Any]:
    """The contents of a weight file: names and tensors, or a dictionary that holds such dictionaries.

    Raises:
        MissingInputError: there is no such file.
        ConfigurationError: it cannot be read, is cut off or damaged, or is no file of tensors; the message says what
            it looks like.
    """
    try:
        if path.is_dir():
            raise refusal(path, _describe_folder(path))
        if not path.is_file():
            raise MissingInputError(f"model.weights: no file {path}")
        content = _read(path)
    except OSError as error:
        if isinstance(error, MissingInputError):
            raise
        raise refusal(path, f"a file that cannot be read ({error.strerror or error})") from None
    if not isinstance(content, Mapping):
        raise refusal(path, f"a pickled {type(content).__name__}")
    return content


def refusal(path: Path, found: str) -> ConfigurationError:
    """The error that says what was found where weights were expected."""
    return ConfigurationError(f"model.weights: {path} is {found}; {EXPECTED}")


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        head = file.read(4096)
    size = path.stat().st_size
    if not head:
        raise refusal(path, "an empty file")
    for offset, signature, name in _SIGNATURES:
        if head.startswith(signature, offset):
            raise refusal(path, name)
    if head.startswith(b"PK\x03\x04"):
        _require_torch_archive(path, size)
    elif _begins_safetensors(head):
        return _read_safetensors(path, size)
    elif head[0] != 0x80:  # pickle's first byte
        raise refusal(path, _describe_bytes(head, size))
    return _read_torch(path, size)


def _begins_safetensors(head: bytes) -> bool:
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _MAX_SAFETENSORS_HEADER


def _read_safetensors(path: Path, size: int) -> Any:
    try:
        return load_file(path)
    except SafetensorError as error:
        found = f"a safetensors file of {size:,} bytes that is cut off or damaged ({_one_line(error)})"
        raise refusal(path, found) from None


def _read_torch(path: Path, size: int) -> Any:
    try:
        # by its path, torch would go by its name; it warns of protocols that it then refuses
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files end in any error there is
        classes = pickled_classes(path) if isinstance(error, pickle.UnpicklingError) else []
        if not classes:
            found = f"a torch file of {size:,} bytes that is cut off or damaged ({_one_line(error)})"
            raise refusal(path, found) from None
    names = ", ".join(name[:80] for name in classes[:3]) + (" and others" if len(classes) > 3 else "")
    raise refusal(
        path,
        f"a file with pickled objects of {names}, and nothing pickled is executed here: load it where it comes from"
        " and torch.save the network's state_dict() alone",
    )


def _require_torch_archive(path: Path, size: int) -> None:
    """Refuses zip archives that `torch.save` did not write."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        found = f"the beginning of a zip archive, as torch writes them, {size:,} bytes: it is cut off or damaged"
        raise refusal(path, found) from None
    if unpacked > MOST_UNPACKED * size:  # torch writes them as they are
        raise refusal(path, f"a zip archive of {size:,} bytes that says it unpacks to {unpacked:,}")
    if any(name.endswith("constants.pkl") for name in names):
        raise refusal(path, "a TorchScript program; save the state_dict() of what torch.jit.load gives")
    if any(name.endswith(".npy") for name in names):
        raise refusal(path, "an archive of NumPy arrays (.npz)")
    if not any(_is_main_pickle(name) for name in names):
        raise refusal(path, f"a zip archive of {len(names)} files ({', '.join(names[:3])} ...)")


def _is_main_pickle(name: str) -> bool:
    return name == "data.pkl" or name.endswith("/data.pkl")


def pickled_classes(path: Path) -> list[str]:
    """Classes and functions beside those of tensors that a torch file or pickle refers to, in its order.

    It is disassembled, not executed; what cannot be disassembled counts as its end.
    """
    found: dict[str, None] = {}
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                main = next(name for name in archive.namelist() if _is_main_pickle(name))
                _add_globals(io.BytesIO(archive.read(main)), found)
        else:
            with path.open("rb") as file:
                for _ in range(_NUM_PICKLES):
                    _add_globals(file, found)
    except Exception:  # the readers of damaged archives and pickles raise whatever comes
        pass
    return [name for name in found if not _HARMLESS.fullmatch(name)]


def _add_globals(file: BinaryIO, found: dict[str, None]) -> None:
    """Adds the names that one pickle refers to, as `module.name`."""
    strings: list[Any] = []  # in their order: STACK_GLOBAL takes the last two
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in ("GLOBAL", "INST"):
            found[str(argument).replace(" ", ".")] = None
        elif opcode.name == "STACK_GLOBAL":
            found[".".join(map(str, strings[-2:]))] = None
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = strings[-1] if strings else None
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = strings[-1] if strings else None
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            strings.append(memo.get(argument))
        elif isinstance(argument, str):
            strings.append(argument)


def _describe_bytes(head: bytes, size: int) -> str:
    text = head.decode("utf-8", "replace").strip()
    if all(byte in _TEXT_BYTES or byte >= 0x80 for byte in head):
        begins = f"beginning {text[:60]!r}"
        if text.startswith("<"):
            return f"an HTML or XML page, {begins}: a download that led to a web page"
        if text.startswith(("{", "[")):
            return f"JSON, {begins}"
        return f"text, {begins}"
    if head[0] == 0x08 and head[2:3] in (b"\x12", b"\x1a", b"\x3a", b"\x42"):
        return "a protocol buffer, as of ONNX or TensorFlow"
    return f"a file of {size:,} bytes of no known format, beginning {head[:8].hex(' ')}"


def _describe_folder(folder: Path) -> str:
    if (folder / "job.json").is_file():  # see `training.trainer`
        return "an unfinished run's folder (weights are in the folders of its checkpoints)"
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pth", ".pt"))
    return f"a folder (with {', '.join(names[:3])})" if names else "a folder"


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:120]
