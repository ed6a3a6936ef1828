"""The number of copies over time as lines to draw, and as a table to read; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from seedkeep_registrar import times
from seedkeep_registrar.store.copy_counts import Counts

_WIDTH, _HEIGHT = 1000, 200
_ROWS = 60


@dataclass(frozen=True, slots=True)
class Health:
    """What the page draws.

    Attributes:
        wanted, complete, audited: paths of stepped lines in a box of ``width`` × ``height``.
        area: the path below ``complete``.
        most: the number at the top of the box.
        since, until: its left and right end, as printed.
        rows: the changes, newest first: when, wanted, complete, audited.
        left_out: how many older changes the rows do not show.
    """

    wanted: str
    complete: str
    audited: str
    area: str
    most: int
    since: str
    until: str
    rows: Sequence[tuple[str, Counts]]
    left_out: int
    width: int = _WIDTH
    height: int = _HEIGHT


def health(history: Sequence[Counts], since: float, now: Counts) -> Health:
    """What is drawn of a dataset's copies.

    Args:
        history: the counts, oldest first; the first may be older than ``since``.
        since: where the drawing begins, Unix seconds.
        now: the counts at its end.
    """
    points = [replace(c, at=max(c.at, int(since))) for c in history if c.at < now.at]
    if not points or (points[-1].wanted, points[-1].complete, points[-1].audited) != (
        now.wanted,
        now.complete,
        now.audited,
    ):
        points.append(now)
    start = points[0].at if len(points) > 1 or points[0].at < now.at else now.at - 1
    span = max(1, now.at - start)
    most = max(1, *(max(c.wanted, c.complete, c.audited) for c in points))

    def line(values: Sequence[int]) -> str:
        drawn = f"M0 {_y(values[0], most)}"
        for c, value in zip(points[1:], values[1:], strict=True):
            drawn += f"H{round((c.at - start) / span * _WIDTH)}V{_y(value, most)}"
        return f"{drawn}H{_WIDTH}"

    complete = line([c.complete for c in points])
    rows = [(times.text(c.at), c) for c in reversed(points[-_ROWS:])]
    return Health(
        wanted=line([c.wanted for c in points]),
        complete=complete,
        audited=line([c.audited for c in points]),
        area=f"{complete}V{_HEIGHT}H0Z",
        most=most,
        since=times.text(start),
        until=times.text(now.at),
        rows=rows,
        left_out=max(0, len(points) - _ROWS),
    )


def _y(value: int, most: int) -> int:
    return round(_HEIGHT - value / most * (_HEIGHT - 8)) - (0 if value else 2)
