"""Moving and seeding bytes: what a BitTorrent engine must promise, libtorrent's, and a fake for tests.

``model`` is the contract that the rest of the node is written against; ``lt`` is the only module
that imports libtorrent; ``memory`` keeps the same promises without a network.
"""
