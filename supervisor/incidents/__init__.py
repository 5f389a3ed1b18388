"""What went wrong, as one record each: logged, kept in files, and told to the platform when the process ends of it."""
