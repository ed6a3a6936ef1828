"""RSS and Atom feeds of torrents, to which any torrent client can subscribe."""
