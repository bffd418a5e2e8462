"""Every family of timm's backbones at the size of a store: it trains a step, or is refused with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import timm
import torch
from stores import make_store
from torch import nn

from abaw_ray.config import Recipe, load_recipe
from abaw_ray.errors import ConfigurationError
from abaw_ray.models import face_backbones
from abaw_ray.models.backbone import create_backbone
from abaw_ray.models.cnn import MultiTaskCNN, on_device
from abaw_ray.models.heads import build_head
from abaw_ray.training.job import Job
from abaw_ray.training.stage import Stage
from abaw_ray.training.trial_step import check_step

OUTPUTS = {"expression": 7, "valence_arousal": 40}
SIZE = 112  # pixels, the default

# the smallest member of each family: why it is refused, or nothing where it trains
SMALL = {
    "test_efficientnet": "",
    "test_nfnet": "",
    "test_mambaout": "",
    "test_byobnet": "",
    "test_convnext": "",
    "test_vit": "",
    "lcnet_035": "",
    "test_resnet": "",
    "starnet_s050": "",
    "test_coatnet": "size of tensor",
    "test_vit_relpos": "",
    "dla46x_c": "size of tensor",
    "mobilevit_xxs": "",
    "repghostnet_050": "",
    "edgenext_xx_small": "",
    "ghostnet_050": "",
    "ese_vovnet19b_slim_dw": "",
    "efficientvit_b0": "",
    "efficientvit_m0": "",
    "regnetx_002": "",
    "cspnext_tiny": "",
    "fasternet_t0": "",
    "iformer_t": "",
    "cs3darknet_focus_s": "",
    "lcnetv2_small": "",
    "xcit_nano_12_p8_224": "",
    "swiftformer_xs": "",
    "inception_next_atto": "",
    "efficientformerv2_s0": "size of tensor",
    "fastvit_t8": "",
    "pvt_v2_b0": "",
    "rexnet_100": "",
    "hardcorenas_b": "",
    "hgnetv2_b0": "",
    "pit_ti_224": "",
    "repvit_m1": "",
    "cpubone_nano": "",
    "tiny_vit_5m_224": "",
    "coat_tiny": "size of tensor",
    "vit_tiny_patch16_dinov3_qkvb": "",
    "convit_tiny": "",
    "deit_tiny_patch16_224": "",
    "efficientvim_m1": "",
    "gmlp_ti16_224": "",
    "shvit_s1": "",
    "vit_tiny_r_s16_p8_224": "assert",
    "crossvit_tiny_240": "size of tensor",
    "densenet121": "",
    "levit_128s": "",
    "halonet_h1": "assert",
}
LARGE = {
    "dpn48b": "",
    "resnest14d": "",
    "visformer_tiny": "",
    "csatv2": "",
    "hrnet_w18_small": "size of tensor",
    "resnetv2_18": "",
    "legacy_seresnet18": "",
    "poolformerv2_s12": "",
    "efficientformer_l1": "size of tensor",
    "skresnet18": "",
    "gcvit_xxtiny": "invalid for input",
    "cait_xxs24_224": "",
    "lowformer_b0": "",
    "nest_tiny": "",
    "convmixer_768_32": "",
    "legacy_xception": "",
    "inception_v3": "",
    "vitamin_small_224": "",
    "res2next50": "",
    "rdnet_tiny": "",
    "tnt_s_legacy_patch16_224": "",
    "mvitv2_tiny": "out of bounds",
    "twins_svt_small": "should be divided",
    "xception41p": "",
    "volo_d1_224": "",
    "sam2_hiera_tiny": "size of tensor",
    "hiera_tiny_224": "invalid for input",
    "sequencer2d_s": "",
    "swin_tiny_patch4_window7_224": "",
    "swinv2_cr_tiny_224": "",
    "swinv2_tiny_window8_256": "",
    "davit_tiny": "",
    "focalnet_tiny_srf": "",
    "selecsls42": "",
    "tresnet_m": "",
    "nextvit_small": "",
    "inception_v4": "",
    "inception_resnet_v2": "",
    "mobilenetv5_base": "",
    "pnasnet5large": "",
    "nasnetalarge": "",
    "samvit_base_patch16_224": "",
    "naflexvit_base_patch16_parfac_gap": "",
    "beit_base_patch16_224": "",
    "qwen3_vit_88m": "",
    "vgg11": "",
    "gemma4_vit_167m": "",
    "deepseek_vit_412m": "",
}
FAMILIES = [*SMALL.items(), *(pytest.param(n, r, marks=pytest.mark.slow) for n, r in LARGE.items())]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are slower on several threads, by far where other processes run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(backbone: str, *changes: str) -> Recipe:
    return load_recipe(None, [f"model.backbone={backbone}", "train.precision=float32", *changes])


def try_step(backbone: str, *changes: str, image_size: int = SIZE, num_workers: int = 1) -> None:
    chosen = recipe(backbone, *changes)
    check_step(MultiTaskCNN(chosen.model, OUTPUTS, image_size), chosen, image_size, 2, num_workers)


@pytest.mark.parametrize(("backbone", "reason"), FAMILIES)
def test_a_family_trains_a_step_or_is_refused_with_the_reason(backbone, reason):
    if not timm.is_model(backbone):
        pytest.skip(f"timm {timm.__version__} has no {backbone}")
    if not reason:
        try_step(backbone, num_workers=2)
        return
    with pytest.raises(ConfigurationError, match=reason) as caught:
        try_step(backbone)
    assert f"{backbone} cannot learn from images of {SIZE} pixels (it was made for " in str(caught.value)


def test_the_families_are_all_of_timm_s():
    modules = {timm.models.model_entrypoint(n).__module__.rsplit(".", 1)[1] for n in SMALL | LARGE if timm.is_model(n)}
    of_timm = set(timm.list_modules()) - {face_backbones.__name__.rsplit(".", 1)[1]}
    assert modules <= of_timm
    assert len(modules) >= 40
    if timm.__version__ == "1.0.31":  # others have more or fewer
        assert modules == of_timm


@pytest.mark.parametrize("backbone", ["mixer_s32_224", "vit_small_patch32_224"])
def test_patches_that_leave_out_a_border_are_refused(backbone):
    with pytest.raises(ConfigurationError, match="patches of 32 x 32 pixels do not divide them"):
        create_backbone(backbone, SIZE)


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_resnet", "resnet18"])
def test_a_backbone_of_any_size_has_the_weights_of_plain_timm(backbone):
    torch.manual_seed(3)
    expected = timm.create_model(backbone, num_classes=0).state_dict()
    torch.manual_seed(3)
    found = create_backbone(backbone, SIZE).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_one_image_a_worker_is_refused_where_batch_norm_needs_two():
    with pytest.raises(ConfigurationError, match=r"batch_size 4 is one image .* 4 workers.* make it at least 8"):
        try_step("test_convnext", "sampling.batch_size=4", num_workers=4)
    try_step("test_convnext", "sampling.batch_size=8", num_workers=4)
    try_step("test_convnext", "sampling.batch_size=4", "model.head=paper", num_workers=4)
    try_step("test_convnext", "sampling.batch_size=4", "model.batch_norm=joint", num_workers=4)


@pytest.mark.parametrize(
    ("changes", "num_workers", "message"),
    [
        (["sampling.batch_size=2"], 2, "batch norm of this network needs two"),
        (["model.backbone=mixer_s32_224"], 1, "do not divide them"),
        (["model.backbone=dla46x_c"], 1, "dla46x_c cannot learn from images of 16 pixels"),
    ],
)
def test_what_fails_in_the_first_step_is_refused_before_workers_start(tmp_path, changes, num_workers, message):
    make_store(tmp_path / "store")
    settings = ["model.backbone=test_resnet", "sampling.batch_size=4", "sampling.steps_per_epoch=1", *changes]
    job = Job(load_recipe(None, settings), str(tmp_path / "store"), str(tmp_path / "run"))
    with pytest.raises(ConfigurationError, match=message):
        Stage(job, torch.device("cpu")).check(num_workers)


def test_checking_draws_no_random_number(tmp_path):
    make_store(tmp_path / "store")
    settings = ["model.backbone=test_resnet", "sampling.batch_size=4", "sampling.steps_per_epoch=1"]
    stage = Stage(Job(load_recipe(None, settings), str(tmp_path / "store"), str(tmp_path)), torch.device("cpu"))
    before = torch.get_rng_state()
    stage.check(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(stage.network(), MultiTaskCNN)


class Widened(nn.Module):
    """A backbone whose features are not what it says."""

    num_features = 8

    def __init__(self, answer) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 8)
        self.unused = nn.Linear(1, 1)
        self.answer = answer

    def forward(self, images: torch.Tensor) -> object:
        return self.answer(self.linear(images.mean((2, 3))))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda x: (x, x), "a tuple"),
        (lambda x: x.repeat(1, 2), r"shape \(2, 16\)"),
        (lambda x: x[:, :, None, None], r"shape \(2, 8, 1, 1\)"),
    ],
)
def test_features_that_are_no_vectors_of_the_width_are_refused(answer, found):
    chosen = recipe("test_resnet")
    network = MultiTaskCNN(chosen.model, OUTPUTS, 32)
    network.backbone = Widened(answer)
    with pytest.raises(ConfigurationError, match=rf"found features of {found}, expected shape \(2, 8\)"):
        check_step(network, chosen, 32, 2, 1)


def test_parameters_without_a_gradient_are_refused_for_several_workers():
    chosen = recipe("test_resnet")
    network = MultiTaskCNN(chosen.model, {"expression": 7}, 32)
    network.backbone = Widened(lambda x: x)
    network.heads = nn.ModuleDict({"expression": build_head("paper", "model.head", 8, 7, chosen.model)})
    check_step(network, chosen, 32, 2, 1)
    with pytest.raises(ConfigurationError, match=r"2 parameters without a gradient \(backbone\.unused\.weight"):
        check_step(network, chosen, 32, 2, 2)


def test_strided_pointwise_convolutions_of_few_channels_are_done_without_a_stride_on_a_cpu():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 8, 1, 2), nn.Conv2d(8, 4, 1, (1, 3)), nn.Conv2d(4, 4, 3, 2, 1))
    images = torch.rand(2, 3, 15, 14)
    expected = plain(images)
    moved = on_device(plain, torch.device("cpu"))
    assert [m.stride for m in moved] == [(1, 1), (1, 1), (2, 2)]
    on_device(moved, torch.device("cpu"))
    torch.testing.assert_close(moved(images.contiguous(memory_format=torch.channels_last)), expected)
