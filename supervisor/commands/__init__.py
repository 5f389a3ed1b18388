"""Commands for operators: what has run, what would run, and its records put right."""
