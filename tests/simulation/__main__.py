"""``python -m tests.simulation --seeds 1000`` runs seeds; ``--seed N`` runs one again and tells of it."""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.liars import LIARS
from tests.simulation.run import Outcome, run


def attempt(seed: int, liar: str | None) -> tuple[int, Outcome | str]:
    """The seed, and its outcome or what did not hold."""
    try:
        return seed, run(seed, liar)
    except Exception as error:
        return seed, repr(error)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--liar", choices=[*LIARS, "none"], help="who lies, instead of what the seed says")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    given = parser.parse_args()
    if given.seed is not None:
        print(run(given.seed, given.liar))
        return 0
    failed, told, began = 0, Counter[str](), time.monotonic()
    with multiprocessing.Pool(given.jobs) as pool:
        seeds = range(given.first, given.first + given.seeds)
        for seed, outcome in pool.imap_unordered(functools.partial(attempt, liar=given.liar), seeds, 10):
            if isinstance(outcome, str):
                failed += 1
                print(f"seed {seed}: {outcome}", flush=True)
            else:
                told += Counter(
                    {"events": outcome.events, "crashes": outcome.crashes, f"liar {outcome.liar}": 1}
                )
                told["runs that ended in evidence"] += outcome.accused
    print(f"{given.seeds} seeds in {time.monotonic() - began:.1f} s, {failed} failed")
    for name, count in sorted(told.items()):
        print(f"  {name}: {count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
