ALTER TABLE guesses DROP COLUMN name, DROP COLUMN counted_before;
