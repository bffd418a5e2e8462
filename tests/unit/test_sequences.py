"""Networks over the frames of a window: which frames they see, windows of any length, checkpoints and exports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from sharp import make_sharp_checkpoint

from abaw_ray.config import TemporalConfig
from abaw_ray.errors import ConfigurationError
from abaw_ray.inference.export.export import export_run
from abaw_ray.inference.export.parity import random_faces
from abaw_ray.inference.opening import open_model
from abaw_ray.models import checkpoint
from abaw_ray.models.sequences import build_sequence
from abaw_ray.models.sequences.base import Sequence
from abaw_ray.models.sequences.gru import TaskGRU
from abaw_ray.models.sequences.transformer import _positions

KINDS = ["gru", "transformer", "tcn"]
WINDOW = 4


pytestmark = pytest.mark.usefixtures("one_thread")


def made(kind: object, hidden: int = 8) -> Sequence:
    torch.manual_seed(0)
    return build_sequence(TemporalConfig.model_validate({"kind": kind, "hidden": hidden}), 6, 3).eval()


def seen(sequence: Sequence, frame: int, num_frames: int) -> list[int]:
    """Frames that the logits of one depend on."""
    x = torch.randn(1, num_frames, 6, requires_grad=True)
    sequence(x)[0, frame].sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(1).nonzero().flatten().tolist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("num_frames", [1, 2, 33, 200])
def test_windows_may_have_any_length(kind, num_frames):
    sequence = made(kind)
    x = torch.randn(2, num_frames, 6)
    assert sequence(x).shape == (2, num_frames, 3)
    assert sequence.features(x).shape == (2, num_frames, 16)


def test_grus_and_transformers_see_the_whole_window_and_tcns_what_their_layers_reach():
    assert seen(made("gru"), 5, 12) == seen(made("transformer"), 5, 12) == list(range(12))
    assert seen(made({"kind": "tcn", "layers": 2}), 10, 40) == list(range(7, 14))
    assert seen(made("tcn"), 20, 60) == list(range(5, 36))


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_counts_and_windows_of_a_batch_do_not_mix(kind):
    sequence, x = made(kind), torch.randn(2, 6, 6)
    assert not torch.allclose(sequence(x.flip(1)).flip(1), sequence(x), atol=1e-3)
    torch.testing.assert_close(sequence(x)[:1], sequence(x[:1]))


def test_positions_are_those_of_the_paper():
    found = _positions(torch.zeros(1, 50, 16))
    for frame, pair in ((0, 0), (7, 3), (49, 7)):
        angle = frame / 10_000 ** (2 * pair / 16)
        assert found[frame, [pair, pair + 8]].tolist() == pytest.approx([np.sin(angle), np.cos(angle)], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_what_only_the_frame_before_tells(kind):
    torch.manual_seed(1)
    sequence = build_sequence(TemporalConfig.model_validate({"kind": kind, "hidden": 16}), 6, 2).train()
    optimizer = torch.optim.Adam(sequence.parameters(), 0.01)
    for _ in range(120):
        x = torch.randn(32, 8, 6)
        classes = (x[:, :-1, 0] > 0).long()
        loss = torch.nn.functional.cross_entropy(sequence(x)[:, 1:].flatten(0, 1), classes.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x = torch.randn(64, 10, 6)
    right = sequence.eval()(x)[:, 1:].argmax(2) == (x[:, :-1, 0] > 0)
    assert right.float().mean() > 0.8


def test_a_gru_is_the_default():
    assert isinstance(build_sequence(TemporalConfig(), 6, 3), TaskGRU)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("lstm", "temporal.kind: found 'lstm', which is no temporal network; known: gru, tcn, transformer"),
        ({"kind": "gru", "layers": 2}, "temporal.kind cannot be used"),
        ({"kind": "transformer", "attention_heads": 3}, "3 attention heads do not divide a width of 16"),
        ({"kind": "tcn", "kernel": 4}, "kernel: found 4, expected an odd number"),
    ],
)
def test_unknown_kinds_and_options_are_refused(kind, message):
    with pytest.raises(ConfigurationError, match=message.replace("(", r"\(")):
        made(kind)


@pytest.mark.parametrize("kind", ["transformer", "{kind: tcn, layers: 2}"])
def test_a_checkpoint_comes_back_with_its_kind(tmp_path: Path, kind: str):
    folder = make_checkpoint(tmp_path / "made", kind="temporal", recipe=small_recipe(f"temporal.kind={kind}"))
    network = checkpoint.load(folder).network(torch.device("cpu"))
    assert {type(head).__name__.removeprefix("Task").lower() for head in network.heads.values()} == {
        "tcn" if "tcn" in kind else "transformer"
    }
    assert network.feature_widths == dict.fromkeys(network.heads, 128)


@pytest.mark.parametrize("kind", ["transformer", "tcn"])
@pytest.mark.parametrize(("form", "suffix"), [("onnx", "onnx"), ("torch", "pt2")])
def test_an_export_predicts_what_the_run_predicts_of_windows_of_any_length(tmp_path, kind, form, suffix):
    recipe = small_recipe(f"temporal.kind={kind}", f"temporal.window={WINDOW}")
    run = make_sharp_checkpoint(tmp_path / "run", {"decisions": {}}, kind="temporal", recipe=recipe)
    export_run(run, tmp_path / f"model.{suffix}", form)
    model, exported = open_model(run), open_model(tmp_path / f"model.{suffix}")
    for length in range(1, WINDOW + 1):
        faces = random_faces(model.info, length)
        expected, found = model.predict(faces), exported.predict(faces)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-4, err_msg=name)
