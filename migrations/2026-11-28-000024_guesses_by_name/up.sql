-- All tries are counted by the name as it was given, whether somebody has it or not. Older instances count some of them
-- elsewhere (invitations.pin_locked_until, and here by the user's id), and leave these columns empty.
ALTER TABLE guesses
    -- When the count stood before the last try: where that turns out to be a right one, it is as if it had not been there.
    ADD COLUMN counted_before timestamptz,
    -- The name's own row, where this one counts only those tries at it that come from one place.
    ADD COLUMN name uuid;
CREATE INDEX guesses_by_name ON guesses (name);
