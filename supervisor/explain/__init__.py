"""`explain`: a log read after the fact, and told as an account of what happened, why, and what to do."""
