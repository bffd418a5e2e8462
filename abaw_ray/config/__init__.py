"""A run's configuration: typed, validated, loaded from recipes, changed by dotted overrides, dumped as YAML.

Numbers are the paper's or its reference code's unless a comment says otherwise (Vu et al., ICCVW 2021).

data, model, loss, augment,
train, checkpoint      the sections, each key with its meaning
noise                  of labels, a part of data
recipe                 all of them together
section, yaml_values   what sections share, and how their values are read
"""

from abaw_ray.config.augment import (
    AffineConfig,
    AugmentConfig,
    BlurConfig,
    ErasingConfig,
    GainConfig,
    JitterConfig,
    JpegConfig,
    NoiseConfig,
    Operation,
    RandAugmentConfig,
    SpecMasksConfig,
    require_plain_views,
)
from abaw_ray.config.data import Balance, JoinedCNN, PrepareConfig, SamplingConfig, SpaceMap, TemporalConfig
from abaw_ray.config.loss import LabelSetsConfig, LossConfig
from abaw_ray.config.model import HUB, PRETRAINED, ModelConfig, of_hub
from abaw_ray.config.noise import (
    AdditiveNoise,
    ConfusionNoise,
    InconsistentNoise,
    LabelNoise,
    OutlierNoise,
    SymmetricNoise,
)
from abaw_ray.config.recipe import (
    Recipe,
    change_recipe,
    dump_recipe,
    load_recipe,
    parse_recipe,
    parse_recipe_text,
    recipe_names,
)
from abaw_ray.config.section import Section, parse_options
from abaw_ray.config.train import OptimConfig, TrainConfig
from abaw_ray.config.yaml_values import UNREADABLE, load_yaml

__all__ = [
    "HUB",
    "PRETRAINED",
    "UNREADABLE",
    "AdditiveNoise",
    "AffineConfig",
    "AugmentConfig",
    "Balance",
    "BlurConfig",
    "ConfusionNoise",
    "ErasingConfig",
    "GainConfig",
    "InconsistentNoise",
    "JitterConfig",
    "JoinedCNN",
    "JpegConfig",
    "LabelNoise",
    "LabelSetsConfig",
    "LossConfig",
    "ModelConfig",
    "NoiseConfig",
    "Operation",
    "OptimConfig",
    "OutlierNoise",
    "PrepareConfig",
    "RandAugmentConfig",
    "Recipe",
    "SamplingConfig",
    "Section",
    "SpaceMap",
    "SpecMasksConfig",
    "SymmetricNoise",
    "TemporalConfig",
    "TrainConfig",
    "change_recipe",
    "dump_recipe",
    "load_recipe",
    "load_yaml",
    "of_hub",
    "parse_options",
    "parse_recipe",
    "parse_recipe_text",
    "recipe_names",
    "require_plain_views",
]
