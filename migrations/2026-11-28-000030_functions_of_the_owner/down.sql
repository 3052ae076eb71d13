DROP FUNCTION enlist_analyze();
