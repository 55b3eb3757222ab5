"""The database: one schema and one set of nouns, on SQLite in a folder or on a PostgreSQL server."""
