"""Penalties by name, or from a Python file: what `gaugebias design` reads."""

import difflib
import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from ._penalties import L1, AbstractPenalty, Barrier, Log, Lp, Penalty, by_name
from ._structures import Group, Linear, Norm, Nuclear, Schatten, TotalVariation


def _whole(name: str, value: float) -> int:
    if not math.isfinite(value) or value != int(value) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer, but is {value:g}.")
    return int(value)


def _tv(weight: float = 0.1, length: float = 2, p: float = 1.0, scale: float = 0.05):
    n = _whole("length", length)
    return TotalVariation(weight, n, p=p, scale=scale), (n,)


def _group(weight: float = 0.1, size: float = 2, groups: float = 1, scale: float = 0.0):
    return Group(L1(weight, scale)), (_whole("groups", groups), _whole("size", size))


def _nuclear(weight: float = 0.1, rows: float = 2, columns: float = 2, scale: float = 0.0):
    return Nuclear(L1(weight, scale)), (_whole("rows", rows), _whole("columns", columns))


def _schatten(p: float = 0.5, weight: float = 0.1, rows: float = 2, columns: float = 2):
    return Schatten(p, weight), (_whole("rows", rows), _whole("columns", columns))


NAMES: dict[str, tuple[Callable[..., Any], str]] = {
    "log": (lambda weight=0.05, scale=0.0: (Log(weight, scale), ()), "weight log|w|"),
    "l1": (lambda weight=0.1, scale=0.0: (L1(weight, scale), ()), "weight |w|"),
    "lp": (
        lambda p=0.5, weight=0.1, scale=0.01: (Lp(p, weight, scale), ()),
        "weight |w|^p, smoothed",
    ),
    "barrier": (
        lambda lower=-1.0, upper=1.0, weight=0.1: (Barrier(lower, upper, weight), ()),
        "-weight log[(w - lower)(upper - w)]",
    ),
    "tv": (_tv, "weight sum |w_(i+1) - w_i|^p over length entries, smoothed"),
    "group": (_group, "weight sum_g |w_g| over groups of size entries"),
    "nuclear": (_nuclear, "weight |W|_* of rows x columns"),
    "schatten": (_schatten, "weight sum s_i^p of rows x columns"),
}
"""Name -> (function of its numbers, what it is)."""


def named(text: str) -> tuple[AbstractPenalty | Linear | Norm, tuple[int, ...]]:
    """A penalty from words, and the shape of `w`.

    **Arguments:** `text`: a name with numbers, `"l1"`, `"lp(p=0.5, weight=0.2)"`, or
    `"file.py:function"`: the function of one entry in that file, which is run.

    **Raises:** `ValueError` for names, numbers, files and functions that do not exist;
    `FileNotFoundError` never.
    """
    file, colon, function = text.rpartition(":")
    if colon and file.strip().endswith(".py"):
        found: Any = load_function(file.strip(), function.strip())
        if isinstance(found, Norm):
            raise ValueError(
                f"`penalty` {text!r} is of a norm, and has no shape: give its name, or use "
                "`from_penalty(penalty, temperature, shape=...)`."
            )
        if isinstance(found, Linear):
            return found, (found.analysis.shape[1],)
        return (found if isinstance(found, AbstractPenalty) else Penalty(found)), ()
    if text.strip().endswith(".py"):
        raise ValueError(
            f"`penalty` {text!r} names a file and no function: write `{text.strip()}:function`."
        )
    name, numbers = by_name(text)
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        cure = f"did you mean {near[0]!r}? " if near else ""
        raise ValueError(
            f"there is no penalty {name!r}: {cure}The names are {', '.join(NAMES)}; a function of "
            "your own is `file.py:function`."
        )
    try:
        return NAMES[name][0](**numbers)
    except TypeError:
        import inspect

        known = ", ".join(inspect.signature(NAMES[name][0]).parameters)
        raise ValueError(
            f"`penalty` {text!r}: {name} takes {known}, not {', '.join(numbers)}."
        ) from None


def load_function(file: str | Path, name: str, argument: str = "penalty") -> Callable:
    """The function (or class) `name` of a Python file, which is run; `argument` is who asks.

    **Raises:** `ValueError` where there is no such file or function, or the file fails.
    """
    (found,) = load_names(file, {name: name}, argument, callable).values()
    return found


def load_names(
    file: str | Path,
    names: Mapping[str, str],
    argument: str | None = None,
    right: Callable[[Any], bool] | None = None,
) -> dict[str, Any]:
    """Objects of a Python file, which is run once: the keys of `names` with what their values name.

    `argument` is who asks: by default each key for its own. The file becomes a module, as an import
    would make it: dataclasses look their annotations up there.

    **Raises:** `ValueError` where there is no such file, where it fails, or where a name is missing
    or not `right`.
    """
    path, first = Path(file), argument or next(iter(names))
    if path.is_dir():
        raise ValueError(f"`{first}`: {str(file)!r} is a folder: give the Python file in it.")
    if not path.is_file():
        raise ValueError(f"`{first}`: the file {str(file)!r} does not exist: check the path.")
    spec = importlib.util.spec_from_file_location(_module_name(path), path)
    if spec is None or spec.loader is None:
        raise ValueError(f"`{first}`: {str(file)!r} is no Python file: name one ending in .py.")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(spec.name)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        if before is None:
            del sys.modules[spec.name]
        else:
            sys.modules[spec.name] = before
        raise ValueError(
            f"`{first}`: the file {str(file)!r} fails when it is run ({type(error).__name__}: "
            f"{error})."
        ) from error
    out = {}
    for key, name in names.items():
        found = getattr(module, name, None)
        if found is None or (right is not None and not right(found)):
            known = [
                n
                for n, v in vars(module).items()
                if not n.startswith("_") and (right is None or right(v))
            ]
            near = difflib.get_close_matches(name, known, n=1)
            cure = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(known) or 'none'}."
            kind = "name" if right is None else "function"
            raise ValueError(f"`{argument or key}`: {str(file)!r} has no {kind} {name!r}: {cure}")
        out[key] = found
    return out


def _module_name(path: Path) -> str:
    """The file's own name, unless another file would be imported by it."""
    name, folder = path.stem, path.parent.resolve()
    file = getattr(sys.modules.get(name), "__file__", None)
    loaded = name in sys.modules and (file is None or Path(file).resolve() != path.resolve())
    elsewhere = [place for place in sys.path if Path(place).resolve() != folder]
    taken = loaded or name in sys.builtin_module_names or PathFinder.find_spec(name, elsewhere)
    return f"_file_{name}" if taken else name
