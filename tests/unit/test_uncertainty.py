"""Entropies of several members, passes that drop units, other images, and answers held back."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from answers import info_of
from hypothesis import given
from hypothesis import strategies as st
from paper import SPACES

from abaw_ray.config import LossConfig, ModelConfig
from abaw_ray.evaluation.uncertainty import Mixture, joined, mean_distribution, with_uncertainty
from abaw_ray.inference.answers import answer_columns, answers_schema
from abaw_ray.inference.distributions import decoded_mixtures
from abaw_ray.spaces import LabelSpace
from abaw_ray.tasks import build_tasks
from abaw_ray.teachers.ensemble import mean_logits

SPACE_OF = {space.kind: space for space in SPACES}
TASKS = build_tasks(SPACES, LossConfig(), ModelConfig())
OF_KIND = {task.space.kind: task for task in TASKS.values()}
SURE = 100.0
"""Logit of what is certain."""


def drawn(task, num_members: int, seed: int = 0, scale: float = 2.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(6, task.num_outputs, generator=generator) for _ in range(num_members)]


def mixture(task, members: list[torch.Tensor]) -> Mixture:
    p, entropy = mean_distribution(task, members)
    return Mixture(p.numpy(), entropy.numpy(), len(members))


@given(st.sampled_from(sorted(TASKS)), st.integers(2, 5), st.integers(0, 1000), st.floats(0.0, 30.0))
def test_parts_are_from_0_to_1_and_make_up_the_whole(name, num_members, seed, scale):
    task = TASKS[name]
    found = mixture(task, drawn(task, num_members, seed, scale)).uncertainty()
    for values in found.values():
        assert values.shape == (6, task.num_groups)
        assert values.dtype == np.float32
        assert ((values >= 0) & (values <= 1)).all()
    np.testing.assert_allclose(found["aleatoric"] + found["epistemic"], found["total"], atol=1e-6)


@pytest.mark.parametrize("name", TASKS)
def test_entropies_are_those_of_scipy(name):
    from scipy.stats import entropy

    task = TASKS[name]
    members = drawn(task, 3)
    of_each = np.stack([task.distributions(logits, 1.0).p.numpy() for logits in members]).astype(np.float64)
    num_classes = of_each.shape[-1]
    found = mixture(task, members).uncertainty()
    np.testing.assert_allclose(found["total"], entropy(of_each.mean(0), axis=-1, base=num_classes), atol=1e-5)
    expected = entropy(of_each, axis=-1, base=num_classes).mean(0)
    np.testing.assert_allclose(found["aleatoric"], expected, atol=1e-5)


@pytest.mark.parametrize("name", TASKS)
def test_members_that_agree_know_all_that_networks_can(name):
    task = TASKS[name]
    (logits,) = drawn(task, 1)
    found = mixture(task, [logits] * 4).uncertainty()
    np.testing.assert_allclose(found["epistemic"], 0, atol=1e-6)
    np.testing.assert_allclose(found["aleatoric"], mixture(task, [logits]).uncertainty()["total"], atol=1e-6)


def test_two_certain_members_that_disagree_are_uncertain_of_the_network_alone():
    """Section 2.6: members [1, 0] and [0, 1] give 1, 0 and 1; of classes one bit of log2 of their number."""
    units = OF_KIND["multilabel"]
    certain = torch.full((1, units.num_outputs), SURE)
    found = mixture(units, [certain, -certain]).uncertainty()
    for measure, expected in {"total": 1, "aleatoric": 0, "epistemic": 1}.items():
        np.testing.assert_allclose(found[measure], expected, atol=1e-6)
    classes = OF_KIND["multiclass"]
    first, last = torch.zeros(2, 1, classes.num_outputs).index_put(
        (torch.tensor([0, 1]), torch.tensor([0, 0]), torch.tensor([0, classes.num_outputs - 1])), torch.tensor(SURE)
    )
    found = mixture(classes, [first, last]).uncertainty()
    one_bit = 1 / np.log2(classes.num_outputs)
    for measure, expected in {"total": one_bit, "aleatoric": 0, "epistemic": one_bit}.items():
        np.testing.assert_allclose(found[measure], expected, atol=1e-6)


def test_nothing_is_known_of_equal_logits_and_all_of_one_class():
    for task in TASKS.values():
        found = mixture(task, [torch.zeros(2, task.num_outputs)]).uncertainty()
        np.testing.assert_allclose(found.pop("total"), 1, atol=1e-6)
        assert not found  # of one network nothing tells the parts apart
    alone = LabelSpace(name="only", kind="multiclass", names=("this",))
    task = build_tasks([alone], LossConfig(), ModelConfig())["only"]
    assert mixture(task, drawn(task, 2)).uncertainty()["total"].tolist() == [[0.0]] * 6


def test_plain_numbers_that_differ_are_uncertain_of_the_networks():
    """Each output stands for a normal distribution of one width: what is in the data is the same for all."""
    name = SPACE_OF["regression"].name
    options = {name: {"form": "plain"}}
    task = build_tasks(SPACES, LossConfig(), ModelConfig(), options=options)[name]
    close = mixture(task, [torch.zeros(1, 2), torch.full((1, 2), 0.05)]).uncertainty()
    apart = mixture(task, [torch.zeros(1, 2), torch.full((1, 2), 0.5)]).uncertainty()
    assert (apart["epistemic"] > 10 * close["epistemic"]).all()


@pytest.mark.parametrize("name", TASKS)
def test_the_mixture_of_mixtures_is_that_of_all_members(name):
    """Networks are asked one after the other, and each can have passes."""
    task, members = TASKS[name], drawn(TASKS[name], 4)
    whole = mixture(task, members)
    parts = joined([mixture(task, members[:2]), mixture(task, members[2:])])
    assert parts.num_members == whole.num_members == 4
    for measure, values in whole.uncertainty().items():
        np.testing.assert_allclose(parts.uncertainty()[measure], values, atol=1e-6)
    weighted = joined([mixture(task, [logits]) for logits in members], [1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(weighted.uncertainty()["epistemic"], 0, atol=1e-6)
    expected = task.decode(mean_logits(task, members))
    np.testing.assert_allclose(decoded_mixtures({name: task}, {name: whole})[name], expected, rtol=1e-4, atol=1e-5)


def test_columns_name_their_groups(tmp_path):
    import pyarrow as pa

    found = {name: mixture(task, drawn(task, 2)).uncertainty() for name, task in TASKS.items()}
    table = with_uncertainty(pa.table({"frame": list(range(6))}), SPACES, found)
    pq.write_table(table, tmp_path / "t.parquet")
    read = pq.read_table(tmp_path / "t.parquet")
    assert read.column_names[1:] == [f"{m}_{s.name}" for s in SPACES for m in ("total", "aleatoric", "epistemic")]
    for space in SPACES:
        names = read.schema.field(f"total_{space.name}").metadata[b"names"].decode().split(",")
        assert tuple(names) == ((space.name,) if space.kind == "multiclass" else space.names)
        np.testing.assert_array_equal(
            np.stack(read[f"epistemic_{space.name}"].to_pylist()).astype(np.float32), found[space.name]["epistemic"]
        )


def test_what_is_said_of_faces_in_videos_has_its_entropy():
    """From what a model answers, an exported file too: of attributes the mean over them."""
    info = info_of(SPACES)
    classes, units = SPACE_OF["multiclass"], SPACE_OF["multilabel"]
    p, known = np.eye(classes.size, dtype=np.float32)[[0, 1]], np.zeros((2, units.size), np.float32)
    p[1], known[1, : units.size // 2] = 1 / classes.size, 0.5
    regression = SPACE_OF["regression"]
    values = np.zeros((2, regression.size), np.float32)
    said = {classes.name: p, units.name: known, regression.name: values, f"{regression.name}:deviation": values}
    columns = answer_columns(info, said)
    assert columns.keys() <= set(answers_schema(info).names)
    np.testing.assert_allclose(columns[f"{classes.name}_entropy"], [0, 1], atol=1e-6)
    np.testing.assert_allclose(columns[f"{units.name}_entropy"], [0, 0.5], atol=1e-6)
