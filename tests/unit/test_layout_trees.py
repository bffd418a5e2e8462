"""The trees that `inspect NAME --layout` prints are those of the examples that `generate --layouts` writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from abaw_ray.cli import app
from abaw_ray.databases import database, databases
from abaw_ray.synthetic import generate
from abaw_ray.synthetic.examples import LAYOUTS, write_layouts


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("generated") / "data"
    generate(root, seed=0, size="tiny", num_workers=1)
    return root


@pytest.fixture(scope="module")
def examples(generated: Path) -> dict[str, list[Path]]:
    """Database -> folders with an example of it."""
    folders = dict(zip(LAYOUTS, write_layouts(generated), strict=True))
    of_databases = {name: [generated / name] for name in ("affwild2", "expw", "afew_va", "affectnet")}
    for layout, folder in folders.items():
        of_databases.setdefault(LAYOUTS[layout][0], []).append(folder)
    return of_databases


@pytest.mark.parametrize("name", sorted({database for database, _ in LAYOUTS.values()} | {"expw", "afew_va"}))
def test_what_an_example_has_is_in_the_tree(name: str, examples: dict[str, list[Path]]) -> None:
    for folder in examples[name]:
        entries = {entry.name for entry in folder.iterdir()}
        lacking = {entry for entry in entries if entry not in database(name).layout and not entry.isdigit()}
        assert not lacking, folder


def test_every_database_of_the_package_describes_its_files() -> None:
    own = [d for d in databases().values() if d.read.__module__.startswith("abaw_ray.")]
    assert len(own) >= 9
    assert all(len(d.layout.splitlines()) >= 2 for d in own)


def test_the_tree_is_printed_without_a_folder(capfd: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, ["inspect", "expw", "--layout"])
    assert result.exit_code == 0
    assert capfd.readouterr().out == database("expw").layout + "\n"


def test_examples_that_are_there_stay(generated: Path, examples: dict[str, list[Path]]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (generated / "layouts").rglob("*")}
    write_layouts(generated)
    assert {path: path.stat().st_mtime_ns for path in (generated / "layouts").rglob("*")} == before
