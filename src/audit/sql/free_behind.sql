-- The first position from one ($1) on behind which so many ($2) are free. In SQL, since the table is compared with itself.
SELECT min(c.position) AS position
FROM (SELECT $1::bigint AS position UNION ALL SELECT position FROM audit_links WHERE position > $1) c
WHERE NOT EXISTS (SELECT FROM audit_links l WHERE l.position > c.position AND l.position <= c.position + $2)
