"""The example of CONTRIBUTING.md: parts of networks from outside the package, named by a recipe."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from examples import examples

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.models.encoders import ENCODERS
from abaw_ray.models.fusion import FUSIONS
from abaw_ray.models.heads import HEADS
from abaw_ray.models.kinds import NETWORKS, kind_of

HEADING = "Add an encoder, a fusion or a head"
SHAPES = {"face": (3, 32, 32), "audio": (8, 12)}
OUTPUTS = {"expression": 7, "identity": 5}


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recipe]:
    """The example's recipe, with its module on the path."""
    (code,), (text,) = examples(HEADING), examples(HEADING, "yaml")
    (tmp_path / "my_parts.py").write_text(code)
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(MissingInputError, match="no module my_parts"):
        load_recipe(str(tmp_path / "recipe.yaml"))
    monkeypatch.syspath_prepend(tmp_path)
    yield load_recipe(str(tmp_path / "recipe.yaml"))
    sys.modules.pop("my_parts")
    for registry, name in ((ENCODERS, "levels"), (FUSIONS, "gated"), (HEADS, "linear")):
        registry._registered.pop(name)


def test_the_example_takes_faces_with_and_without_sound(recipe: Recipe) -> None:
    torch.manual_seed(0)
    network = NETWORKS.get(kind_of(recipe.model), "kind")(recipe, OUTPUTS, SHAPES)
    assert [type(head).__name__ for head in network.heads.values()] == ["Linear", "ReversalHead"]  # type: ignore[operator, union-attr]
    faces = torch.randint(256, (8, 3, 32, 32), dtype=torch.uint8)
    sound = torch.randn(8, 8, 12) * 9
    present = {"face": torch.ones(8, dtype=torch.bool), "audio": torch.arange(8) % 2 == 0}
    sound[~present["audio"]] = torch.nan
    logits = network({"face": faces, "audio": sound}, present)
    losses = [torch.nn.functional.cross_entropy(logits[task], torch.arange(8) % size) for task, size in OUTPUTS.items()]
    torch.stack(losses).sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    gain = network.get_parameter("encoders.audio.gain")
    assert gain.grad is not None
    assert gain.grad.any(), "some of the samples have sound"
    silent = network.eval()({"face": faces}, {"face": present["face"]})
    heard = network({"face": faces, "audio": sound}, present)
    for task in OUTPUTS:
        torch.testing.assert_close(heard[task][1::2], silent[task][1::2])
        assert not torch.allclose(heard[task][::2], silent[task][::2])


def test_its_options_are_checked(recipe: Recipe, tmp_path: Path) -> None:
    loud = load_recipe(str(tmp_path / "recipe.yaml"), ["model.encoders.audio.loudest=3"])
    with pytest.raises(
        ConfigurationError, match=r"encoders\.audio cannot be used:\n  loudest: .*\n.*options: quietest"
    ):
        NETWORKS.get("streams", "kind")(loud, OUTPUTS, SHAPES)
