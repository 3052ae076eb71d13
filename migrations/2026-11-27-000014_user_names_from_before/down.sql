-- The migration before takes the names away.
SELECT;
