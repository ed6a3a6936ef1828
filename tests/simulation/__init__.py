"""Registrars, storage managers and readers on a virtual clock: a seed is a run, the same every time."""
