"""Private object stores as web seeds: credentials stay here, clients get short-lived URLs or bytes."""
