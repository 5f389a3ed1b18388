"""The `check` command: mistakes in the SQL files and the snapshot, found without a database."""
