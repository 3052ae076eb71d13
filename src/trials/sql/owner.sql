-- The user who has an address ($1), not to be deleted until the end of the transaction. In SQL, since one of the joined tables is
-- locked.
SELECT u.id FROM user_names n JOIN users u ON u.id = n.user_id WHERE n.key = enlist_name_key($1) FOR KEY SHARE OF u
