"""`status`, `top`, `logs` and `reload`: a running supervisor, asked and steered over its control socket."""
