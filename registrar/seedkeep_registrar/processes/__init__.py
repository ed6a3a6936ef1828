"""One registrar as several processes on one PostgreSQL: signals between them, who leads, a supervisor."""
