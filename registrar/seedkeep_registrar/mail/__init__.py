"""Mail: templates, the outbox that survives a restart, and SMTP."""
