"""Settings: one dataclass defines each, with its unit; file < environment < flags.

A settings class is a frozen dataclass whose fields carry ``metadata`` made by :func:`setting`. Nested
tables of the TOML file are flattened with a dot. :func:`load` reads the three layers and refuses an
unknown key by naming the nearest valid one. Nothing here touches a file: the text is passed in.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from seedkeep.core.errors import UsageError
from seedkeep.core.units import parse_duration, parse_size

ENV_PREFIX = "SEEDKEEP_"
S = TypeVar("S")


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    parse: Callable[[str], Any] | None = None,
    secret: bool = False,
) -> Any:
    """A field of a settings class.

    Args:
        doc: one line for the example file and for ``--help``.
        unit: what the number counts, e.g. "seconds", "bytes".
        parse: reads the textual form; sizes and durations have one by their ``unit``.
        secret: never print the value.
    """
    known = {"bytes": parse_size, "seconds": parse_duration}
    metadata = {"doc": doc, "unit": unit, "parse": parse or known.get(unit), "secret": secret}
    if isinstance(default, list | dict):
        raise TypeError("defaults are immutable: use a tuple")
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


def _flatten(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _truth(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("say true or false")


def _convert(name: str, value: Any, kind: Any, field: dataclasses.Field[Any], source: str) -> Any:
    parse = field.metadata.get("parse")
    args = [a for a in get_args(kind) if a is not type(None)]
    if get_origin(kind) is not tuple and args and type(None) in get_args(kind):
        if value is None or value == "":
            return None
        kind = args[0]
    try:
        if get_origin(kind) is tuple:
            items = value.split(",") if isinstance(value, str) else value
            if not isinstance(items, Sequence):
                raise ValueError("give a list")
            items = [i.strip() if isinstance(i, str) else i for i in items]
            return tuple(parse(i) if parse else i for i in items if i != "")
        if parse and isinstance(value, str):
            return kind(parse(value)) if kind in (int, float) else parse(value)
        if kind is bool:
            return value if isinstance(value, bool) else _truth(str(value))
        if kind in (int, float):
            if isinstance(value, bool):
                raise ValueError("give a number")
            return kind(value)
        if kind is Path:
            return Path(str(value)).expanduser()
        if kind is str:
            if not isinstance(value, str):
                raise ValueError("give text")
            return value
    except (ValueError, TypeError, UsageError) as error:
        shown = "" if field.metadata.get("secret") else f" {value!r}"
        raise UsageError(
            f"setting {name} has a bad value{shown} ({source}): {error}", hint=getattr(error, "hint", "")
        ) from error
    return value


def _unknown(name: str, names: Sequence[str], source: str) -> UsageError:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"Did you mean {near[0]}?" if near else f"Valid settings: {', '.join(sorted(names))}."
    return UsageError(f"unknown setting {name} ({source})", hint=hint)


def load(
    kind: type[S],
    *,
    toml: str = "",
    toml_name: str = "the configuration file",
    environ: Mapping[str, str] | None = None,
    section: str,
    flags: Mapping[str, Any] | None = None,
) -> S:
    """Read settings from three layers, later ones winning.

    Args:
        kind: the settings dataclass.
        toml: text of the TOML file ("" for none).
        toml_name: how to call that file in an error.
        environ: the environment; ``SEEDKEEP_<SECTION>_<NAME>`` (dots as ``_``) are read.
        section: "node" or "registrar"; names the environment variables.
        flags: command-line values by setting name; None values are left out.

    Raises:
        UsageError: an unknown key (the nearest valid one is named) or a value of the wrong form.
    """
    hints = get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}

    def put(key: str, value: Any, source: str) -> None:
        if key not in fields:
            raise _unknown(key, list(fields), source)
        values[key] = _convert(key, value, hints[key], fields[key], source)

    try:
        table = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{toml_name} is not valid TOML: {error}") from error
    for key, value in _flatten(table).items():
        put(key.replace(".", "_").replace("-", "_"), value, toml_name)
    prefix = f"{ENV_PREFIX}{section.upper()}_"
    for variable, text in (environ or {}).items():
        if variable.startswith(prefix):
            put(variable.removeprefix(prefix).lower(), text, f"environment variable {variable}")
    for flag, value in (flags or {}).items():
        if value is not None and value != ():
            put(flag, value, f"--{flag.replace('_', '-')}")
    return kind(**values)
