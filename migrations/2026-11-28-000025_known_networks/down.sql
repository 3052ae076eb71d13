ALTER TABLE api_keys DROP COLUMN used_after_end_at;
DROP TABLE known_networks;
