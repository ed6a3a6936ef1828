"""``python -m tests.simulation --seeds 1000`` runs seeds; ``--seed N`` runs one again and tells of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.liars import LIARS
from tests.simulation.run import Run, each_signature_once


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one alone")
    parser.add_argument("--liar", choices=[*LIARS, "none"], help="who lies, instead of what the seed says")
    given = parser.parse_args()
    seeds = [given.seed] if given.seed is not None else range(given.first, given.first + given.seeds)
    failed, told, began = [], Counter[str](), time.monotonic()
    with each_signature_once():
        for seed in seeds:
            try:
                outcome = Run(seed, given.liar).go()
            except Exception as error:
                failed.append(seed)
                print(f"seed {seed}: {error!r}", flush=True)
            else:
                told += Counter(
                    {"events": outcome.events, "crashes": outcome.crashes, f"liar {outcome.liar}": 1}
                )
                told["runs that ended in evidence"] += outcome.accused
                if given.seed is not None:
                    print(outcome)
    print(f"{len(seeds)} seeds in {time.monotonic() - began:.1f} s, {len(failed)} failed")
    for name, count in sorted(told.items()):
        print(f"  {name}: {count}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
