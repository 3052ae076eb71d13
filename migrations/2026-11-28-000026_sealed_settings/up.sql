-- What a setting says of addresses and codes is sealed under a key of the service, in the member `sealed` of the body. The rows
-- of before are sealed by the service, which has the keys.
ALTER TABLE setting_versions ADD COLUMN sealed_under text
    GENERATED ALWAYS AS (split_part(body ->> 'sealed', ':', 1)) STORED;
CREATE INDEX setting_versions_by_key ON setting_versions (sealed_under, id) WHERE sealed_under IS NOT NULL;
-- Those that are to be sealed: none, but after an upgrade.
CREATE INDEX setting_versions_unsealed ON setting_versions (id) WHERE body ->> 'mdm_url' IS NOT NULL
    OR body ->> 'qr_payload' IS NOT NULL AND body #>> '{qr_payload,kind}' IS DISTINCT FROM 'enrollment_url';
-- Whether the key made something: only then can it go one day, and is not one that waits for its turn.
ALTER TABLE secret_keys ADD COLUMN has_signed boolean NOT NULL DEFAULT false;
