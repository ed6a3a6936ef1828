"""The native REST interface, one module per resource; every module has a ``routes`` table."""
