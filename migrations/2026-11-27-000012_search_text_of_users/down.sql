-- The migration before makes the column anew.
SELECT;
