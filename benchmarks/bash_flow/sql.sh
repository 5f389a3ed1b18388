# The SQL part of the bash flow, read by its entrypoint: one psql to ask and one to run for each file.

export PGHOST="$DB_HOST" PGPORT="$DB_PORT" PGUSER="$DB_USER" PGPASSWORD="$DB_PASSWORD" PGDATABASE="$DB_DATABASE"
export PGOPTIONS="--client-min-messages=warning"

log() { echo "[entrypoint] $*"; }

query() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 "$@"; }

make_guard_table() {
    query --command="CREATE TABLE IF NOT EXISTS migrations_applied (
        filename text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now(), checksum text NOT NULL)"
}

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
