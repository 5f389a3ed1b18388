#!/usr/bin/env bash
# The flow that directus-supervisor replaces, kept as the baseline of the benchmarks: wait, SQL, bootstrap, dry run,
# apply, SQL, pm2-runtime. It does what such entrypoints do, and no more.
#
# Reads DB_*, SQL_DIR, SNAPSHOT, DIRECTUS_CLI (what `node` starts), PM2_RUNTIME and ECOSYSTEM.
set -euo pipefail

. "$(dirname "$0")/sql.sh"

log "waiting for Postgres"
until pg_isready --quiet --timeout=3; do sleep 1; done

make_guard_table
apply_folder "$SQL_DIR/pre-schema"

log "bootstrap"
node "$DIRECTUS_CLI" bootstrap

log "schema apply"
node "$DIRECTUS_CLI" schema apply --dry-run "$SNAPSHOT"
node "$DIRECTUS_CLI" schema apply --yes "$SNAPSHOT"

apply_folder "$SQL_DIR/post-schema"

log "start"
exec node "$PM2_RUNTIME" start "$ECOSYSTEM"
