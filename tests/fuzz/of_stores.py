"""Readers of a store's files. Where they are hashed, hashes are put right: what is tried is what lies behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from fuzz.engine import Harness, Target
from fuzz.of_databases import write


def _store(root: Path, encoding: str = "raw") -> Path:
    from stores import make_store  # of the tests

    return make_store(root / "store", encoding, people=3).path


def _read_all(place: Path) -> None:
    """All that a store has, and what people are shown of it."""
    import numpy as np

    from abaw_ray.blocks.reader import Store

    store = Store(place)
    store.manifest.render()
    rows = np.arange(len(store.index))
    store.frames_of(rows)
    store.index.subject(rows)
    store.image_ids(rows)
    store.images(rows)
    store.validation_rows()
    for labels in (*store.label_sets.values(), *store.unseen.label_sets.values()):
        labels.of(np.arange(len(labels.database)))


def with_hash(kind: str) -> Callable[[bytes], bytes]:
    """Puts the hash right that a file of JSON states of itself; `kind` is `module:class` of what is in it."""
    from importlib import import_module

    module, name = kind.split(":")
    model = getattr(import_module(module), name)

    def finish(content: bytes) -> bytes:
        try:
            found = model.model_validate_json(content)
            return json.dumps(found.model_dump(mode="json") | {"content_hash": found.hash()}).encode()
        except (ValueError, RecursionError):
            return content

    return finish


def _manifest(root: Path) -> Target:
    place = _store(root)
    finish = with_hash("abaw_ray.blocks.manifest:Manifest")
    return Target(place / "manifest.json", lambda: _read_all(place), finish=finish, named=place.name)


def _file(name: str, key: str) -> Harness:
    """A file of a store whose hash is in the manifest."""

    def make(root: Path) -> Target:
        from abaw_ray.blocks.manifest import Manifest

        place = _store(root)
        manifest = Manifest.load(place)

        def read() -> None:
            sha256 = hashlib.sha256((place / name).read_bytes()).hexdigest()
            if key in Manifest.model_fields:
                changed = manifest.model_copy(update={key: sha256})
            else:
                entries = [e.model_copy(update={"sha256": sha256}) for e in getattr(manifest, key.split(":")[0])[:1]]
                rest = getattr(manifest, key.split(":")[0])[1:]
                changed = manifest.model_copy(update={key.split(":")[0]: [*entries, *rest]})
            changed.model_copy(update={"content_hash": changed.hash()}).save(place)
            _read_all(place)

        return Target(place / name, read, named=place.name)

    return make


def _labels(root: Path) -> Target:
    from abaw_ray.blocks.manifest import Manifest
    from abaw_ray.blocks.reader import label_file

    first = Manifest.load(_store(root)).labels[0]
    name = str(label_file(root / "store", first).path.relative_to(root / "store"))
    for old in sorted((root / "store").rglob("*"), reverse=True):
        old.unlink() if old.is_file() else old.rmdir()
    return _file(name, "labels:0")(root)


def _block(encoding: str) -> Harness:
    def make(root: Path) -> Target:
        place = _store(root, encoding)
        file = next((place / "blocks").rglob("*-00002.arrow"))
        return Target(file, lambda: _read_all(place), named=place.name)

    return make


def _earlier_block(root: Path) -> Target:
    """A block that a killed preparation may have left."""
    from abaw_ray.blocks.writer import read_block

    file = next((_store(root) / "blocks").rglob("*.arrow"))
    return Target(file, lambda: read_block(file.parent, file.name))


def _annotator(root: Path) -> Target:
    from abaw_ray.blocks.annotators import AnnotatorManifest, LabelSource, annotator_folder
    from abaw_ray.blocks.manifest import Manifest

    place = _store(root)
    source = LabelSource(kind="corrections", name="doubts.csv", sha256="0" * 64)
    made = AnnotatorManifest(
        name="me", source=source, store_hash=Manifest.load(place).hash_of(), streams=(), labels=[], counts={}
    )
    text = made.model_copy(update={"content_hash": made.hash()}).model_dump_json()
    file = write(annotator_folder(place, "me") / "annotator.json", text)
    finish = with_hash("abaw_ray.blocks.annotators:AnnotatorManifest")
    return Target(file, lambda: _read_all(place), finish=finish, named=place.name)


def _computed(root: Path) -> Target:
    from abaw_ray.blocks.features import FeatureManifest, FeatureStore
    from abaw_ray.blocks.manifest import Manifest
    from abaw_ray.blocks.reader import Store

    place = _store(root)
    store = Store(place)
    made = FeatureManifest(
        store_hash=Manifest.load(place).hash_of(),
        precision="float32",
        blocks=[],
        cnn_sha256="0" * 64,
        tasks=("expression",),
        width=3,
        databases=("b",),
        all_variants=False,
        offsets=[0, 1],
        flips=[False, True],
        margin=1,
        flip=0.5,
    )
    file = root / "features" / "features.json"
    file.parent.mkdir()
    made.complete([]).save(file.parent)
    finish = with_hash("abaw_ray.blocks.features:FeatureManifest")
    return Target(file, lambda: FeatureStore(file.parent, store), finish=finish, named="features")


HARNESSES: dict[str, Harness] = {
    "store-manifest": _manifest,
    "store-index": _file("index.arrow", "index_sha256"),
    "store-videos": _file("videos.arrow", "videos_sha256"),
    "store-unseen": _file("unseen.arrow", "unseen_sha256"),
    "store-labels": _labels,
    "store-block-raw": _block("raw"),
    "store-block-jpeg": _block("jpeg"),
    "store-earlier-block": _earlier_block,
    "store-annotator": _annotator,
    "store-features": _computed,
}
