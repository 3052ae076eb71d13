-- How many ends were told that the chain no longer has, and that are not forgotten.
-- In SQL, since what is told is compared with the one or the other of two columns.
SELECT count(*) AS ends FROM audit_heads h
WHERE h.position > coalesce((SELECT max(position) FROM audit_beginning), 0)
    AND NOT EXISTS (SELECT FROM audit_links l WHERE l.position = h.position AND coalesce(l.hash, l.mac) = h.hash)
