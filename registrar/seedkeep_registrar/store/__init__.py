"""The registrar's tables and queries; every function takes a SQLAlchemy connection first."""
