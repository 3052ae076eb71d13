-- What there is to know of invitations ($1) that are held: their users, their PINs, and what came of their messages since they
-- were sent or last resent. In SQL, since diesel has no lateral joins.
SELECT i.id, i.user_id, u.time_zone, coalesce(u.enabled AND u.email IS NOT NULL, false) AS is_reachable,
    i.method, i.pin_length, i.pin_lifetime_days, i.pin_issued_at, i.pin_tries, i.expires_at,
    since.sent_at, r.reminders, r.last_on,
    coalesce(r.newest = 'accepted', false) AND NOT r.is_on_its_way AND NOT r.came_back AS has_arrived
FROM invitations i
LEFT JOIN users u ON u.id = i.user_id
CROSS JOIN LATERAL (SELECT greatest(i.created_at, i.resent_at) AS sent_at) since
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE m.kind = 'reminder' AND m.created_at > since.sent_at) AS reminders,
        max(m.reminder_on) FILTER (WHERE m.created_at > since.sent_at) AS last_on,
        (array_agg(m.state ORDER BY m.id DESC) FILTER (WHERE m.kind = 'invitation'))[1] AS newest,
        coalesce(bool_or(m.state IN ('queued', 'sending', 'deferred')), false) AS is_on_its_way,
        coalesce(bool_or(m.created_at >= since.sent_at AND (
            m.state = 'bounced' OR m.kind = 'reminder' AND m.state = 'failed' AND m.smtp_code >= 500
        )), false) AS came_back
    FROM messages m WHERE m.invitation_id = i.id
) r
WHERE i.id = ANY ($1)
