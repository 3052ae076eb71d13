-- Counts a resend at invitations ($1) at a time ($2). The next counter, with which the old PIN or QR code dies, is taken if it is
-- asked for ($3), and where the PIN's life is over or its tries are used up (as many as $4 has for its length).
-- In SQL, since what is set depends on a condition that is worked out once.
UPDATE invitations i SET
    resend_count = i.resend_count + 1, resent_at = $2, pin_tries = 0,
    counter = CASE WHEN r.renew THEN i.counter + 1 ELSE i.counter END,
    pin_issued_at = CASE WHEN r.renew THEN NULL ELSE i.pin_issued_at END
FROM (
    SELECT id, $3 OR method IN ('pin', 'pin_and_password') AND (
        coalesce(pin_issued_at + pin_lifetime_days * interval '1 day' <= $2, false)
        OR pin_tries >= ($4::int[])[pin_length]
    ) AS renew
    FROM invitations WHERE id = ANY ($1)
) r
WHERE i.id = r.id
