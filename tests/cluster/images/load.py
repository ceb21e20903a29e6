"""From sources to images in the cluster: build what changed, load what the node lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.cluster import choose, current, kind, own
from tests.cluster.build import cache_dir
from tests.cluster.console import say, step
from tests.cluster.images.buildah import Buildah
from tests.cluster.images.catalogue import IMAGES, OPERATOR, SIDECAR, Image
from tests.cluster.images.engine import Engine
from tests.cluster.locks import exclusive
from tests.cluster.state import Description, State


def ensure(state: State, images: Iterable[Image] = IMAGES) -> dict[str, str]:
    """Build and load the images; return each one's reference by its name (`operator`, `sidecar`, `sshhost`).

    Raises ClusterError.
    """
    description = state.describe()
    if description.kind == "current":
        references = current.pullable_images((OPERATOR.name, SIDECAR.name, "sshhost"))
    else:
        builder = Buildah() if description.kind == "own" else Engine(choose.container_engine() or "docker")
        builder.prepare()
        references = loaded(state)
        for image in images:
            references[image.name] = image.reference(builder.base)
            with exclusive(cache_dir() / "images" / "lock"):
                archive = _build(builder, image, references[image.name])
                _load(state, description, archive, references[image.name])
    (state.root / "images.json").write_text(json.dumps(references, indent=2) + "\n")
    return references


def loaded(state: State) -> dict[str, str]:
    """Return the references of the images that `ensure` loaded last, by name."""
    path = state.root / "images.json"
    references: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return references


def _build(builder: Buildah | Engine, image: Image, reference: str) -> Path:
    kind_of_builder = type(builder).__name__.lower()
    archive = cache_dir() / "images" / f"{image.name}-{kind_of_builder}-{reference.rpartition(':')[2]}.tar"
    if archive.exists():
        say(f"==> image {image.name} is unchanged")
        return archive
    with step(f"build the image {image.name}"):
        unfinished = archive.with_suffix(".part")
        unfinished.unlink(missing_ok=True)
        builder.build(image, reference, unfinished)
        for outdated in archive.parent.glob(f"{image.name}-{kind_of_builder}-*.tar"):
            outdated.unlink()
        unfinished.rename(archive)
    return archive


def _load(state: State, description: Description, archive: Path, reference: str) -> None:
    if description.kind == "kind":
        kind.load_image(state, archive)
    elif reference not in own.images(state):
        with step(f"load {reference} into the node"):
            own.load_image(state, archive)
