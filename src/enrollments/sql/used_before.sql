-- The last invitation other than the newest ($3) with which a user ($1) has enrolled the device of this serial number ($4)
-- or id ($5) since a time ($2). In SQL, since diesel binds a limit as a parameter, and a plan that is made once cannot know that it is 1.
SELECT i.id AS invitation_id, i.method, i.state, i.device_ownership, i.locale, i.key_id, i.counter,
    i.pin_length, i.pin_lifetime_days, i.pin_issued_at, i.expires_at, i.registration_id, i.pin_tries, i.pin_locked_until
FROM enrollments e JOIN invitations i ON i.id = e.invitation_id JOIN devices d ON d.id = e.device_id
WHERE e.user_id = $1 AND e.enrolled_at >= $2 AND i.id IS DISTINCT FROM $3
    AND (lower(d.serial_number) = lower($4) OR d.device_id = $5)
ORDER BY e.id DESC LIMIT 1
