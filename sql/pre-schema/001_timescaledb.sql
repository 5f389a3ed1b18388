-- The TimescaleDB extension, which positions is partitioned with (003).
-- supervisor: requires-extension timescaledb

-- Unless its library is preloaded, CREATE EXTENSION ends the whole session with a FATAL error: say so before it does.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb')
        AND pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
        AND current_setting('shared_preload_libraries') NOT LIKE '%timescaledb%'
    THEN
        RAISE EXCEPTION 'timescaledb is installed on this server but its library is not preloaded'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Add timescaledb to shared_preload_libraries in postgresql.conf and restart the server.';
    END IF;
END
$$;

CREATE EXTENSION IF NOT EXISTS timescaledb;
