-- Within an event: one class per code, one entry per race number, one place per person and device in an entry; and
-- within an organization, one event per slug. Directus' snapshot holds single-column uniqueness only.
-- Each is guarded by its definition, not its name: a database that has it under another name passes.

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'events'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (organization_id, slug)'
    ) THEN
        ALTER TABLE events
            ADD CONSTRAINT events_organization_id_slug_key UNIQUE (organization_id, slug);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'classes'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (event_id, code)'
    ) THEN
        ALTER TABLE classes
            ADD CONSTRAINT classes_event_id_code_key UNIQUE (event_id, code);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'entries'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (event_id, race_number)'
    ) THEN
        ALTER TABLE entries
            ADD CONSTRAINT entries_event_id_race_number_key UNIQUE (event_id, race_number);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'entry_crew'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (entry_id, user_id)'
    ) THEN
        ALTER TABLE entry_crew
            ADD CONSTRAINT entry_crew_entry_id_user_id_key UNIQUE (entry_id, user_id);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'entry_devices'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (entry_id, device_id)'
    ) THEN
        ALTER TABLE entry_devices
            ADD CONSTRAINT entry_devices_entry_id_device_id_key UNIQUE (entry_id, device_id);
    END IF;
END
$$;
