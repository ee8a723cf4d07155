"""Pictures of every page, of invented rows that are the same each time."""
