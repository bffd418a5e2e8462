"""A sub-command that is to run elsewhere: its arguments checked here, and the paths among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from abaw_ray.config import Recipe, load_recipe, recipe_names
from abaw_ray.credentials import has_secrets, without_secrets
from abaw_ray.errors import ConfigurationError
from tune_spaces import space_names

SUBMIT = "submit"
WRITTEN = {"--out", "OUT", "STORE"}
"""How sub-commands call the folder that they write."""


@dataclass(frozen=True)
class PathArgument:
    """A path that a sub-command was given.

    Args:
        option: where it stands, as `--store`.
        path: as it was given.
        travels: whether it may lie in the working directory, which is sent with the job: configuration, not data.
        is_written: by the job.
    """

    option: str
    path: Path
    travels: bool = False
    is_written: bool = False


@dataclass(frozen=True)
class Verb:
    """A sub-command with its arguments.

    Args:
        arguments: as typed, the name first, without ~.
        paths: that it was given.
        title: its name and the last part of what it writes or works on.
    """

    arguments: tuple[str, ...]
    paths: tuple[PathArgument, ...]
    title: str


def parse(application: typer.Typer, arguments: Sequence[str]) -> Verb:
    """Checks a sub-command as it would be before it runs.

    Args:
        application: with all sub-commands.
        arguments: name and arguments.

    Raises:
        ConfigurationError: no such sub-command, or one that cannot be submitted; a password or a key in an argument.
        typer.BadParameter and others: wrong use.
        UserError: a recipe that cannot be used.
    """
    commands = typer.main.get_command(application).commands  # type: ignore[attr-defined]
    if not arguments or arguments[0] not in commands or arguments[0] == SUBMIT:
        found = arguments[0] if arguments else "nothing"
        known = ", ".join(name for name in commands if name != SUBMIT)
        raise ConfigurationError(f"submit: found {found}, expected one of {known} after --")
    if secret := next(filter(has_secrets, arguments), None):
        raise ConfigurationError(
            f"submit: {without_secrets(secret)}: found a password or a key, which the cluster shows with the job; give"
            " it by the environment of the nodes"
        )
    command = commands[arguments[0]]
    arguments = [_without_tilde(text) for text in arguments]
    context = command.make_context(arguments[0], arguments[1:])
    options = {parameter.name: _name(parameter) for parameter in command.params}
    paths = tuple(_paths(context.params, options))
    named = context.params.get("out") or next((p.path for p in paths if not p.travels), None)
    title = "-".join([arguments[0], *([Path(named).name] if named else [])])
    return Verb(tuple(arguments), paths, title)


def _without_tilde(text: str) -> str:
    """~ as a shell expands it, also after = as in NAME=~/data: the nodes have homes of their own."""
    return re.sub(r"(^|=)~(?=/|$)", lambda match: f"{match[1]}{Path.home()}", text)


def _name(parameter: Any) -> str:
    """How a user writes it: `--store`, or STORE where it has no name."""
    return next((o for o in parameter.opts if o.startswith("--")), parameter.name.upper())


def _paths(values: dict[str, Any], options: dict[str, str]) -> Iterator[PathArgument]:
    for name, value in values.items():
        for path in _several(value):
            if isinstance(path, Path):
                yield PathArgument(options[name], path, is_written=options[name] in WRITTEN)
    for database in values.get("database") or () if isinstance(values.get("database"), list | tuple) else ():
        root = database.partition("=")[2]
        if not root:
            raise ConfigurationError(f"--database {database}: expected NAME=ROOT, as expw=/data/ExpW")
        yield PathArgument(options["database"], Path(root))
    for name, installed in (("recipe", recipe_names()), ("recipes", recipe_names()), ("space", space_names())):
        for source in _several(values.get(name)):
            if source not in installed:
                yield PathArgument(options[name], Path(source), travels=True)
    if "recipe" in values or "recipes" in values:
        for source in [*_several(values.get("recipe")), *_several(values.get("recipes"))] or [None]:
            yield from _paths_of(load_recipe(source, list(values.get("overrides") or ())))


def _several(value: Any) -> list[Any]:
    """What an option was given, once or several times."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _paths_of(recipe: Recipe) -> Iterator[PathArgument]:
    for key, file in recipe.model.weight_files.items():
        yield PathArgument(key, Path(file))
    for name, settings in recipe.prepare.databases.items():
        if "root" in settings:
            yield PathArgument(f"prepare.databases.{name}.root", Path(settings["root"]))
