"""What `dry-run` does: the whole gate on a database that it makes itself, and that is gone afterwards."""
