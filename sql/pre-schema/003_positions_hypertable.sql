-- Makes positions a hypertable with chunks of one day; rows that are already there move into chunks.
-- supervisor: requires-extension timescaledb

-- The extension may live in another schema than the tables; the path holds for this transaction only.
SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(nspname)), true)
FROM pg_extension
JOIN pg_namespace ON pg_namespace.oid = pg_extension.extnamespace
WHERE extname = 'timescaledb';

-- The two indexes of 002 are all that is wanted, so no default index on ts beside positions_ts.
SELECT create_hypertable(
    'positions',
    by_range('ts', INTERVAL '1 day'),
    create_default_indexes => false,
    if_not_exists => true,
    migrate_data => true
);

-- For a table that was a hypertable before, with other chunks: those to come are of one day.
SELECT set_chunk_time_interval('positions', INTERVAL '1 day');

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM timescaledb_information.dimensions
        WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass = 'positions'::regclass
            AND dimension_number = 1 AND column_name = 'ts' AND time_interval = INTERVAL '1 day'
    ) THEN
        RAISE EXCEPTION 'table positions is not a hypertable on ts with chunks of one day'
            USING ERRCODE = 'assert_failure',
                  HINT = 'See timescaledb_information.dimensions for what it is partitioned by.';
    END IF;
END
$$;
