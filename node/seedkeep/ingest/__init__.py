"""From files on disk to a manifest and the hashes of both torrents, in one read of the bytes.

``scan`` finds the files, ``plan`` cuts the work into runs, ``pool`` hands them to ``worker`` processes,
which do the ``hashing``; ``checkpoint`` remembers what is done; ``run`` is the way through all of them.
"""
