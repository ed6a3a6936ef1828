"""Full-text search over records with facets; SQLite FTS5 and PostgreSQL tsvector behind one interface."""
