-- API keys that work, and operators. In SQL, since it puts two tables below each other.
SELECT 'api_key' AS kind, id, name, created_at FROM api_keys WHERE revoked_at IS NULL
UNION ALL SELECT 'operator', id, email, created_at FROM operators ORDER BY id
