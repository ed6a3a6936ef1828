"""What a registrar tells of taints, in words for whoever asks for the data.

A record that is withheld as a whole is refused by the registrar itself
(:class:`seedkeep.registrar_http.TaintedRecord`). One of which a taint warns, or withholds some files, is
shown with ``taints`` and ``withheld``; none of this is signed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seedkeep.core.errors import Tainted
from seedkeep.core.manifest import FileEntry, Manifest
from seedkeep.core.paths import printable
from seedkeep.message_fields import one_line
from seedkeep.record_document import Record

_MOST = 100
_SHOWN = 5


def taints_in(document: Mapping[str, Any]) -> tuple[Mapping[str, str], ...]:
    """The ``taints`` of a record or problem document: texts by name, each in one short line."""
    told = document.get("taints")
    return tuple(
        {str(name)[:40]: one_line(text) for name, text in taint.items()}
        for taint in (told if isinstance(told, list) else [])[:_MOST]
        if isinstance(taint, Mapping)
    )


def in_words(taint: Mapping[str, str], by: str) -> str:
    """Category, reason, basis, since when and by whom, until when, and how to object.

    Args:
        by: the registrar that says so.
    """
    said = f"{taint.get('category') or 'taint'}: {taint.get('reason') or 'no reason given'}"
    basis = ", ".join(filter(None, (taint.get("basis"), taint.get("jurisdiction"))))
    parts = [f"{said} ({basis})" if basis else said]
    since = f" on {taint['created']}" if taint.get("created") else ""
    parts.append(f"ordered by {by}{since}")
    parts += [f"until {taint['expires']}"] if taint.get("expires") else []
    parts += [f"to object: {taint['appeal']}"] if taint.get("appeal") else []
    return "; ".join(parts)


def withheld_files(record: Record, manifest: Manifest) -> list[FileEntry]:
    """The files of a record that taints withhold."""
    told = record.document.get("withheld")
    paths = {path for path in told if isinstance(path, str)} if isinstance(told, list) else set()
    roots = {root for taint in taints_in(record.document) if (root := _withheld_root(taint))}
    return [file for file in manifest.files if file.path in paths or file.root in roots]


def heed(
    record: Record, manifest: Manifest, paths: Iterable[str], by: str, note: Callable[[str], None]
) -> None:
    """Tell of what a record is tainted with, before some of its files are fetched.

    Args:
        paths: of the files that are wanted.
        by: the registrar that says so.
        note: is told the warnings.

    Raises:
        Tainted: some of these files are withheld.
    """
    taints, wanted = taints_in(record.document), set(paths)
    hit = [file for file in withheld_files(record, manifest) if file.path in wanted]
    if hit:
        roots = {f"root:{file.root}" for file in hit}
        why = [in_words(t, by) for t in taints if t.get("subject") in roots] or [f"so says {by}"]
        shown = ", ".join(printable(file.path) for file in hit[:_SHOWN])
        more = f" and {len(hit) - _SHOWN} more" if len(hit) > _SHOWN else ""
        raise Tainted(
            f"files of {printable(manifest.name)} are withheld: {shown}{more} ({'; '.join(why[:_SHOWN])})",
            hint="Fetch the other files, with --exclude or by their paths after the name.",
        )
    for taint in taints:
        if not _withheld_root(taint):
            note(f"there is a warning about these data: {in_words(taint, by)}")


def _withheld_root(taint: Mapping[str, str]) -> str:
    kind, _, value = taint.get("subject", "").partition(":")
    return value if kind == "root" and taint.get("effect") != "warn" else ""
