"""Pure logic: no sockets, files, database, clock or randomness."""
