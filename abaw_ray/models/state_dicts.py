"""A network's tensors among those of a weight file: under wrappers, prefixes, beside a classifier, of another size."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from abaw_ray.errors import ConfigurationError
from abaw_ray.models.weight_files import read_weight_file, refusal

logger = logging.getLogger(__name__)

_DEPTH = 3  # of dictionaries in dictionaries


@dataclass(frozen=True)
class _Candidate:
    """Tensors that may be the network's.

    Args:
        wrapper: keys of the dictionaries that they are in.
        prefix: that their names begin with.
        tensors: by name, without the prefix.
        others: names in the same dictionary without the prefix.
    """

    wrapper: tuple[str, ...]
    prefix: str
    tensors: dict[str, Tensor]
    others: list[str]

    @property
    def place(self) -> str:
        """Where it is in the file, in words; empty: its top."""
        parts = [f"[{'/'.join(self.wrapper)}]"] if self.wrapper else []
        return ", ".join([*parts, *([f"prefix {self.prefix}"] if self.prefix else [])])

    @property
    def is_average(self) -> bool:
        return "ema" in re.split(r"[._]", ".".join((*self.wrapper, self.prefix)).lower())


def load_weights(backbone: nn.Module, name: str, path: Path) -> None:
    """Loads a backbone's tensors from a weight file, and logs in one line which were taken and which left over.

    They are found under wrappers (as `state_dict`) and a common prefix (as `module.`). Where a file holds averaged
    weights (`ema`) beside the last ones, the averaged ones are taken, as timm does. What does not fit is given to
    timm's converter of the architecture, which resamples position embeddings to another image size.

    Args:
        backbone: whose tensors are replaced.
        name: of its architecture, for messages.
        path: of the file.

    Raises:
        MissingInputError: no such file.
        ConfigurationError: no weight file, weights of another network, several networks' weights, or tensors with NaN
            or infinite values.
    """
    expected = backbone.state_dict()
    required = {k for k in expected if not k.endswith("num_batches_tracked")}
    candidates = [c for w, tensors in _dictionaries(read_weight_file(path)) for c in _candidates(w, tensors, required)]
    if not candidates:
        raise refusal(path, "a file without a dictionary of tensors")
    chosen, remark = _choose(candidates, required, path)
    stems = _adapted_stems(chosen.tensors, expected, backbone)
    fitting = _fitting(chosen.tensors | stems, expected, required, backbone)
    tensors = {k: v for k, v in fitting.items() if k in expected}
    _require_fit(tensors, expected, required, f"model.weights: {path} does not fit {name}")
    _require_numbers(tensors, expected, path)
    backbone.load_state_dict(tensors, strict=False)
    loaded = {id(v) for v in tensors.values()}
    converted = [k for k, v in tensors.items() if v is not chosen.tensors.get(k) and k not in stems]
    used = {*converted, *stems}
    left = [k for k, v in chosen.tensors.items() if id(v) not in loaded and k not in used] + chosen.others
    parts = [
        f"model.weights: {len(tensors)} tensors of {name} loaded from {path}",
        *([f"taken from {chosen.place}"] if chosen.place else []),
        *([remark] if remark else []),
        *(f"{k} of {chosen.tensors[k].shape[1]} channels adapted to {v.shape[1]}" for k, v in stems.items()),
        *([f"{len(converted)} converted by timm ({_some(converted)})"] if converted else []),
        f"{len(left)} left over ({_some(left)})" if left else "none left over",
    ]
    logger.info("; ".join(parts))


def _dictionaries(content: Mapping[Any, Any], keys: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every dictionary that holds tensors by name, and the keys that lead to it."""
    tensors = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}
    if tensors:
        yield keys, tensors
    if len(keys) < _DEPTH:
        for key, value in content.items():
            if isinstance(value, Mapping):
                yield from _dictionaries(value, (*keys, str(key)))


def _candidates(wrapper: tuple[str, ...], tensors: dict[str, Tensor], required: set[str]) -> Iterator[_Candidate]:
    """One for every prefix that all required names have, or, if none has, for the one that most have."""
    numbers: Counter[str] = Counter()
    for key in tensors:
        ends = [0, *(match.end() for match in re.finditer(r"\.", key))]
        numbers.update(key[:end] for end in ends if key[end:] in required)
    prefixes = [p for p, number in numbers.items() if number == len(required)]
    prefixes = prefixes or [p for p, _ in numbers.most_common(1)] or [""]
    for prefix in prefixes:
        own = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        yield _Candidate(wrapper, prefix, own, [k for k in tensors if not k.startswith(prefix)])


def _choose(candidates: list[_Candidate], required: set[str], path: Path) -> tuple[_Candidate, str]:
    """The candidate to load, and why it and not another one."""
    whole = [c for c in candidates if required <= c.tensors.keys()]
    if not whole:
        return max(candidates, key=lambda c: (len(required & c.tensors.keys()), len(c.tensors))), ""
    averages = [c for c in whole if c.is_average]
    if len(averages) == 1:
        others = [c.place or "the top of the file" for c in whole if c is not averages[0]]
        return averages[0], f"averaged weights, taken before {', '.join(others)}" if others else ""
    if len(whole) > 1:
        places = "; ".join(c.place or "its top" for c in whole)
        raise ConfigurationError(
            f"model.weights: {path} holds {len(whole)} networks that fit ({places}); save the one that is meant alone"
        )
    return whole[0], ""


def _adapted_stems(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], backbone: nn.Module
) -> dict[str, Tensor]:
    """First convolutions whose weights are for another number of channels, as timm adapts them to the network's.

    An image of grey gives the same as one channel of it: weights are repeated, or left out, and scaled.
    """
    from timm.models._manipulate import adapt_input_conv

    config = getattr(backbone, "pretrained_cfg", None) or {}
    first = config.get("first_conv") or ()
    stems = {}
    for name in [first] if isinstance(first, str) else first:
        key = f"{name}.weight"
        if key not in tensors or key not in expected or tensors[key].ndim != 4:
            continue
        found, wanted = tensors[key].shape, expected[key].shape
        if found[1] != wanted[1] and (found[0], *found[2:]) == (wanted[0], *wanted[2:]):
            stems[key] = adapt_input_conv(wanted[1], tensors[key], base_chans=found[1])
    return stems


def _fitting(
    tensors: dict[str, Tensor], expected: Mapping[str, Tensor], required: set[str], backbone: nn.Module
) -> dict[str, Tensor]:
    """The tensors as timm's converter of the architecture makes them, if they do not fit, and fit then."""
    missing, shapes = _misfits(tensors, expected, required)
    convert = getattr(sys.modules[type(backbone).__module__], "checkpoint_filter_fn", None)
    # patches of another size are another network, though timm can resample their kernels, too
    if not (missing or shapes) or convert is None or any("patch_embed" in key for key in shapes):
        return tensors
    try:
        converted = convert(dict(tensors), backbone)
    except Exception:  # of any kind: it expects the files that it was made for
        return tensors
    return tensors if any(_misfits(converted, expected, required)) else converted


def _misfits(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], required: set[str]
) -> tuple[list[str], list[str]]:
    """Names that are missing, and names of tensors of another shape."""
    missing = [k for k in expected if k in required and k not in tensors]
    return missing, [k for k in expected if k in tensors and tensors[k].shape != expected[k].shape]


def _require_fit(
    tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], required: set[str], problem: str
) -> None:
    missing, shapes = _misfits(tensors, expected, required)
    if missing or shapes:
        raise ConfigurationError(
            f"{problem}: {len(missing)} tensors missing (first: {missing[:3]}),"
            f" {len(shapes)} of another shape (first: {shapes[:3]})"
        )


def _require_numbers(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Refuses tensors that are no real numbers where the network has them: quantised ones, NaN, infinity."""
    for key, tensor in tensors.items():
        if not expected[key].is_floating_point():
            continue
        if not tensor.is_floating_point():
            raise ConfigurationError(f"model.weights: {path}: {key} is {tensor.dtype}; expected floating point numbers")
        number = tensor.numel() - int(torch.isfinite(tensor.float()).sum())
        if number:
            raise ConfigurationError(
                f"model.weights: {path}: {number:,} of {tensor.numel():,} values of {key} are NaN or infinite;"
                " expected finite weights"
            )


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
