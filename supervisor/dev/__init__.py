"""Development: everything that `directus-supervisor dev` sets up on a bare machine."""
