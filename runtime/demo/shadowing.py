"""Whether ``providers`` and ``tools`` are ours: their names are common, and the working directory comes first.

They are only looked up here, not imported, so that nothing of a stranger runs.
"""

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
"""The folder that holds our three packages."""
_NAMES = ("providers", "tools")


def explain_strangers() -> str | None:
    """What to tell the user when another ``providers`` or ``tools`` would be imported; None when all is well."""
    for name in _NAMES:
        found = _place(find_spec(name))
        if found is None:
            return f"The demo cannot start: there is no package `{name}` in {HOME}. Install agentrio again."
        if found != HOME / name:
            return _explanation(name, found)
    return None


def _place(spec: ModuleSpec | None) -> Path | None:
    """The folder of a package, or the file of a module."""
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    return Path(places[0]).resolve()


def _explanation(name: str, found: Path) -> str:
    return (
        f"The demo cannot start: `import {name}` finds another package than agentrio's.\n\n"
        f"  found     {found}\n"
        f"  expected  {HOME / name}\n\n"
        f"{_remedy(found)}"
    )


def _remedy(found: Path) -> str:
    if found.parent != Path.cwd().resolve():
        return (
            f"{found.parent} comes earlier on Python's path ({', '.join(sys.path[:3])}, ...).\n"
            "Take it off PYTHONPATH, or install agentrio into a virtual environment of its own."
        )
    return (
        f"It lies in the working directory, and `python -m` looks there first. Do one of these:\n"
        f"  - run the demo from another directory;\n"
        f"  - rename {found.name};\n"
        f"  - keep the working directory off the path: python -P -m runtime.demo"
    )
