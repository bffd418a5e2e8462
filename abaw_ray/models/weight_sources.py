"""Where first weights of a backbone come from, by what `model.weights` says: timm's own, a hub's, a run's, a file's.

Hubs are asked for files alone, which `weight_files` reads: nothing that a hub holds is executed. What the local cache
has is taken without asking.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abaw_ray.config import HUB, PRETRAINED, ModelConfig, of_hub
from abaw_ray.errors import ConfigurationError, MissingInputError, shortened
from abaw_ray.models.colours import Colour, Colours

logger = logging.getLogger(__name__)

FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""Names of weight files in a repository, the first that is there is taken."""
CONFIG = "config.json"
"""What timm writes beside weights: architecture, mean, deviation."""


@dataclass(frozen=True)
class _Repository:
    """A repository of the Hugging Face hub.

    Args:
        name: as `timm/resnet50.a1_in1k`.
        revision: branch, tag or commit; None: the main branch.
    """

    name: str
    revision: str | None = None

    @classmethod
    def parse(cls, weights: str) -> _Repository:
        """Of `hf-hub:org/name` or `hf-hub:org/name@revision`."""
        name, _, revision = weights.removeprefix(HUB).partition("@")
        if name.count("/") != 1 or not all(name.split("/")):
            raise ConfigurationError(f"model.weights: found {weights!r}, expected {HUB}organisation/name")
        return cls(name, revision or None)

    def file(self, names: tuple[str, ...]) -> Path:
        """The first of some files that is there, from the local cache, or fetched into it.

        Raises:
            MissingInputError: none is, or the hub cannot be asked.
        """
        import huggingface_hub
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

        for name in names:
            found = huggingface_hub.try_to_load_from_cache(self.name, name, revision=self.revision)
            if isinstance(found, str):
                return Path(found)
        for name in names:
            try:
                return Path(huggingface_hub.hf_hub_download(self.name, name, revision=self.revision))
            except LocalEntryNotFoundError as error:
                raise self._unreachable(names[0], error) from None
            except EntryNotFoundError:
                continue
            except Exception as error:  # of the network, of the hub, of the disk: each has its own
                raise self._unreachable(names[0], error) from None
        raise MissingInputError(f"model.weights: {self.name} has none of the files {', '.join(names)}")

    def _unreachable(self, name: str, error: Exception) -> MissingInputError:
        from huggingface_hub.constants import HF_HUB_CACHE

        address = f"https://huggingface.co/{self.name}/resolve/{self.revision or 'main'}/{name}"
        folder = Path(HF_HUB_CACHE) / f"models--{self.name.replace('/', '--')}"
        return MissingInputError(
            f"model.weights: {name} of {self.name} is not in the local cache, and the hub gave none"
            f" ({_one_line(error)}). Where there is a network, fetch {address} and {CONFIG} beside it into one folder"
            f" and say model.weights=FOLDER/{name}, or copy the folder {folder.name} of a cache there to {folder}"
            " (HF_HOME moves the cache)"
        )


def locate(weights: str, backbone: str) -> Path:
    """The local file that weights are read from; those of a hub are fetched into its cache.

    Args:
        weights: `model.weights`.
        backbone: timm model name, with or without a tag.

    Raises:
        ConfigurationError: there are no such weights, or of another architecture.
        MissingInputError: no such file, or it is not in the cache and the hub cannot be asked.
        StoreError: a run's checkpoint is damaged.
    """
    if weights == PRETRAINED:
        config = _pretrained_config(backbone)
        return _Repository(config.hf_hub_id).file(FILES) if config.hf_hub_id else _fetched(config.url, backbone)
    if weights.startswith(HUB):
        file = _Repository.parse(weights).file(FILES)
        _require_architecture(_hub_config(weights), backbone, weights)
        return file
    path = Path(weights)
    if not is_trained(path):
        return path
    from abaw_ray.models import checkpoint  # it imports networks, which import this

    return checkpoint.load(path).whole(checkpoint.WEIGHTS)


def colours_of(weights: str, backbone: str) -> Colours | None:
    """Mean and deviation that weights were trained with; None: nothing tells.

    Of a file, `config.json` beside it tells, as timm writes it, or a backbone of `face_backbones`. Raises as `locate`.
    """
    if weights == PRETRAINED:
        config = _pretrained_config(backbone)
        return _in_pixels(config.mean, config.std)
    if of_hub(weights):
        return _colours_in(_hub_config(weights))
    path = Path(weights)
    if not is_trained(path):
        beside = path.parent / CONFIG
        return _colours_in(_read_config(beside)) if beside.is_file() else _colours_of_faces(backbone)
    from abaw_ray.models import checkpoint

    model = checkpoint.load(path).recipe.model
    return Colours(model.mean, model.std) if model.mean and model.std else Colours.of_imagenet()


def _colours_of_faces(backbone: str) -> Colours | None:
    """Mean and deviation of the public weights of a face recognition network; None: it is none."""
    import timm

    from abaw_ray.models import face_backbones

    config = timm.get_pretrained_cfg(backbone) if backbone.partition(".")[0] in face_backbones.__all__ else None
    return _in_pixels(config.mean, config.std) if config is not None else None


def colours_for(mean: Colour | None, std: Colour | None, weights: str | None, backbone: str) -> Colours:
    """Mean and deviation as a recipe says them, else those of the weights, else ImageNet's. Raises as `locate`."""
    if mean is not None and std is not None:
        return Colours(mean, std)
    found = colours_of(weights, backbone) if weights is not None else None
    if weights is not None and found is None:
        logger.warning("model.mean, model.std: nothing tells those of %s; ImageNet's are taken", weights)
    known = found or Colours.of_imagenet()
    return Colours(mean or known.mean, std or known.std)


def settled(model: ModelConfig) -> ModelConfig:
    """The section with the mean and deviation of its weights written out, for a checkpoint that is read without them.

    Without weights it stays as it is. Raises as `locate`.
    """
    changed: dict[str, Any] = {}
    if model.weights is not None:
        changed |= colours_for(model.mean, model.std, model.weights, model.backbone)._asdict()
    encoders = dict(model.encoders)
    for name, encoder in encoders.items():
        if isinstance(encoder, dict) and encoder.get("kind") == "image_cnn" and encoder.get("weights") is not None:
            mean, std = encoder.get("mean") or model.mean, encoder.get("std") or model.std
            colours = colours_for(mean, std, encoder["weights"], encoder.get("backbone") or model.backbone)
            encoders[name] = encoder | {key: list(values) for key, values in colours._asdict().items()}
    return model.model_copy(update=changed | ({"encoders": encoders} if encoders != model.encoders else {}))


def is_trained(path: Path) -> bool:
    """Whether a folder is a run's or a checkpoint's."""
    return any((path / name).is_file() for name in ("run.json", "checkpoint.json"))


def _pretrained_config(backbone: str) -> Any:
    """What timm says of its own weights of a model."""
    import timm

    config = timm.get_pretrained_cfg(backbone)
    if config is None or not (config.hf_hub_id or config.url):
        name = backbone.partition(".")[0]
        tags = ", ".join(timm.list_pretrained(f"{name}.*")[:8])
        others = ", ".join(timm.list_pretrained(f"*{name[:6]}*")[:8]) or "none similar"
        known = f"its weights are called {tags}" if tags else f"backbones that have weights: {others}"
        raise ConfigurationError(f"model.weights: timm has no weights of {backbone}; {known}")
    return config


def _fetched(address: str, backbone: str) -> Path:
    """A file of timm's that lies on no hub, from torch's cache, or fetched into it."""
    from timm.models import _hub
    from torch.hub import get_dir

    name = address.rpartition("/")[2]
    file = Path(get_dir()) / "checkpoints" / name
    if file.is_file():
        return file
    try:
        return Path(_hub.download_cached_file(address, check_hash=True))
    except Exception as error:  # of the network or the disk: each has its own
        raise MissingInputError(
            f"model.weights: {name}, timm's weights of {backbone}, is not in the local cache, and cannot be fetched"
            f" ({_one_line(error)}). Where there is a network, fetch {address} and put it to {file}"
        ) from None


def _hub_config(weights: str) -> Mapping[str, Any]:
    """What a repository of the hub says of its weights; empty: nothing."""
    repository = _Repository.parse(weights)
    try:
        return _read_config(repository.file((CONFIG,)))
    except MissingInputError:
        repository.file(FILES)  # without weights this is what is to be told
        return {}


def _read_config(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"model.weights: {path} cannot be read as JSON ({error})") from None
    return config if isinstance(config, dict) else {}


def _require_architecture(config: Mapping[str, Any], backbone: str, weights: str) -> None:
    """Refuses weights of another architecture by its name, where they tell one."""
    found = config.get("architecture")
    if isinstance(found, str) and found != backbone.partition(".")[0]:
        raise ConfigurationError(f"model.weights: {weights} are of {found}, not of {backbone}; model.backbone={found}")


def _colours_in(config: Mapping[str, Any]) -> Colours | None:
    """Of timm's description of weights, which older versions wrote without `pretrained_cfg`."""
    described = config.get("pretrained_cfg")
    values = described if isinstance(described, Mapping) else config
    found = [values.get("mean"), values.get("std")]
    if not all(isinstance(v, list) and len(v) == 3 and all(isinstance(x, int | float) for x in v) for v in found):
        return None
    return _in_pixels(*found)


def _in_pixels(mean: Any, std: Any) -> Colours:
    """Of values from 0 to 1."""
    scaled: Any = [tuple(round(255 * float(value), 6) for value in values) for values in (mean, std)]
    return Colours(*scaled)


def _one_line(error: Exception) -> str:
    return shortened(" ".join(f"{type(error).__name__}: {error}".split()), 160)
