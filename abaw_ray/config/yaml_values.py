"""Values of YAML files and of `a.b=c` overrides."""

from __future__ import annotations

from typing import Any

import yaml

from abaw_ray.errors import ConfigurationError, quoted

UNREADABLE = (yaml.YAMLError, UnicodeDecodeError, ValueError, OverflowError, RecursionError)
"""What reading YAML ends with where a text is none, or a value is not what its tag says."""


MOST_VALUES, MOST_BITS = 100_000, 63
"""Of a text, and of an integer in it."""


class _Loader(yaml.SafeLoader):
    """The safe loader, which takes the last of a mapping's equal keys and numbers of any size, refusing them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"found {key.value} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = super().construct_yaml_int(node)
        if number.bit_length() > MOST_BITS:
            raise yaml.constructor.ConstructorError(
                None,
                None,
                f"found a number of {number.bit_length()} bits, expected at most {MOST_BITS}",
                node.start_mark,
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def load_yaml(text: str) -> Any:
    """The values that a text of YAML holds; raises one of `UNREADABLE`, as where a mapping has a key twice."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _num_values(node, {}) > MOST_VALUES:
            raise yaml.YAMLError(f"found more than {MOST_VALUES:,} values, with all that aliases stand for")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _num_values(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """Values in a node, those of an alias as often as it stands for them.

    Aliases of aliases make billions out of a few lines: Python shares them, but what is validated, merged or shown is
    gone through as often.
    """
    if node not in known:
        known[node] = MOST_VALUES + 1  # within itself a node stands for values without end
        parts = node.value if isinstance(node, yaml.CollectionNode) else []
        each = [part for pair in parts for part in pair] if isinstance(node, yaml.MappingNode) else parts
        known[node] = min(1 + sum(_num_values(part, known) for part in each), MOST_VALUES + 1)
    return known[node]


def recipe_values(content: bytes, source: str) -> dict[str, Any]:
    """The sections that a file's content is, whatever they hold; errors name `source`."""
    try:
        values = load_yaml(content.decode())
    except UNREADABLE as error:
        raise ConfigurationError(f"{source}: not a recipe in YAML: {error}") from None
    if not isinstance(values or {}, dict):
        raise ConfigurationError(f"{source}: found {type(values).__name__}, expected a mapping of sections")
    return values or {}


def merge(values: dict[str, Any], changes: dict[str, Any]) -> None:
    """Puts `changes` into `values`, section by section."""
    for key, change in changes.items():
        if isinstance(change, dict) and isinstance(values.get(key), dict):
            merge(values[key], change)
        else:
            values[key] = change


def apply_override(values: dict[str, Any], override: str) -> None:
    """Sets what an override, as `train.epochs=5`, says."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigurationError(f"override {quoted(override)}: expected key=value, as train.epochs=5")
    try:
        value = load_yaml(text)
    except UNREADABLE:
        raise ConfigurationError(f"override {quoted(override)}: {quoted(text)} is not a YAML value") from None
    put(values, key.strip(), value, f"override {quoted(override)}")


def put(values: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Sets the value of a dotted key."""
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigurationError(f"{source}: {parent} is not a section")
    values[leaf] = value
