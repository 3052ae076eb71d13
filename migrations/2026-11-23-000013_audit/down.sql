DROP TABLE audit_unlinked;
DROP TABLE audit_links;
DROP TABLE audit_details;
DROP TABLE audit_events;
DROP FUNCTION enlist_audit_details_go_with_the_person();
DROP FUNCTION enlist_audit_is_append_only();
