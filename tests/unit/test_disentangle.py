"""Generated (synthetic) people whose looks go with their emotions, and the table that they are for."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

import pytest
from native_layouts import read

from abaw_ray.config import load_recipe
from abaw_ray.databases.reading.generated import is_synthetic, title_at
from abaw_ray.errors import ConfigurationError
from abaw_ray.experiments import EXPERIMENTS, disentangle
from abaw_ray.experiments.base import Plan
from abaw_ray.experiments.disentangle import MTL, PUBLISHED, WAYS, comparison, recipe_of
from abaw_ray.synthetic.subjects import FOLDER, SIZES, SUBJECT_PATTERN, generate_subjects
from abaw_ray.training.resources import Resources


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated") / "people"
    generate_subjects(out, 0, "tiny")
    return out


def test_generated_people_are_read_from_their_files_names(people):
    rows, problems = read("folder", people / FOLDER, subject_pattern=SUBJECT_PATTERN)
    assert not problems.counts
    assert Counter(row["subject_name"] for row in rows) == {f"S{who:03d}": SIZES["tiny"].pictures for who in range(6)}
    assert is_synthetic(title_at("folder", people / FOLDER)), "stores and pages say that they are synthetic"


def test_generated_people_show_some_expressions_more_often(people):
    shown: dict[str, Counter[str]] = defaultdict(Counter)
    for file in (people / FOLDER).rglob("*.png"):
        shown[file.name.split("_")[0]][file.parent.name] += 1
    shares = [sum(count for _, count in of.most_common(2)) / of.total() for of in shown.values()]
    assert min(shares) > 0.5, "of two in seven"


def test_the_same_seed_gives_the_same_pictures_and_another_one_others(people, tmp_path):
    assert generate_subjects(people, 0, "tiny")["people"] == 6
    with pytest.raises(ConfigurationError, match="holds other generated data"):
        generate_subjects(people, 1, "tiny")
    with pytest.raises(ConfigurationError, match="unknown size 'large'"):
        generate_subjects(tmp_path / "more", 0, "large")
    generate_subjects(tmp_path / "again", 0, "tiny")
    generate_subjects(tmp_path / "other", 1, "tiny")
    content = [
        {f.relative_to(out): f.read_bytes() for f in (out / FOLDER).rglob("*.png")}
        for out in (people, tmp_path / "again", tmp_path / "other")
    ]
    assert content[0] == content[1]
    assert content[0] != content[2]


def plan_of(tmp_path: Path, size: str | None = "tiny") -> Plan:
    data = None if size else tmp_path
    return Plan("disentangle", tmp_path, load_recipe("disentangle"), Resources(), data=data, size=size)


def test_what_is_learned_of_people_way_by_way(tmp_path):
    plan = plan_of(tmp_path)
    found = {way: recipe_of(plan, way, 3).tasks.get("subject") for way in WAYS}
    assert found["emotion"] is None
    modes = {way: tasks["nuisance"]["mode"] for way, tasks in found.items() if tasks is not None}
    assert modes == {"mtl": "predict", "reverse": "reverse", "confuse": "confuse"}
    assert recipe_of(plan, MTL, 3).seed == 3
    assert EXPERIMENTS.find("disentangle") is disentangle.EXPERIMENT


def test_the_table_has_the_fall_from_the_multi_task_network_and_the_paper_s_number(tmp_path):
    def result(criterion: float, linear: float) -> dict[str, object]:
        return {"criterion": criterion, "chance": 0.05, "linear": linear, "one_layer": linear, "run": "r", "seconds": 1}

    made = comparison(plan_of(tmp_path), {MTL: [result(0.8, 0.5)], "reverse": [result(0.81, 0.1)]})
    assert "SYNTHETIC" in made.title
    fall = list(made.columns).index("fall from multi-task, linear")
    assert [row[fall] for row in made.rows] == ["", "80%", PUBLISHED]
    assert made.rows[-1][0].startswith("Peri et al.")
    assert made.values["rows"][1]["falls"]["one_layer"] == pytest.approx([0.8])
    assert {len(row) for row in made.rows} == {len(made.columns)}
    assert "SYNTHETIC" not in comparison(plan_of(tmp_path, None), {MTL: [result(0.8, 0.5)]}).title
