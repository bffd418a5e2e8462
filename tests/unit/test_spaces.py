"""Search spaces: ours and users' own, and what is said about those that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
from ray import tune

import tune_spaces
from abaw_ray.config import Recipe, load_recipe
from abaw_ray.errors import ConfigurationError, MissingInputError
from abaw_ray.tuning.spaces import check_space, describe, load_space, with_parameters
from tune_spaces import space_names


def write(folder: Path, text: str) -> str:
    file = folder / "own.py"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("name", ["distillation", "full", "optimisation", "task_weights"])
def test_installed_spaces_fit_every_recipe(name):
    assert name in space_names()
    for recipe in (Recipe(), load_recipe("demo"), load_recipe("paper/table2")):
        check_space(load_space(name), recipe, name)


def test_full_is_all_the_others():
    assert set(load_space("full")) == set().union(*(load_space(n) for n in space_names() if n != "full"))


def test_a_space_of_ones_own_by_path(tmp_path):
    text = "from ray import tune\ndef space():\n    return {'loss.temperature': tune.choice([1, 2.5])}\n"
    space = load_space(write(tmp_path, text))
    check_space(space, Recipe(), "own")
    assert "[1, 2.5]" in describe(space)["loss.temperature"]
    ours = str(Path(tune_spaces.__file__).parent / "distillation.py")
    assert load_space(ours).keys() == load_space("distillation").keys()


def test_parameters_change_their_keys_and_nothing_else():
    parameters = {"loss.temperature": 3.0, "loss.task_weights.expression": 2.0, "sampling.batch_size": 16}
    recipe = with_parameters(Recipe(), parameters, "trial")
    assert (recipe.loss.temperature, recipe.loss.task_weights, recipe.sampling.batch_size) == (3, {"expression": 2}, 16)
    before, after = Recipe().model_dump(), recipe.model_dump()
    before["loss"] |= {"temperature": 3.0, "task_weights": {"expression": 2.0}}
    before["sampling"]["batch_size"] = 16
    assert after == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def spaces():\n    return {}\n", "no function `space`"),
        ("def space():\n    return {}\n", "expected {recipe key: domain}"),
        ("def space():\n    return [1]\n", "gave \\[1\\]"),
        ("import nothing_of_that_name\n", "nothing_of_that_name"),
        ("from ray import tune\ndef space():\n    return {'seed': tune.grid_search([1])}\n", "tune.choice"),
    ],
)
def test_files_that_are_no_space_are_named(tmp_path, text, said):
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError, match=said) as error:
        load_space(file)
    assert file in str(error.value)


@pytest.mark.parametrize("source", ["distilation", "no-such-file.py"])
def test_a_space_that_is_not_there_is_told_from_those_that_are(source):
    with pytest.raises(MissingInputError, match="distillation, full"):
        load_space(source)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"loss.temprature": tune.uniform(1, 2)}, "loss.temprature"),
        ({"loss.hard_weight": tune.uniform(0, 2)}, "loss.hard_weight"),
        ({"loss.task_weights.expression": tune.uniform(-2, -1)}, "expected weights >= 0"),
        ({"train.epochs.more": tune.uniform(0, 2)}, "epochs is not a section"),
        ({"prepare.image_size": tune.choice([48, 112])}, "before a sweep"),
        ({"loss.temperature": 2.0}, "nothing to search"),
    ],
)
def test_spaces_that_recipes_cannot_follow_are_refused(space, said):
    with pytest.raises(ConfigurationError, match=said):
        check_space(space, Recipe(), "own")
