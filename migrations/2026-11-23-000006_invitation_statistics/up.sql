-- How many pending invitations are over. From the two columns alone the planner takes state and time
-- for independent, and expects thousands where there is a handful.
CREATE STATISTICS invitations_pending_end ON (CASE WHEN state = 'pending' THEN expires_at END) FROM invitations;
ANALYZE invitations;
