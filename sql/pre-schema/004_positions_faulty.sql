-- positions.faulty: marks a fix that must not count (a jump, a cold start). Live queries read through the partial index.

ALTER TABLE positions ADD COLUMN IF NOT EXISTS faulty boolean NOT NULL DEFAULT false;

CREATE INDEX IF NOT EXISTS positions_faulty_idx ON positions (device_id, ts DESC) WHERE faulty = false;

-- IF NOT EXISTS keeps whatever an older deployment has under these names.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_attribute a
        JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = 'positions'::regclass AND a.attname = 'faulty' AND a.atttypid = 'boolean'::regtype
            AND a.attnotnull AND pg_get_expr(d.adbin, d.adrelid) = 'false'
    ) THEN
        RAISE EXCEPTION 'column positions.faulty is not boolean NOT NULL DEFAULT false'
            USING ERRCODE = 'assert_failure', HINT = 'Alter the column to this definition, then start again.';
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'positions'::regclass AND c.relname = 'positions_faulty_idx' AND i.indisvalid
            AND pg_get_indexdef(i.indexrelid) LIKE '% USING btree (device_id, ts DESC) WHERE (faulty = false)'
    ) THEN
        RAISE EXCEPTION 'index positions_faulty_idx is not (device_id, ts DESC) WHERE faulty = false'
            USING ERRCODE = 'assert_failure', HINT = 'Drop the index, then start again: it is built anew.';
    END IF;
END
$$;
