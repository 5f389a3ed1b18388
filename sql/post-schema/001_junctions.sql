-- An organization lists a person, a vehicle and a device once. Directus' snapshot holds single-column uniqueness only.
-- Each is guarded by its definition, not its name: a database that has it under another name passes.

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'organization_users'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (organization_id, user_id)'
    ) THEN
        ALTER TABLE organization_users
            ADD CONSTRAINT organization_users_organization_id_user_id_key UNIQUE (organization_id, user_id);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'organization_vehicles'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (organization_id, vehicle_id)'
    ) THEN
        ALTER TABLE organization_vehicles
            ADD CONSTRAINT organization_vehicles_organization_id_vehicle_id_key UNIQUE (organization_id, vehicle_id);
    END IF;

    IF NOT EXISTS (
        SELECT
        FROM pg_constraint
        WHERE conrelid = 'organization_devices'::regclass
            AND pg_get_constraintdef(oid) = 'UNIQUE (organization_id, device_id)'
    ) THEN
        ALTER TABLE organization_devices
            ADD CONSTRAINT organization_devices_organization_id_device_id_key UNIQUE (organization_id, device_id);
    END IF;
END
$$;
