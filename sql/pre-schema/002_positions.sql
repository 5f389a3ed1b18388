-- positions: one row per fix that a tracking device reports. The writer service inserts into it; Directus does not
-- manage it. A plain table until 003 makes it a hypertable. No primary key: (device_id, ts) is unique.

CREATE TABLE IF NOT EXISTS positions (
    device_id   text             NOT NULL,
    ts          timestamptz      NOT NULL,
    ingested_at timestamptz      NOT NULL DEFAULT now(),
    latitude    double precision NOT NULL,
    longitude   double precision NOT NULL,
    altitude    real             NOT NULL,
    angle       real             NOT NULL,
    speed       real             NOT NULL,
    satellites  smallint         NOT NULL,
    priority    smallint         NOT NULL,
    codec       text             NOT NULL,
    attributes  jsonb            NOT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS positions_device_ts ON positions (device_id, ts DESC);
CREATE INDEX IF NOT EXISTS positions_ts ON positions (ts DESC);

-- IF NOT EXISTS keeps whatever an older deployment has under these names: hold it to the shape the writer relies on.
DO $$
DECLARE
    differences text;
BEGIN
    SELECT string_agg(difference, '; ' ORDER BY difference)
    INTO differences
    FROM (
        SELECT CASE
                   WHEN actual.attname IS NULL THEN format('column %s is missing', expected.name)
                   WHEN actual.type <> expected.type
                       THEN format('column %s is %s, not %s', expected.name, actual.type, expected.type)
                   WHEN NOT actual.attnotnull THEN format('column %s is nullable', expected.name)
                   -- A default beyond those expected does no harm to a writer that fills every column.
                   WHEN coalesce(actual.default_value, 'none') <> expected.default_value
                       THEN format('column %s has the default %s, not %s', expected.name,
                                   coalesce(actual.default_value, 'none'), expected.default_value)
               END
        FROM (
            VALUES ('device_id', 'text', NULL),
                   ('ts', 'timestamp with time zone', NULL),
                   ('ingested_at', 'timestamp with time zone', 'now()'),
                   ('latitude', 'double precision', NULL),
                   ('longitude', 'double precision', NULL),
                   ('altitude', 'real', NULL),
                   ('angle', 'real', NULL),
                   ('speed', 'real', NULL),
                   ('satellites', 'smallint', NULL),
                   ('priority', 'smallint', NULL),
                   ('codec', 'text', NULL),
                   ('attributes', 'jsonb', NULL)
        ) AS expected (name, type, default_value)
        LEFT JOIN (
            SELECT a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull,
                   pg_get_expr(d.adbin, d.adrelid) AS default_value
            FROM pg_attribute a
            LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
            WHERE a.attrelid = 'positions'::regclass AND a.attnum > 0 AND NOT a.attisdropped
        ) AS actual ON actual.attname = expected.name

        UNION ALL

        SELECT format('column %s is NOT NULL without a default, and the writer does not fill it', a.attname)
        FROM pg_attribute a
        WHERE a.attrelid = 'positions'::regclass AND a.attnum > 0 AND NOT a.attisdropped
            AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
            AND a.attname NOT IN ('device_id', 'ts', 'ingested_at', 'latitude', 'longitude', 'altitude', 'angle',
                                  'speed', 'satellites', 'priority', 'codec', 'attributes')

        UNION ALL

        SELECT 'it has a primary key'
        FROM pg_constraint
        WHERE conrelid = 'positions'::regclass AND contype = 'p'

        UNION ALL

        SELECT format('index %s is not %s(%s)', expected.name,
                      CASE WHEN expected.is_unique THEN 'unique ' END, expected.columns)
        FROM (
            VALUES ('positions_device_ts', true, 'device_id, ts DESC'),
                   ('positions_ts', false, 'ts DESC')
        ) AS expected (name, is_unique, columns)
        WHERE NOT EXISTS (
            SELECT
            FROM pg_index i
            JOIN pg_class c ON c.oid = i.indexrelid
            WHERE i.indrelid = 'positions'::regclass AND c.relname = expected.name
                AND i.indisunique = expected.is_unique AND i.indisvalid
                AND pg_get_indexdef(i.indexrelid) LIKE '% USING btree (' || expected.columns || ')'
        )
    ) AS found (difference)
    WHERE difference IS NOT NULL;

    IF differences IS NOT NULL THEN
        RAISE EXCEPTION 'table positions is not what the writer expects: %', differences
            USING ERRCODE = 'assert_failure',
                  HINT = 'An older table of this name exists: alter it to this shape, or rename it, then start again.';
    END IF;
END
$$;
