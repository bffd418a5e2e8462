"""Weights of a backbone from files: under any wrapper or prefix, of another image size, and what is no weight file."""

from __future__ import annotations

import argparse
import io
import logging
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from abaw_ray.config import ModelConfig
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.weight_files import pickled_classes

NAME = "test_efficientnet"
SIZE = 64  # pixels


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    """The tensors of a network with a classifier."""
    torch.manual_seed(7)
    return timm.create_model(NAME, num_classes=8).state_dict()


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def loaded(path: Path, name: str = NAME, size: int = SIZE) -> dict[str, Tensor]:
    return create_backbone(name, size, str(path)).state_dict()


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loaded(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: value for key, value in state.items()}


def assert_equal(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert all(torch.equal(value, expected[key]) for key, value in found.items())


# Weights


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "bin"])
def test_a_file_is_what_its_bytes_are_whatever_its_name(tmp_path, state, suffix):
    save_file(state, tmp_path / f"a.{suffix}")
    assert_equal(loaded(tmp_path / f"a.{suffix}"), state)
    assert_equal(loaded(saved(state, tmp_path / f"b.{suffix}")), state)
    torch.save(state, tmp_path / f"c.{suffix}", _use_new_zipfile_serialization=False)
    assert_equal(loaded(tmp_path / f"c.{suffix}"), state)


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "backbone.", "encoder.", "module.backbone.", "a.b.c."])
@pytest.mark.parametrize(
    "keys", [(), ("state_dict",), ("model",), ("net",), ("model_state_dict",), ("ema",), ("checkpoint", "network")]
)
def test_weights_are_found_under_wrappers_and_prefixes_and_the_user_is_told(tmp_path, state, caplog, prefix, keys):
    content: dict = prefixed(state, prefix)
    for key in reversed(keys):
        content = {key: content, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}}}
    caplog.set_level(logging.INFO, "abaw_ray")
    path = saved(content, tmp_path / "weights.pth")
    found = loaded(path)
    assert_equal(found, state)
    (line,) = caplog.messages
    assert line.startswith(f"model.weights: {len(found)} tensors of {NAME} loaded from {path}; ")
    assert line.endswith("; 2 left over (classifier.weight, classifier.bias)")
    assert ("taken from" in line) == bool(prefix or keys)
    assert (f"[{'/'.join(keys)}]" in line) == bool(keys)
    assert (f"prefix {prefix};" in line) == bool(prefix)


def test_averaged_weights_are_taken_before_the_last_ones(tmp_path, state, caplog):
    last = {key: torch.zeros_like(value) for key, value in state.items()}
    caplog.set_level(logging.INFO, "abaw_ray")
    wrapped = saved({"state_dict": last, "state_dict_ema": state}, tmp_path / "timm.pth")
    named = saved({"state_dict": prefixed(last, "model.") | prefixed(state, "model_ema.")}, tmp_path / "lightning.ckpt")
    for path in (wrapped, named):
        assert_equal(loaded(path), state)
    assert "taken from [state_dict_ema]; averaged weights, taken before [state_dict]; 2 left over" in caplog.messages[0]
    assert "prefix model_ema.; averaged weights, taken before [state_dict], prefix model." in caplog.messages[1]


def test_several_networks_that_fit_are_refused_by_name(tmp_path, state):
    two = prefixed(state, "student.") | prefixed(state, "teacher.")
    message = refused(saved(two, tmp_path / "dino.pth"))
    assert "holds 2 networks that fit (prefix student.; prefix teacher.)" in message
    assert "[best]; [last]" in refused(saved({"best": state, "last": state}, tmp_path / "both.pth"))


def test_weights_of_a_checkpoint_of_ours_are_those_of_its_backbone(tmp_path):
    network = MultiTaskCNN(ModelConfig(backbone=NAME), {"expression": 7}, SIZE)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    assert_equal(loaded(tmp_path / "model.safetensors"), network.backbone.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_converted(tmp_path, state, dtype):
    other = {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}
    found = loaded(saved(other, tmp_path / "weights.pth"))
    assert_equal(found, {k: v.to(state[k].dtype) for k, v in other.items()})


@pytest.mark.parametrize(("name", "stem"), [(NAME, "conv_stem"), ("test_vit", "patch_embed.proj")])
def test_weights_for_grey_images_give_the_same_of_images_of_three_equal_channels(tmp_path, caplog, name, stem):
    caplog.set_level(logging.INFO, "abaw_ray")
    grey = timm.create_model(name, in_chans=1, num_classes=5).eval()
    backbone = create_backbone(name, 160, str(saved(grey.state_dict(), tmp_path / "grey.pth"))).eval()
    images = torch.randn(2, 1, 160, 160)
    expected = grey.forward_head(grey.forward_features(images), pre_logits=True)
    torch.testing.assert_close(backbone(images.expand(2, 3, 160, 160)), expected, rtol=1e-3, atol=1e-4)
    assert f"; {stem}.weight of 1 channels adapted to 3; 2 left over" in caplog.messages[0]


def test_numbers_of_batches_may_be_missing(tmp_path, state):
    some = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    assert_equal({k: v for k, v in loaded(saved(some, tmp_path / "w.pth")).items() if k in some}, some)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_tensors_with_nan_or_infinity_are_refused_by_name(tmp_path, state, value):
    bad = {k: v.clone() for k, v in state.items()}
    bad["blocks.0.0.conv.weight"].view(-1)[5] = value
    message = refused(saved(bad, tmp_path / "weights.pth"))
    assert "1 of " in message
    assert "values of blocks.0.0.conv.weight are NaN or infinite" in message
    # a classifier that is left out does not matter
    bad = {**state, "classifier.bias": torch.full((8,), value)}
    assert_equal(loaded(saved(bad, tmp_path / "other.pth")), state)


def test_quantised_tensors_are_refused_by_name(tmp_path, state):
    bad = {**state, "conv_stem.weight": state["conv_stem.weight"].to(torch.int8)}
    assert "conv_stem.weight is torch.int8; expected floating" in refused(saved(bad, tmp_path / "weights.pth"))


def test_weights_of_another_network_are_refused(tmp_path, state):
    other = timm.create_model("test_vit").state_dict()
    assert f"does not fit {NAME}: " in refused(saved(other, tmp_path / "other.pth"))
    few = {k: v for k, v in state.items() if not k.startswith("blocks.0.")}
    assert "tensors missing (first: ['blocks.0" in refused(saved({"model": few}, tmp_path / "few.pth"))
    wide = {**state, "conv_stem.weight": torch.zeros(8, 3, 5, 5)}
    assert "1 of another shape (first: ['conv_stem.weight'])" in refused(saved(wide, tmp_path / "wide.pth"))


def test_position_embeddings_of_another_image_size_are_resampled(tmp_path, caplog):
    torch.manual_seed(1)
    source = timm.create_model("test_vit", num_classes=5).state_dict()
    caplog.set_level(logging.INFO, "abaw_ray")
    found = loaded(saved({"module": source}, tmp_path / "vit.pth"), "test_vit", 112)
    assert source["pos_embed"].shape == (1, 101, 64)
    assert found["pos_embed"].shape == (1, 50, 64)
    expected = {**source, "pos_embed": resample_abs_pos_embed(source["pos_embed"], [7, 7])}
    assert_equal(found, expected)
    assert "1 converted by timm (pos_embed); 2 left over (head.weight, head.bias)" in caplog.messages[0]


def test_weights_bound_to_another_image_size_are_refused(tmp_path):
    path = saved(timm.create_model("gmlp_ti16_224").state_dict(), tmp_path / "gmlp.pth")
    with pytest.raises(ConfigurationError, match="does not fit gmlp_ti16_224 for images of 112 pixels: 0 tensors"):
        loaded(path, "gmlp_ti16_224", 112)


def test_unknown_backbone_and_missing_file_are_named():
    with pytest.raises(ConfigurationError, match="resnet5000"):
        create_backbone("resnet5000", SIZE)
    with pytest.raises(MissingInputError, match=r"nowhere\.pth"):
        create_backbone(NAME, SIZE, "nowhere.pth")


# Files that are no weights


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def safetensors() -> bytes:
    return (len(header := b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}')).to_bytes(8, "little") + header


NO_WEIGHTS = {
    "empty": (b"", "an empty file"),
    "page": (b"\n<!DOCTYPE html><html><title>Sign in</title>", "an HTML or XML page, beginning '<!DOCTYPE"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "a git-lfs pointer"),
    "json": (b'{"error": "not found"}', "JSON, beginning"),
    "text": (b"Too many requests\n", "text, beginning 'Too many requests'"),
    "unicode": ("Fichier supprimé".encode(), "text, beginning 'Fichier"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "an HDF5 file"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x052.0.0:\x80\x01" + bytes(50), "a protocol buffer, as of ONNX"),
    "tflite": (b"\x1c\x00\x00\x00TFL3" + bytes(50), "a TensorFlow Lite model"),
    "gguf": (b"GGUF\x03\x00\x00\x00" + bytes(50), "a GGUF file"),
    "npy": (b"\x93NUMPY\x01\x00" + bytes(50), "a NumPy array"),
    "npz": (arrays(), "an archive of NumPy arrays"),
    "tar": (bytes(257) + b"ustar" + bytes(300), "a tar archive"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "a gzip archive"),
    "zip": (zipped("config.json", "model.weights.h5"), "a zip archive of 2 files (config.json, model.weights.h5"),
    "empty zip": (zipped(), "an empty zip archive"),
    "torchscript": (zipped("net/data.pkl", "net/code/net.py", "net/constants.pkl"), "a TorchScript program"),
    "zeros": (bytes(5000), "a file of 5,000 bytes of no known format, beginning 00 00"),
    "cut safetensors": (safetensors(), "a safetensors file of 63 bytes that is cut off or damaged"),
    "cut header": (safetensors()[:30], "a safetensors file of 30 bytes that is cut off or damaged"),
}


@pytest.mark.parametrize("kind", NO_WEIGHTS)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_what_is_no_weight_file_is_refused_by_what_it_looks_like(tmp_path, kind, suffix):
    content, looks = NO_WEIGHTS[kind]
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    message = refused(path)
    assert f"{path} is {looks}" in message
    assert "; expected the network's tensors: a safetensors file, or a torch file" in message
    assert len(message) < 500 + len(str(path))


@pytest.mark.parametrize("zipfile_format", [True, False])
@pytest.mark.parametrize("part", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_cut_torch_file_is_refused(tmp_path, state, zipfile_format, part):
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=zipfile_format)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert "cut off or damaged" in refused(path)


@pytest.mark.parametrize("part", [0.0005, 0.2, 0.9, 0.999])
def test_a_cut_safetensors_file_is_refused(tmp_path, state, part):
    path = tmp_path / "weights.safetensors"
    save_file(state, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    assert "a safetensors file" in refused(path)


class Planted:
    """An object whose unpickling makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("write", ["zip", "legacy", "pickle 2", "pickle 4", "pickle 5"])
def test_pickled_objects_are_named_and_never_executed(tmp_path, state, write):
    def put(content: object, name: str) -> Path:
        path = tmp_path / name
        if write.startswith("pickle"):
            path.write_bytes(pickle.dumps(content, protocol=int(write[-1])))
        else:
            torch.save(content, path, _use_new_zipfile_serialization=write == "zip")
        return path

    trap = tmp_path / "executed"
    message = refused(put({"model": {"a": torch.zeros(1)}, "x": Planted(trap)}, "trap.pth"))
    assert not trap.exists()
    assert "nothing pickled is executed here" in message
    assert "pathlib" in message
    message = refused(put(nn.Sequential(nn.Linear(2, 2)), "module.pth"))
    assert "pickled objects of torch.nn.modules.container.Sequential" in message
    message = refused(put({"state_dict": state, "args": argparse.Namespace(lr=1)}, "args.pth"))
    assert "argparse.Namespace" in message
    assert "torch.save the network's state_dict() alone" in message
    message = refused(put({"conv_stem.weight": np.zeros(3)}, "numpy.pth"))
    assert "pickled objects of numpy." in message
    assert not trap.exists()


def test_the_classes_of_a_plain_file_of_tensors_are_none(tmp_path, state):
    assert pickled_classes(saved({"state_dict": state, "epoch": 3}, tmp_path / "weights.pth")) == []


@pytest.mark.parametrize(
    ("content", "looks"),
    [
        ([torch.zeros(3)], "a pickled list"),
        (torch.zeros(3), "a pickled Tensor"),
        ({"epoch": 3, "lr": 0.1}, "a file without a dictionary of tensors"),
        ({}, "a file without a dictionary of tensors"),
        ({"model": [("a", torch.zeros(3))]}, "a file without a dictionary of tensors"),
    ],
)
def test_a_torch_file_without_a_state_dict_is_refused(tmp_path, content, looks):
    path = saved(content, tmp_path / "weights.pth")
    assert f"{path} is {looks}; expected the network's tensors" in refused(path)


def test_folders_are_refused_with_what_they_hold(tmp_path, state):
    assert f"{tmp_path} is a folder; expected" in refused(tmp_path)
    saved(state, tmp_path / "pytorch_model.bin")
    assert f"{tmp_path} is a folder (with pytorch_model.bin); expected" in refused(tmp_path)
    (tmp_path / "job.json").write_text("{}")
    assert f"{tmp_path} is an unfinished run's folder (weights are in the folders of its checkpoints)" in refused(
        tmp_path
    )
