"""What an experiment is: from databases to one table of scores."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from abaw_ray.blocks.files import write_json, write_text
from abaw_ray.config import Recipe
from abaw_ray.console import markdown_table, progress_bar, table
from abaw_ray.preprocess.prepare import prepare
from abaw_ray.ray_session import ray_session
from abaw_ray.training.job import Job
from abaw_ray.training.resources import Resources, check_room
from abaw_ray.training.trainer import finished, fit

Progress = Callable[[int, int], None]
"""Called with what is done, and all that is to do."""


@dataclass(frozen=True)
class Plan:
    """What to run an experiment with.

    Args:
        name: of the experiment.
        out: a folder; what is finished in it is not done again.
        recipe: of all runs but for what the experiment compares, and their seeds.
        resources: of each run.
        seeds: number of seeds, from 0.
        data: folder of the real databases; None: generated ones.
        size: of the generated databases; None: real ones.
    """

    name: str
    out: Path
    recipe: Recipe
    resources: Resources
    seeds: int = 1
    data: Path | None = None
    size: str | None = None

    @property
    def store(self) -> Path:
        """Folder of the store."""
        return self.out / "store"

    @property
    def about_seeds(self) -> str:
        """For titles: how many seeds the numbers are of."""
        return f"{self.seeds} seeds, mean ± standard deviation" if self.seeds > 1 else "one seed"

    def prepare(self, database: str, root: Path, settings: Mapping[str, Any], recipe: Recipe | None = None) -> None:
        """Writes the store of one database.

        Args:
            database: its name.
            root: its folder.
            settings: of its adapter.
            recipe: None: the plan's.
        """
        with progress_bar("preparing blocks") as progress:
            prepare(recipe or self.recipe, self.store, {database: {"root": str(root), **settings}}, progress=progress)

    def prepare_or_draw(
        self, database: str, draw: Callable[[Path, int, str, Progress], Any], drawn: str, settings: Mapping[str, Any]
    ) -> None:
        """Writes the store of the plan's database, or without one of generated data, which are drawn before.

        Args:
            database: its name.
            draw: writes generated data of a seed and a size into a folder, in one of the database's name.
            drawn: what these are, for people.
            settings: of the adapter for generated data, where the recipe has no others.
        """
        root, of_recipe = self.data, self.recipe.prepare.databases.get(database, {})
        if root is None:
            assert self.size is not None, "generated data have a size"
            with progress_bar(f"drawing {drawn}") as progress:
                draw(self.out / "data", self.recipe.seed, self.size, progress)
            root, of_recipe = self.out / "data" / database, {**settings, **of_recipe}
        self.prepare(database, root, of_recipe)

    def train(self, recipe: Recipe, name: str, say: Callable[[str], None]) -> dict[str, Any]:
        """Trains the run of a name on the store unless it is finished: its `run.json`, and its folder as `run`."""
        job = Job(recipe, str(self.store), str(self.out / "runs" / name))
        say(f"{name}: {job.run}")
        return {**(finished(job) or fit(job, self.resources, say=lambda line: say(f"{name}: {line}"))), "run": job.run}


@dataclass(frozen=True)
class Comparison:
    """What came out.

    Args:
        title: says what data it is on, and whether that is synthetic.
        columns: headings.
        rows: cells.
        values: the numbers behind them, as JSON takes them.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    values: dict[str, Any]

    def table(self) -> Table:
        """The table for a terminal."""
        return table(self.title, list(self.columns), [list(row) for row in self.rows])

    def markdown(self) -> str:
        """The same as Markdown."""
        return f"{self.title}\n\n{markdown_table(list(self.columns), [list(row) for row in self.rows])}\n"


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Args:
        title: one line for people.
        data: what `--data` is a folder of; None: it is of generated databases alone.
        recipe: the installed recipe that it begins with on real databases.
        generated_recipe: the same on generated ones.
        seeds: number of seeds where none is asked for.
        run: does it, with Ray there.
        replaces: settings of the recipe that it has its own values of, by dotted keys.
    """

    title: str
    data: str | None
    recipe: str
    generated_recipe: str
    seeds: int
    run: Callable[[Plan], Comparison]
    replaces: Sequence[str] = ()

    def recipe_for(self, data: Path | None) -> str:
        """The installed recipe that it begins with."""
        return self.generated_recipe if data is None else self.recipe

    def compare(self, plan: Plan) -> Comparison:
        """Runs it on Ray, and writes `<name>.json` and `<name>.md` into the plan's folder.

        One that was cut off goes on where it stopped.

        Raises:
            ConfigurationError: the plan's folder holds runs of another configuration.
        """
        started = time.perf_counter()
        with ray_session():
            check_room(plan.resources)
            result = self.run(plan)
        values = {"experiment": plan.name, "seconds": time.perf_counter() - started, **result.values}
        write_json(plan.out / f"{plan.name}.json", values)
        write_text(plan.out / f"{plan.name}.md", result.markdown())
        return replace(result, values=values)
