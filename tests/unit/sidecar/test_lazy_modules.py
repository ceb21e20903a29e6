import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

PACKAGE = {
    "__init__.py": """
        from lazy_package.part import THING
        from lazy_package import other
        __version__ = "1"
        __all__ = ["THING"]
        """,
    "part.py": "from . import sibling\nTHING = object()",
    "sibling.py": "",
    "other.py": "",
}


def seen(directory: Path, code: str) -> Any:
    """What `code` leaves in `seen`, in a process where `lazy_package` and `re2` are lazy."""
    package = directory / "lazy_package"
    package.mkdir()
    for name, text in PACKAGE.items():
        (package / name).write_text(textwrap.dedent(text))
    beginning = """
        import json, sys
        from fairlead_sidecar import lazy_modules
        lazy_modules.LAZY |= {"lazy_package"}
        lazy_modules.install()
        def loaded():
            return sorted(name.partition(".")[2] for name in sys.modules if name.startswith("lazy_package."))
        """
    script = textwrap.dedent(beginning) + textwrap.dedent(code) + "\nprint(json.dumps(seen))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=directory, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_module_of_a_package_is_imported_without_the_package_s_own(tmp_path: Path) -> None:
    assert seen(tmp_path, "import lazy_package.part; seen = loaded()") == ["part", "sibling"]


@pytest.mark.parametrize(
    "use",
    [
        "from lazy_package import THING",
        "from lazy_package import *",
        "import lazy_package; lazy_package.THING",
        "import lazy_package; lazy_package.__version__",
        "import lazy_package.sibling; lazy_package.THING",
    ],
)
def test_package_is_whole_once_something_of_it_is_used(tmp_path: Path, use: str) -> None:
    code = f"""
        {use}
        import lazy_package, lazy_package.part
        seen = [loaded(), lazy_package.THING is lazy_package.part.THING, "__getattr__" in vars(lazy_package)]
        """
    assert seen(tmp_path, code) == [["other", "part", "sibling"], True, False]


def test_what_a_lazy_package_lacks_is_an_error_as_ever(tmp_path: Path) -> None:
    code = """
        import lazy_package
        seen = []
        for use in ("lazy_package.nothing", "exec('from lazy_package import nothing')"):
            try:
                eval(use)
            except (AttributeError, ImportError) as error:
                seen.append(f"{type(error).__name__}: {error}".partition(" (")[0])
        """
    assert seen(tmp_path, code) == [
        "AttributeError: module 'lazy_package' has no attribute 'nothing'",
        "ImportError: cannot import name 'nothing' from 'lazy_package'",
    ]


def test_threads_that_use_a_package_at_once_all_get_it_whole(tmp_path: Path) -> None:
    code = """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        import lazy_package
        together = threading.Barrier(8)
        def use(_):
            together.wait()
            return lazy_package.THING
        with ThreadPoolExecutor(8) as threads:
            seen = len(set(threads.map(use, range(8))))
        """
    assert seen(tmp_path, code) == 1


def test_what_is_loaded_already_stays_as_it_is(tmp_path: Path) -> None:
    code = """
        sys.meta_path.pop(0)
        import lazy_package
        before = lazy_package.THING
        lazy_modules.install()
        import lazy_package
        seen = before is lazy_package.THING
        """
    assert seen(tmp_path, code) is True


@pytest.mark.parametrize(
    "module",
    ["fairlead_sidecar.__main__", "fairlead_client.main, fairlead_client.serve.run, fairlead_client.serve.on_stdio"],
)
def test_server_loads_no_mcp_client_no_patterns_and_no_debugging_pages(tmp_path: Path, module: str) -> None:
    code = f"""
        import {module}
        unwanted = ("mcp.client", "mcp.server.mcpserver", "re2._re2", "yaml.nodes", "html.entities", "logging.handlers")
        seen = [name for name in (*unwanted, "prometheus_client.exposition") if name in sys.modules]
        """
    assert seen(tmp_path, code) == []


def test_library_that_is_done_without_counts_as_absent(tmp_path: Path) -> None:
    code = """
        lazy_modules.LACKING.add("lazy_package")
        try:
            import lazy_package.part
        except ModuleNotFoundError as error:
            seen = [error.name, loaded()]
        """
    assert seen(tmp_path, code) == ["lazy_package", []]
