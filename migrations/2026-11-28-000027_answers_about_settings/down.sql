-- What was taken out does not come back.
SELECT 1;
