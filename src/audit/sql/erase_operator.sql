-- Erases who an operator ($1) was. In SQL, since it calls a function that gives nothing.
SELECT enlist_audit_erase_operator($1)
