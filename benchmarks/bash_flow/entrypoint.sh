#!/usr/bin/env bash
# The flow that directus-supervisor replaces, kept as the baseline of the benchmarks: wait, SQL, bootstrap, dry run,
# apply, SQL, pm2-runtime. It does what such entrypoints do, and no more.
#
# Reads DB_*, SQL_DIR, SNAPSHOT, DIRECTUS_CLI (what `node` starts), PM2_RUNTIME and ECOSYSTEM.
set -euo pipefail

export PGHOST="$DB_HOST" PGPORT="$DB_PORT" PGUSER="$DB_USER" PGPASSWORD="$DB_PASSWORD" PGDATABASE="$DB_DATABASE"
export PGOPTIONS="--client-min-messages=warning"

log() { echo "[entrypoint] $*"; }

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

apply_folder() {
    local file name checksum applied
    for file in "$1"/*.sql; do
        [ -e "$file" ] || continue
        name="$(basename "$file")"
        checksum="$(sha256sum "$file" | cut -d' ' -f1)"
        applied="$(query --command="SELECT checksum FROM migrations_applied WHERE filename = '$name'")"
        if [ -n "$applied" ]; then
            [ "$applied" = "$checksum" ] || { log "checksum mismatch: $name"; exit 2; }
            log "skip $name"
            continue
        fi
        log "apply $name"
        query --single-transaction --file="$file" --output=/dev/null \
            --command="INSERT INTO migrations_applied (filename, applied_at, checksum) VALUES ('$name', now(), '$checksum')" \
            || { log "failed: $name"; exit 3; }
    done
}

log "waiting for Postgres"
until pg_isready --quiet --timeout=3; do sleep 1; done

query --command="CREATE TABLE IF NOT EXISTS migrations_applied (
    filename text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now(), checksum text NOT NULL)"
apply_folder "$SQL_DIR/pre-schema"

log "bootstrap"
node "$DIRECTUS_CLI" bootstrap

log "schema apply"
node "$DIRECTUS_CLI" schema apply --dry-run "$SNAPSHOT"
node "$DIRECTUS_CLI" schema apply --yes "$SNAPSHOT"

apply_folder "$SQL_DIR/post-schema"

log "start"
exec node "$PM2_RUNTIME" start "$ECOSYSTEM"
