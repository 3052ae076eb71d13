-- Statistics are the owner's to make, and the service may be another role. Called after many inserts.
DO $$
BEGIN
    EXECUTE format('CREATE FUNCTION enlist_analyze() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, %I, pg_temp
        AS ''BEGIN ANALYZE (SKIP_LOCKED) user_activity, invitations; END''', current_schema());
END $$;
REVOKE ALL ON FUNCTION enlist_analyze() FROM PUBLIC;
