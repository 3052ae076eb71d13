-- Who was mailed $3 invitations or more since an id ($1) of messages, of invitations since an id ($2), and when the first of them
-- was queued; of everybody, or of some users ($4). PINs that were asked for are not counted.
-- In SQL for its anti-join and its optional array.
SELECT i.user_id, min(m.created_at) AS oldest FROM messages m JOIN invitations i ON i.id = m.invitation_id
WHERE m.id >= $1 AND m.kind = 'invitation' AND i.id >= $2 AND i.user_id IS NOT NULL
    AND ($4::uuid[] IS NULL OR i.user_id = ANY ($4)) AND NOT EXISTS (SELECT FROM pin_requests p WHERE p.id = m.id)
GROUP BY i.user_id HAVING count(*) >= $3
