"""Recipes: defaults, overrides, refusals."""

from __future__ import annotations

import pytest

from abaw_ray.config import Recipe, dump_recipe, load_recipe, recipe_names
from abaw_ray.console import show_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.settings import replaced_settings


def test_defaults_are_the_methods():
    recipe = load_recipe()
    assert (recipe.loss.temperature, recipe.loss.hard_weight, recipe.loss.ccc_weight) == (1.5, 0.6, 1.0)
    assert (recipe.train.learning_rate, recipe.train.betas, recipe.train.patience) == (1e-4, (0.5, 0.999), 6)
    assert (recipe.sampling.batch_size, recipe.model.head_dropout, recipe.prepare.image_size) == (64, 0.5, 112)


def test_a_dumped_recipe_loads_to_itself(tmp_path):
    recipe = load_recipe(None, ["train.epochs=3", "loss.task_weights={expression: 2}", "model.weights=a.safetensors"])
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    assert load_recipe(str(file)) == recipe
    assert recipe.train.epochs == 3


def test_every_installed_recipe_loads():
    assert "demo" in recipe_names()
    for name in recipe_names():
        assert isinstance(load_recipe(name), Recipe)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("train.epoch=3", "train.epoch"),
        ("train.epochs=0", "train.epochs"),
        ("loss.task_weights={expression: -2}", "loss.task_weights"),
        ("loss.hard_weight=1.5", "loss.hard_weight"),
        ("sampling.batch_size=many", "sampling.batch_size"),
        ("train", "train"),
        ("seed.x=1", "seed"),
        ("train.learning_rate=.nan", "train.learning_rate"),
        ("train.learning_rate=.inf", "train.learning_rate"),
        ("train.epochs=!!float x", "YAML value"),
        ("train.epochs=!!python/object:os.system", "YAML value"),
        ("train.epochs=" + "[" * 5000, "YAML value"),
        ("train.epochs=2020-13-45", "YAML value"),
    ],
)
def test_wrong_overrides_are_named(override, named):
    with pytest.raises(ConfigurationError, match=named) as error:
        load_recipe(None, [override])
    assert len(str(error.value)) < 400


def test_settings_that_another_recipe_replaces_are_those_that_were_given():
    given = load_recipe(None, ["augment.flip=0.5", "augment.zoom=1.1", "model.head=paper", "train.epochs=3"])
    used = load_recipe(None, ["augment.flip=0.2", "augment.zoom=1.1", "model.backbone=resnet18"])
    assert replaced_settings(given, used) == {"augment.flip": (0.5, 0.2), "model.head": ("paper", "reference")}


def test_a_recipe_that_is_no_text_is_named(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"seed: \xff\xfe")
    with pytest.raises(ConfigurationError, match=r"recipe\.yaml: not a recipe in YAML"):
        load_recipe(str(file))


@pytest.mark.parametrize(
    "text", ["train:\n  epochs: 3\n  epochs: 5\n", "train: {epochs: 3}\nseed: 1\ntrain: {patience: 2}\n"]
)
def test_a_key_that_comes_twice_is_named_with_its_line(tmp_path, text):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"found (epochs|train) twice\n.*line 3"):
        load_recipe(str(file))
    with pytest.raises(ConfigurationError, match="not a YAML value"):
        load_recipe(None, ["loss={temperature: 2, temperature: 3}"])


def test_a_merged_key_may_be_set_again(tmp_path):
    file = tmp_path / "recipe.yaml"
    sections = ["prepare:", "  databases:", "    affectnet: &one {root: /data, lazy: true}"]
    file.write_text("\n".join([*sections, "    afew_va: {<<: *one, root: /more}", ""]))
    assert load_recipe(str(file)).prepare.databases["afew_va"] == {"root": "/more", "lazy": True}


def test_a_configuration_is_shown_by_what_differs_or_whole(capsys):
    demo = load_recipe("demo")
    show_recipe(demo, demo, "recipe demo")
    show_recipe(load_recipe("demo", ["train.epochs=3"]), demo, "recipe demo")
    assert capsys.readouterr().err == "recipe demo\nrecipe demo, but for:\n  train.epochs: 3\n"
    show_recipe(demo, demo, "recipe demo", whole=True)
    assert len(capsys.readouterr().err.splitlines()) > 50


def test_missing_recipe_says_what_is_installed():
    with pytest.raises(MissingInputError, match="demo"):
        load_recipe("no-such-recipe")
