"""The demonstration: the whole promise on one machine, with real processes and real bytes.

:func:`run_demo` starts a registrar and storage managers, shares a dataset, lets the sharer go away,
fetches by name, loses a node, fetches again, taints, and shows that the files are gone. Everything
happens on loopback in a temporary place and is taken down again, also after Ctrl-C.
"""

from __future__ import annotations

from seedkeep.demo.play import run_demo
from seedkeep.demo.steps import DemoResult, DemoStep

__all__ = ["DemoResult", "DemoStep", "run_demo"]
