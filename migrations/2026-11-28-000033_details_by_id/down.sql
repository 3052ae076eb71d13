DROP INDEX audit_details_by_id;
DROP FUNCTION enlist_ids_in(text, text);
