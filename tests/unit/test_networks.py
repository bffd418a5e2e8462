"""Networks from encoders, a fusion and heads by name; streams that samples lack; kinds in checkpoints."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import make_checkpoint, small_recipe
from pydantic import Field
from torch import Tensor, nn

from abaw_ray.config import ModelConfig, Recipe, Section, load_recipe
from abaw_ray.errors import ConfigurationError, StoreError
from abaw_ray.models import checkpoint
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN
from abaw_ray.models.encoders import ENCODERS
from abaw_ray.models.encoders.base import Encoder, Shape
from abaw_ray.models.frozen_cnns import inherited
from abaw_ray.models.fusion import FUSIONS, build_fusion
from abaw_ray.models.fusion.base import Fusion
from abaw_ray.models.fusion.masked_attention import MaskedAttention
from abaw_ray.models.heads import HEADS, build_head
from abaw_ray.models.heads.paper import PaperHead
from abaw_ray.models.kinds import NETWORKS, kind_of
from abaw_ray.models.streams import MultiStreamNetwork, Streams
from abaw_ray.models.temporal import TemporalNetwork

OUTPUTS = {"expression": 7, "valence_arousal": 40}
SHAPES: dict[str, tuple[int, ...]] = {"face": (3, 32, 32), "audio": (16, 24), "voice": (5,)}
TWO = {"audio": {"kind": "audio_cnn", "width": 16}, "voice": {"kind": "vector_mlp", "width": 8}}
BATCH = 6


def network(encoders: dict[str, Any] = TWO, **model: Any) -> MultiStreamNetwork:
    torch.manual_seed(0)
    config = ModelConfig(backbone="test_efficientnet", head="paper", head_dropout=0, encoders=encoders, **model)
    return MultiStreamNetwork(config, OUTPUTS, SHAPES)


def samples(*names: str, missing: Mapping[str, Any] | None = None, seed: int = 1) -> Streams:
    """Random samples of streams; places that are `missing` of a stream are NaN, which would show."""
    generator = torch.Generator().manual_seed(seed)
    streams = {name: torch.randn((BATCH, *SHAPES[name]), generator=generator) for name in names}
    present = {name: torch.ones(BATCH, dtype=torch.bool) for name in names}
    for name, places in (missing or {}).items():
        present[name][places] = False
        streams[name][places] = torch.nan
    return Streams(streams, present)


# The CNN, as before


@pytest.mark.parametrize("head", ["reference", "paper"])
def test_the_cnn_s_tensors_have_the_names_and_first_numbers_that_they_had(head: str) -> None:
    torch.manual_seed(3)
    cnn = MultiTaskCNN(ModelConfig(backbone="test_efficientnet", head=head), OUTPUTS, 32)
    torch.manual_seed(3)
    backbone = create_backbone("test_efficientnet", 32)
    expected = {f"backbone.{name}": value for name, value in backbone.state_dict().items()}
    for task, size in OUTPUTS.items():
        first = nn.Linear(256, 128)
        layers = {"features.1": first, "classifier.1": nn.Linear(128, size)}
        if head == "reference":
            layers |= {"features.0": nn.BatchNorm1d(256), "features.3": nn.BatchNorm1d(128)}
        for place, layer in layers.items():
            expected |= {f"heads.{task}.{place}.{name}": value for name, value in layer.state_dict().items()}
    found = cnn.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_one_image_encoder_is_the_cnn() -> None:
    config = ModelConfig(backbone="test_efficientnet", mean=(90, 100, 110))
    cnn = MultiTaskCNN(config, OUTPUTS, 32).eval()
    streams = MultiStreamNetwork(config.model_copy(update={"encoders": {"face": "image_cnn"}}), OUTPUTS, SHAPES).eval()
    names = {"backbone": "encoders.face.backbone"}
    weights = {f"{names.get(k.split('.')[0], 'heads')}.{k.partition('.')[2]}": v for k, v in cnn.state_dict().items()}
    streams.load_state_dict(weights)
    images = torch.randint(256, (4, 3, 32, 32), dtype=torch.uint8)
    expected, found = cnn(images), streams({"face": images}, {"face": torch.ones(4, dtype=torch.bool)})
    assert all(torch.equal(found[task], expected[task]) for task in OUTPUTS)


# Streams that samples lack


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_attention_without_a_stream_is_a_network_without_it(mode: str) -> None:
    both, alone = (getattr(network(e, fusion="masked_attention"), mode)() for e in (TWO, {"voice": TWO["voice"]}))
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if k in alone.state_dict()})
    given = samples("voice", "audio", missing={"audio": slice(None)})
    without = Streams({"voice": given.streams["voice"]}, {"voice": given.present["voice"]})
    found, expected = both(*given), alone(*without)
    sum(values.square().sum() for values in found.values()).backward()
    sum(values.square().sum() for values in expected.values()).backward()
    for task in OUTPUTS:
        torch.testing.assert_close(found[task], expected[task], rtol=0, atol=0)
    of_alone = dict(alone.named_parameters())
    for name, parameter in both.named_parameters():
        assert parameter.grad is not None, f"DDP waits for {name}"
        if name in of_alone:
            torch.testing.assert_close(parameter.grad, of_alone[name].grad, rtol=0, atol=0)
        else:
            assert not parameter.grad.any(), name


@pytest.mark.parametrize("fusion", ["masked_attention", "concatenate"])
def test_a_batch_of_both_kinds_is_two_batches(fusion: str) -> None:
    net = network(fusion=fusion).eval()
    mixed = samples("audio", "voice", missing={"audio": [0, 3], "voice": [5]})
    logits = net(*mixed)
    for rows in ([0, 3], [1, 2, 4], [5]):
        part = net(*({n: v[rows] for n, v in values.items()} for values in mixed))
        for task in OUTPUTS:
            torch.testing.assert_close(logits[task][rows], part[task])
    of_left_out = net({"voice": mixed.streams["voice"]}, {"voice": mixed.present["voice"]})
    torch.testing.assert_close(of_left_out["expression"][[0, 3]], logits["expression"][[0, 3]])


@pytest.mark.parametrize("fusion", ["masked_attention", "concatenate"])
def test_a_sample_without_any_stream_is_zeros_and_no_nan(fusion: str) -> None:
    net = network(fusion=fusion)
    given = samples("audio", "voice", missing={"audio": [0, 2], "voice": [0]})
    fused = []
    net.fusion.register_forward_hook(lambda module, inputs, output: fused.append(output))
    logits = net(*given)
    sum(values.square().sum() for values in logits.values()).backward()
    assert not fused[0][0].any()
    assert fused[0][1:].any(1).all()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


def test_attention_by_hand() -> None:
    fusion = build_fusion({"kind": "masked_attention", "width": 1}, "model.fusion", {"a": 1, "b": 1})
    assert isinstance(fusion, MaskedAttention)
    with torch.no_grad():
        for name, scale in (("a", 1.0), ("b", 10.0)):
            for part, weight in ((fusion.projections, scale), (fusion.scores, 1.0)):
                part[name].weight.fill_(weight)
                part[name].bias.zero_()
    features = {"a": torch.tensor([[math.log(3.0)], [2.0], [0.0]]), "b": torch.tensor([[0.0], [0.0], [7.0]])}
    present = {"a": torch.tensor([True, True, False]), "b": torch.tensor([True, False, True])}
    weights = fusion.weights(features, present)
    np.testing.assert_allclose(weights.detach(), [[0.75, 0.25], [1, 0], [0, 1]], atol=1e-6)
    np.testing.assert_allclose(fusion(features, present).detach(), [[0.75 * np.log(3)], [2], [70]], rtol=1e-6)


def test_concatenation_has_zeros_for_what_is_missing() -> None:
    fusion = build_fusion("concatenate", "model.fusion", {"a": 2, "b": 1})
    features = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.tensor([[5.0], [torch.nan]])}
    present = {"a": torch.tensor([True, True]), "b": torch.tensor([True, False])}
    assert fusion.width == 3
    assert fusion(features, present).tolist() == [[1, 2, 5], [3, 4, 0]]


def test_modality_dropout_leaves_every_sample_something() -> None:
    net = network(modality_dropout=0.5, fusion="masked_attention")
    many = {name: torch.ones(4000, dtype=torch.bool) for name in TWO}
    many["audio"][:1000] = False
    torch.manual_seed(0)
    masks = net.train()._masks(many)
    assert masks.any(0).all()
    assert masks[1, :1000].all(), "its only stream"
    shares = masks[:, 1000:].float().mean(1)
    torch.testing.assert_close(shares, torch.full((2,), 0.5 + 0.25 / 2 + 0.125), atol=0.03, rtol=0)
    assert torch.equal(net.eval()._masks(many), torch.stack([many["audio"], many["voice"]]))


# Sets and clips


@pytest.mark.parametrize("batch_norm", ["per_set", "joint"])
def test_sets_with_other_streams_are_passed_together(batch_norm: str) -> None:
    net = network(batch_norm=batch_norm, fusion="masked_attention").eval()
    sets = {"a": samples("voice"), "b": samples("audio", "voice", missing={"audio": [1]}, seed=2)}
    outputs = net.forward_sets(sets).logits
    for name, streams in sets.items():
        for task, logits in net(*streams).items():
            torch.testing.assert_close(outputs[name][task], logits, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batch_norm", ["per_set", "joint"])
def test_sets_without_any_of_the_streams_are_zeros_of_which_every_parameter_has_part(batch_norm: str) -> None:
    net = network(batch_norm=batch_norm, fusion="masked_attention")
    outputs = net.forward_sets({"a": samples("face"), "b": samples("face")}).logits
    for task, head in net.heads.items():
        torch.testing.assert_close(outputs["b"][task], head(torch.zeros(BATCH, 256)))
    sum(values.sum() for of_set in outputs.values() for values in of_set.values()).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_clips_have_a_row_a_frame_or_one_from_a_pooling_head() -> None:
    config = network(fusion="masked_attention").eval()
    pooled = MultiStreamNetwork(
        ModelConfig(head="paper", head_dropout=0, encoders=TWO, fusion="masked_attention"),
        OUTPUTS,
        SHAPES,
        {"expression": "pooled"},
    ).eval()
    pooled.load_state_dict(config.state_dict())
    frames = samples("audio", "voice", missing={"audio": [0, 1], "voice": [0]})
    clips = Streams(*({n: v.unflatten(0, (2, 3)) for n, v in values.items()} for values in frames))
    of_frames, of_clips = config(*frames), pooled(*clips)
    torch.testing.assert_close(of_clips["valence_arousal"], of_frames["valence_arousal"])
    assert of_clips["expression"].shape == (2, 7)
    sets = pooled.forward_sets({"a": clips, "b": clips}).logits
    torch.testing.assert_close(sets["b"]["expression"], of_clips["expression"])


def test_pooling_is_the_mean_of_the_frames_that_are_there() -> None:
    head = build_head("pooled", "model.head", 4, 2, ModelConfig(head_features=3, head_dropout=0))
    frames = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32)
    present = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 0], [0, 0, 0, 0, 0]], bool)
    expected = np.stack([frames[0].mean(0), frames[1, [1, 3]].mean(0), np.zeros(4)])
    frames[~present] = np.nan
    rows = head.rows(torch.from_numpy(frames), torch.from_numpy(present))
    np.testing.assert_allclose(rows, expected, atol=1e-6)
    first, last = (layer.detach() for layer in (head.features[1].weight, head.classifier[1].weight))  # type: ignore[index]
    hidden = np.maximum(expected @ first.numpy().T + head.features[1].bias.detach().numpy(), 0)  # type: ignore[index]
    logits = hidden @ last.numpy().T + head.classifier[1].bias.detach().numpy()  # type: ignore[index]
    np.testing.assert_allclose(head(rows).detach(), logits, atol=1e-5)


# Reversal


def test_a_reversed_gradient_has_another_sign_and_scale_for_the_network_alone() -> None:
    config = ModelConfig(head_features=3, head_dropout=0)
    torch.manual_seed(0)
    plain = build_head("paper", "model.head", 4, 2, config)
    reversal = build_head({"kind": "reversal", "strength": 0.25}, "tasks.who.head", 4, 2, config)
    reversal.load_state_dict(plain.state_dict())
    inputs = [torch.eye(4, requires_grad=True) for _ in range(2)]
    outputs = [head(x) for head, x in zip((plain, reversal), inputs, strict=True)]
    assert torch.equal(*outputs)
    for values in outputs:
        values.square().sum().backward()
    assert inputs[0].grad is not None
    assert inputs[0].grad.any()
    torch.testing.assert_close(inputs[1].grad, -0.25 * inputs[0].grad)
    for ours, theirs in zip(reversal.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_task_s_own_head() -> None:
    recipe = load_recipe(None, ["model.backbone=test_efficientnet", "tasks.expression.head={kind: reversal}"])
    cnn = NETWORKS.get("cnn", "kind")(recipe, OUTPUTS, SHAPES)
    assert [type(head).__name__ for head in cnn.heads.values()] == ["ReversalHead", "ReferenceHead"]  # type: ignore[operator, union-attr]


# By name


class LoudnessOptions(Section):
    scale: float = Field(1.0, gt=0)


class Loudness(Encoder):
    """The mean of a window."""

    Options = LoudnessOptions
    axes = ("bands", "steps")
    width = 1

    def __init__(self, options: LoudnessOptions, shape: Shape, config: ModelConfig) -> None:
        super().__init__(options, shape, config)
        self.scale = nn.Parameter(torch.tensor(options.scale))

    def forward(self, windows: Tensor) -> Tensor:
        return self.scale * windows.mean((1, 2))[:, None]


class First(Fusion):
    """The first stream alone."""

    def __init__(self, options: Any, widths: Mapping[str, int]) -> None:
        super().__init__(options, widths)
        self.width = next(iter(widths.values()))

    def forward(self, features: Mapping[str, Tensor], present: Mapping[str, Tensor]) -> Tensor:
        return next(iter(features.values()))


class Twice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


class Doubled(PaperHead):
    """The paper's head of twice the features."""

    def __init__(self, in_features: int, num_outputs: int, config: ModelConfig, options: Any) -> None:
        super().__init__(in_features, num_outputs, config, options)
        self.features[0] = Twice()


@pytest.fixture
def own_parts() -> Iterator[None]:
    ENCODERS.register("loudness", Loudness)
    FUSIONS.register("first", First)
    HEADS.register("doubled", Doubled)
    yield
    for registry, name in ((ENCODERS, "loudness"), (FUSIONS, "first"), (HEADS, "doubled")):
        registry._registered.pop(name)


def streams_recipe(*overrides: str) -> Recipe:
    return load_recipe(None, ["model.encoders={audio: audio_cnn, voice: vector_mlp}", *overrides])


def test_parts_from_outside_are_used_through_the_recipe(own_parts: None) -> None:
    recipe = streams_recipe(
        "model.encoders={audio: {kind: loudness, scale: 3}, voice: vector_mlp}",
        "model.fusion=first",
        "tasks.expression.head=doubled",
    )
    assert kind_of(recipe.model) == "streams"
    net = NETWORKS.get(kind_of(recipe.model), "kind")(recipe, OUTPUTS, SHAPES)
    assert isinstance(net, MultiStreamNetwork)
    assert isinstance(net.heads["expression"], Doubled)
    given = samples("audio", "voice")
    loud = given.streams["audio"].mean((1, 2))[:, None]
    logits = net.eval()(*given)
    assert net.fusion.width == 1
    torch.testing.assert_close(logits["valence_arousal"], net.heads["valence_arousal"](3 * loud))
    plain = build_head("paper", "model.head", 1, 7, recipe.model).eval()
    plain.load_state_dict(net.heads["expression"].state_dict())
    torch.testing.assert_close(logits["expression"], plain(2 * 3 * loud))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.encoders.audio=spectrogram",
            r"model\.encoders\.audio: found 'spectrogram', which is no encoder; known: "
            "audio_cnn, image_cnn, torch_module, vector_mlp",
        ),
        ("model.encoders.text=vector_mlp", r"model\.encoders: text not among the streams: face, audio, voice"),
        (
            "model.encoders.audio=vector_mlp",
            r"encoders\.audio: it takes samples of the axes length; found .*\(16, 24\)",
        ),
        ("model.encoders.audio={width: 8}", r"audio: found no kind; expected kind to be one of: audio_cnn, image_cnn"),
        ("model.encoders.audio={kind: audio_cnn, width: 9}", r"encoders\.audio cannot be used:\n  width: .*found 9"),
        ("model.encoders.audio={kind: audio_cnn, depth: 9}", r"depth: .*\n  known options: width"),
        ("model.fusion=sum", r"model\.fusion: found 'sum', which is no fusion; known: concatenate, masked_attention"),
        ("model.head=papr", r"model\.head: found 'papr', which is no head; known: paper, pooled, reference, reversal"),
        ("tasks.expression.head=papr", r"tasks\.expression\.head: found 'papr', which is no head; known: paper"),
        ("tasks.expression.head={kind: paper, strength: 1}", r"strength: .*\n  known options: none"),
    ],
)
def test_unknown_parts_and_options_are_refused_with_what_there_is(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        NETWORKS.get("streams", "kind")(streams_recipe(override), OUTPUTS, SHAPES)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.fusion=masked_attention", "fusion and modality_dropout are of streams; expected encoders"),
        ("model.modality_dropout=0.5", "fusion and modality_dropout are of streams; expected encoders"),
        ("model.encoders={Big Face: image_cnn}", "model.encoders.Big Face"),
    ],
)
def test_settings_of_streams_that_cannot_be(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_recipe(None, [override])


def test_a_cnn_does_not_leave_encoders_out_in_silence() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.encoders: found audio, voice, expected none"):
        NETWORKS.get("cnn", "kind")(streams_recipe(), OUTPUTS, SHAPES)


def test_weight_files_of_encoders_are_found_and_changed() -> None:
    model = streams_recipe("model.encoders.face={kind: image_cnn, weights: a.pt}", "model.weights=b.pt").model
    assert model.weight_files == {"model.weights": "b.pt", "model.encoders.face.weights": "a.pt"}
    assert model.with_weight_files(lambda file: f"/{file}").weight_files == {
        "model.weights": "/b.pt",
        "model.encoders.face.weights": "/a.pt",
    }
    assert not model.with_weight_files(lambda file: None).weight_files


# Checkpoints


def test_a_checkpoint_of_streams_comes_back(tmp_path: Path) -> None:
    recipe = streams_recipe("model.fusion=masked_attention", "tasks.expression.head=reversal")
    found = checkpoint.load(make_checkpoint(tmp_path / "run", kind="streams", recipe=recipe, streams=SHAPES))
    net = found.network(torch.device("cpu"))
    assert isinstance(net, MultiStreamNetwork)
    assert type(net.heads["expression"]).__name__ == "ReversalHead"
    assert net(*samples("audio", "voice"))["action_units"].shape == (BATCH, 12)
    with pytest.raises(ConfigurationError, match="a streams network; expected a CNN"):
        found.cnn(torch.device("cpu"))


def test_a_temporal_network_goes_on_from_a_cnn_with_heads_of_their_own(tmp_path: Path) -> None:
    tasks = {"expression": {"head": {"kind": "reversal", "strength": 0.1}}, "valence_arousal": {"form": "plain"}}
    cnn = checkpoint.load(make_checkpoint(tmp_path / "cnn", tasks=tasks))
    recipe = inherited([cnn], small_recipe())
    gru = checkpoint.load(make_checkpoint(tmp_path / "gru", kind="temporal", recipe=recipe, seed=1))
    network = gru.network(torch.device("cpu"))
    assert isinstance(network, TemporalNetwork)
    network.cnn.load_state_dict(cnn.tensors(network.heads))
    images = torch.rand(2, 3, 32, 32) * 255
    torch.testing.assert_close(network.cnn(images), cnn.cnn(torch.device("cpu"))(images))
    assert network.heads["valence_arousal"].classifier[1].out_features == 2  # type: ignore[union-attr, index]


def test_a_checkpoint_of_an_unknown_kind_is_named(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "run")
    described = checkpoint.read_description(folder).model_copy(update={"kind": "graph"})
    described.save(folder, described.files)
    with pytest.raises(
        ConfigurationError, match=r"checkpoint\.json: kind: found 'graph'.*known: cnn, streams, temporal"
    ):
        checkpoint.load(folder).network(torch.device("cpu"))
    values = json.loads((folder / "checkpoint.json").read_text())
    (folder / "checkpoint.json").write_text(json.dumps(values | {"streams": {"audio": [1]}}))
    with pytest.raises(StoreError):
        checkpoint.load(folder)
