"""Metadata of a record in the formats of others: pure functions of its document, one module a format."""
