"""Lets a process leave out what libraries import and it never uses: MiB of memory, and a third of its start.

Python runs a package's own module before any other of it. Where that one offers the whole package under shorter names,
a server loads the client as well. The modules named here run only once something of them is asked for: nothing is
missing, and what is never asked for is never loaded.
"""

import sys
import threading
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

LAZY = frozenset(
    {
        # Packages whose modules are imported one by one here.
        *("fairlead_api", "jwt", "mcp", "mcp.client", "mcp.server"),
        # Used where there are patterns or secrets to mask, a file of settings, somebody who asks for metrics, a file to
        # edit.
        *("re2", "yaml", "prometheus_client", "difflib"),
        # What starlette writes debugging pages with, uvicorn configures logging with, and packages are read from in
        # archives with; none of it is done here.
        *("html", "logging.config", "zipfile"),
    }
)

LACKING: set[str] = set()
"""Libraries that this process does without, as if they were not installed."""


def install() -> None:
    """Load the modules named in `LAZY` only when they are used, as far as they are not loaded yet."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def defer_wire_models() -> None:
    """Let the SDK's models of messages, two of each, be built when the first such message comes.

    Most never are: a host is talked to by clients of one or two versions, about a few of the methods.
    """
    from mcp_types._wire_base import WireModel  # noqa: PLC0415 - takes long, so it is not for everybody who comes here

    WireModel.model_config["defer_build"] = True


class _Finder(MetaPathFinder):
    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002 - part of the interface
    ) -> ModuleSpec | None:
        if fullname in LACKING:
            raise ModuleNotFoundError(f"{fullname} is not used here", name=fullname)
        if fullname not in LAZY:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _LazyLoader(spec.loader)
        return spec


class _LazyLoader(Loader):
    """Unlike `importlib.util.LazyLoader`, which a package's first submodule sets off."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__getattr__"] = _on_first_use(module, self._loader)


def _on_first_use(module: ModuleType, loader: Loader) -> Callable[[str], Any]:
    """The module's `__getattr__` (PEP 562): Python calls it for what the module does not have yet."""
    lock = threading.RLock()
    running = False
    path = module.__dict__.get("__path__")

    def missing(name: str) -> Any:
        nonlocal running
        if path is not None and not running and PathFinder.find_spec(f"{module.__name__}.{name}", path) is not None:
            # A module asks for another one of its own package, which must not run it all in the middle of this.
            return import_module(f"{module.__name__}.{name}")
        with lock:
            if running:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)
            if module.__dict__.get("__getattr__") is missing:
                running = True
                try:
                    loader.exec_module(module)
                finally:
                    running = False
                if module.__dict__.get("__getattr__") is missing:
                    del module.__dict__["__getattr__"]
        return getattr(module, name)

    return missing
