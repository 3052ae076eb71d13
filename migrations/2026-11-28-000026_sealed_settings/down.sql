-- What is sealed stays so: an older version refuses to read it.
ALTER TABLE secret_keys DROP COLUMN has_signed;
DROP INDEX setting_versions_unsealed;
ALTER TABLE setting_versions DROP COLUMN sealed_under;
