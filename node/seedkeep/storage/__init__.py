"""The storage manager: keeps what registrars offer, within its pledge, and proves that it does.

Start reading at :mod:`seedkeep.storage.service` (what a node is), then :mod:`seedkeep.storage.manager`
(one dataset's way from offer to removal) and :mod:`seedkeep.storage.state` (what survives a crash).
"""
