"""Which release a boot brings, and whether the database has had a newer one: an older one must undo nothing."""
