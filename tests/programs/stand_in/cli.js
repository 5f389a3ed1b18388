// Only its place matters: the supervisor runs @directus/api/dist/cli/run.js.
