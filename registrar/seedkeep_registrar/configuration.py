"""Where a registrar's settings come from: a TOML file, the environment, flags; each beats the one before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedkeep.core.errors import UsageError
from seedkeep.core.settings import load
from seedkeep_registrar.settings import Settings

_MAX_CONFIG_BYTES = 1 << 20


def load_settings(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """The settings.

    Args:
        config: the TOML file, if one is given.
        flags: by setting; None and empty ones were not given.

    Raises:
        UsageError: the file cannot be read, or a setting makes no sense.
    """
    return load(
        Settings,
        toml=_read(config),
        toml_name=str(config or "the configuration file"),
        environ=os.environ,
        section="registrar",
        flags=flags,
    )


def _read(config: Path | None) -> str:
    if config is None:
        return ""
    try:
        if config.stat().st_size > _MAX_CONFIG_BYTES:
            raise UsageError(f"the configuration file {config} is over {_MAX_CONFIG_BYTES} bytes")
        return config.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"the configuration file {config} cannot be read: {reason}") from error
