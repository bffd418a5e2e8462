"""First weights by name: timm's own, a hub's, a run's. The hub's cache is a folder that a test fills."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
from checkpoints import make_checkpoint, small_recipe
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors.torch import save_file
from torch import Tensor

from abaw_ray.config import ModelConfig
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.models import checkpoint
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.weight_sources import colours_for, settled

NAME = "test_efficientnet"
OWN = "timm/test_efficientnet.r160_in1k"
SIZE = 64  # pixels
HALF = (127.5, 127.5, 127.5)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The tensors of a network with a classifier."""
    torch.manual_seed(7)
    return timm.create_model(NAME, num_classes=8).state_dict()


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub, which cannot be asked."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.file_download.constants.HF_HUB_CACHE", str(folder))

    def offline(repo_id: str, filename: str, revision: str | None = None) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    return folder


def cached(cache: Path, repository: str, state: dict[str, Tensor], config: object = None, revision="main") -> Path:
    """Puts a repository into the cache, as the hub's client lays it out."""
    root = cache / f"models--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / revision).write_text(snapshot.name)
    save_file(state, snapshot / "model.safetensors")
    if config is not None:
        (snapshot / "config.json").write_text(json.dumps(config))
    return snapshot


def serves(monkeypatch, folder: Path) -> list[tuple[str, str, str | None]]:
    """Lets the hub give the files of a folder; returns what it was asked for."""
    asked: list[tuple[str, str, str | None]] = []

    def download(repo_id: str, filename: str, revision: str | None = None) -> str:
        asked.append((repo_id, filename, revision))
        if not (folder / filename).is_file():
            raise EntryNotFoundError(f"no {filename}")
        return str(folder / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def described(architecture: str = NAME, mean: float = 0.5) -> dict[str, object]:
    return {"architecture": architecture, "pretrained_cfg": {"mean": [mean] * 3, "std": [0.5] * 3}}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


def refused(call: Callable[[], object], error: type[Exception] = ConfigurationError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


def test_timms_own_weights_are_taken_from_the_cache_and_the_user_is_told(cache, state, caplog):
    caplog.set_level(logging.INFO, "abaw_ray")
    snapshot = cached(cache, OWN, state)
    assert_equal(create_backbone(NAME, SIZE, "pretrained").state_dict(), state)
    (line,) = caplog.messages
    assert f"loaded from {snapshot / 'model.safetensors'}" in line
    assert line.endswith("2 left over (classifier.bias, classifier.weight)")


def test_a_tag_of_timms_chooses_the_weights(cache, state):
    cached(cache, OWN, state)
    assert_equal(create_backbone(f"{NAME}.r160_in1k", SIZE, "pretrained").state_dict(), state)


def test_what_is_not_in_the_cache_is_fetched_and_older_files_are_found_too(cache, state, tmp_path, monkeypatch):
    torch.save(state, tmp_path / "pytorch_model.bin")
    asked = serves(monkeypatch, tmp_path)
    assert_equal(create_backbone(NAME, SIZE, "pretrained").state_dict(), state)
    assert asked == [(OWN, "model.safetensors", None), (OWN, "pytorch_model.bin", None)]


def test_without_a_network_the_message_names_the_file_and_its_place(cache):
    message = refused(lambda: create_backbone(NAME, SIZE, "pretrained"), MissingInputError)
    assert f"model.safetensors of {OWN} is not in the local cache" in message
    assert f"https://huggingface.co/{OWN}/resolve/main/model.safetensors" in message
    assert str(cache / "models--timm--test_efficientnet.r160_in1k") in message


def test_weights_that_lie_on_no_hub_are_torchs_to_fetch(tmp_path, monkeypatch):
    name = "gcvit_xxtiny"
    state = timm.create_model(name).state_dict()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))

    def offline(*arguments: object, **options: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr("timm.models._hub.download_cached_file", offline)
    expected = Path(timm.get_pretrained_cfg(name).url).name
    message = refused(lambda: create_backbone(name, 224, "pretrained"), MissingInputError)
    assert expected in message
    assert str(tmp_path / "checkpoints" / expected) in message
    (tmp_path / "checkpoints").mkdir()
    torch.save(state, tmp_path / "checkpoints" / expected)
    assert_equal(create_backbone(name, 224, "pretrained").state_dict(), state)


def test_a_model_without_weights_is_refused_with_others_that_have_some(cache):
    assert "timm has no weights of resnet50t" in refused(lambda: create_backbone("resnet50t", SIZE, "pretrained"))


def test_a_repository_of_the_hub_gives_weights_and_their_colours(cache, state):
    cached(cache, "someone/faces", state, described())
    network = MultiTaskCNN(ModelConfig(backbone=NAME, weights="hf-hub:someone/faces"), {"a": 3}, SIZE)
    assert_equal(network.backbone.state_dict(), state)
    assert network.mean.flatten().tolist() == list(HALF)
    assert network.std.flatten().tolist() == list(HALF)


def test_a_revision_is_asked_for(cache, state, tmp_path, monkeypatch):
    save_file(state, tmp_path / "model.safetensors")
    asked = serves(monkeypatch, tmp_path)
    create_backbone(NAME, SIZE, "hf-hub:someone/faces@v2")
    assert ("someone/faces", "model.safetensors", "v2") in asked


def test_a_repository_of_another_architecture_is_refused_by_its_name(cache, state):
    cached(cache, "someone/faces", state, described("resnet18"))
    message = refused(lambda: create_backbone(NAME, SIZE, "hf-hub:someone/faces"))
    assert "are of resnet18, not of test_efficientnet; model.backbone=resnet18" in message


@pytest.mark.parametrize("weights", ["hf-hub:", "hf-hub:faces", "hf-hub:a/b/c"])
def test_a_name_that_is_none_of_a_repository_is_refused(cache, weights):
    assert "expected hf-hub:organisation/name" in refused(lambda: create_backbone(NAME, SIZE, weights))


@pytest.mark.parametrize("kind", ["cnn", "temporal"])
def test_a_run_of_ours_gives_its_best_backbone_and_its_colours(tmp_path, kind):
    recipe = small_recipe("model.mean=[1, 2, 3]", "model.std=[4, 5, 6]")
    folder = make_checkpoint(tmp_path / "run" / "epoch-0001", kind=kind, recipe=recipe)
    (tmp_path / "run" / "run.json").write_text(json.dumps({"best": folder.name}))
    network = checkpoint.load(folder).network(torch.device("cpu"))
    cnn = network if kind == "cnn" else network.cnn
    for path in (folder, folder.parent):
        config = ModelConfig(backbone=NAME, weights=str(path))
        found = MultiTaskCNN(config, {"a": 3}, SIZE)
        assert_equal(found.backbone.state_dict(), cnn.backbone.state_dict())
        assert found.mean.flatten().tolist() == [1, 2, 3]
        assert settled(config).std == (4, 5, 6)


def test_a_checkpoint_asks_no_hub_for_the_weights_that_its_network_began_with(cache, state, tmp_path):
    cached(cache, "someone/faces", state, described())
    recipe = small_recipe("model.weights=hf-hub:someone/faces")
    kept = recipe.model_copy(update={"model": settled(recipe.model)})
    folder = make_checkpoint(tmp_path / "made", recipe=kept)
    shutil.rmtree(cache)
    network = checkpoint.load(folder).network(torch.device("cpu"))
    assert network.mean.flatten().tolist() == list(HALF)
    assert_equal(network.backbone.state_dict(), state)


# Mean and deviation


def test_colours_are_the_recipes_before_those_of_the_weights_before_imagenets(cache, state):
    cached(cache, "someone/faces", state, described())
    weights = "hf-hub:someone/faces"
    assert colours_for(None, None, weights, NAME) == (HALF, HALF)
    assert colours_for((1.0, 2.0, 3.0), None, weights, NAME) == ((1.0, 2.0, 3.0), HALF)
    imagenet = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    assert colours_for(None, None, None, NAME) == imagenet
    assert colours_for(None, None, "pretrained", "resnet50") == imagenet
    assert colours_for(None, None, "pretrained", "vit_small_patch16_224") == (HALF, HALF)


def test_what_timm_writes_beside_a_file_tells_its_colours(tmp_path, state):
    save_file(state, tmp_path / "model.safetensors")
    weights = str(tmp_path / "model.safetensors")
    assert colours_for(None, None, weights, NAME).mean == (123.675, 116.28, 103.53)
    (tmp_path / "config.json").write_text(json.dumps({"architecture": NAME, "mean": [0.5] * 3, "std": [0.5] * 3}))
    assert colours_for(None, None, weights, NAME) == (HALF, HALF)


def test_settled_sections_build_the_same_network_without_their_weights(cache, state):
    cached(cache, "someone/faces", state, described())
    encoder = {"kind": "image_cnn", "weights": "hf-hub:someone/faces"}
    plain = settled(ModelConfig(backbone=NAME, weights="hf-hub:someone/faces")).without_weights()
    assert plain.weights is None
    assert (plain.mean, plain.std) == (HALF, HALF)
    streams = settled(ModelConfig(backbone=NAME, encoders={"face": encoder})).without_weights()
    assert streams.encoders["face"] == {"kind": "image_cnn", "weights": None, "mean": list(HALF), "std": list(HALF)}
    assert settled(ModelConfig()) == ModelConfig()


def test_names_of_hubs_are_no_files_that_have_to_travel():
    model = ModelConfig(weights="pretrained", encoders={"face": {"kind": "image_cnn", "weights": "hf-hub:a/b"}})
    assert model.weight_files == {}
    assert model.with_weight_files(lambda file: f"/{file}") == model
