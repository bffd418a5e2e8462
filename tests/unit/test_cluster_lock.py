"""What the image is made of: every version locked with hashes, as the project asks, and listed in the image."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from test_cluster_files import CLUSTER, PINS, PROJECT, stages

LOCK = (CLUSTER / "requirements.lock").read_text()
ENTRIES = re.findall(r"^([a-z0-9.-]+)==(\S+) \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.MULTILINE)
VERSIONS = {name: version for name, version, _ in ENTRIES}
IMAGE = {"python_version": "3.11", "platform_machine": "x86_64", "sys_platform": "linux", "platform_system": "Linux"}
"""Of the Dockerfile's base."""


def test_the_lock_is_nothing_but_versions_with_hashes():
    rest = re.sub(r"^#.*\n", "", LOCK, flags=re.MULTILINE)
    assert sum(1 + hashes.count("--hash") for _, _, hashes in ENTRIES) == len(rest.splitlines())
    assert "uv pip compile pyproject.toml cluster/constraints.txt " in LOCK


def test_the_lock_has_the_versions_that_are_named():
    named = {canonicalize_name(name): version for name, version in PINS.items()}
    assert {name: VERSIONS.get(name) for name in named} == named


def test_the_lock_has_what_the_project_asks_for():
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert requirement.specifier.contains(VERSIONS[canonicalize_name(requirement.name)]), requirement


def test_the_lock_has_what_its_packages_ask_for():
    """Of those that are installed here in the version of the lock."""
    extras = {canonicalize_name(r.name): {"", *r.extras} for r in map(Requirement, PROJECT["dependencies"])}
    num_looked_at = 0
    for name, version in VERSIONS.items():
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if found.version.partition("+")[0] != version:
            continue
        num_looked_at += 1
        for requirement in map(Requirement, found.requires or []):
            if requirement.marker is None or any(
                requirement.marker.evaluate(IMAGE | {"extra": extra}) for extra in extras.get(name, {""})
            ):
                locked = VERSIONS.get(canonicalize_name(requirement.name))
                # a package for CPUs alone asks for less than that of the image, never for more
                assert locked is not None, f"{name} needs {requirement}"
                assert requirement.specifier.contains(locked, prereleases=True), f"{name} needs {requirement}"
    assert num_looked_at > 10


def commands() -> list[str]:
    """What the Dockerfile runs."""
    return [" ".join(rest.split()) for stage in stages() for word, rest in stage if word == "RUN"]


def test_the_image_installs_nothing_but_what_is_locked():
    installed = [part for text in commands() for part in re.findall(r"pip install [^&]*", text)]
    assert [part.strip() for part in installed] == [
        "pip install --require-hashes --requirement requirements.lock",
        "pip install cyclonedx-bom==7.5.0",  # of a stage that is thrown away
        "pip install --no-cache-dir --no-deps --no-index /wheels/*.whl",
    ]


def test_the_image_keeps_a_list_of_its_packages():
    assert any("cyclonedx-py environment" in text and text.endswith("/opt/venv/bin/python") for text in commands())
    copies = [rest for word, rest in stages()[-1] if word == "COPY"]
    assert "--from=sbom /build/sbom.cdx.json /usr/share/abaw-ray/sbom.cdx.json" in copies
