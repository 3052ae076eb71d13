-- Enrolls a device that nobody holds, if its user ($2) may hold one more ($20; NULL: any number), and says whether it was
-- counted. Without a `device` nothing else is written. $1 is the enrollment, $3 the invitation with its tries ($5, $6) as they
-- were before this one, $4 now, $7 to $16 and $19 the device, $17 the method, $18 the message if there is to be one.
-- In SQL, since one statement changes five tables.
WITH device AS (
    INSERT INTO devices (id, user_id, serial_number, device_id, platform, model, os_version, supervised,
        user_enrollment, ownership_requested, ownership, ownership_reason, enrolled_at, updated_at)
    SELECT $7::uuid, user_id, $8::text, $9::text, $10::text, $11::text, $12::text, $13::bool,
        $19::bool, $14::text, $15::text, $16::text, $4::timestamptz, $4::timestamptz
    FROM user_activity WHERE user_id = $2::uuid AND ($20::int4 IS NULL OR device_count < $20::int4)
    ON CONFLICT DO NOTHING RETURNING id
), room AS (
    UPDATE user_activity SET device_count = device_count + 1
    WHERE user_id = $2::uuid AND ($20::int4 IS NULL OR device_count < $20::int4) AND EXISTS (SELECT FROM device)
    RETURNING user_id
), completed AS (
    UPDATE invitations SET state = 'completed', ended_at = $4::timestamptz, pin_tries = $5::int4, pin_locked_until = $6::timestamptz
    WHERE id = $3::uuid AND EXISTS (SELECT FROM device)
), mail AS (
    INSERT INTO messages (id, kind, invitation_id, enrollment_id, state, attempts, due_at, created_at)
    SELECT $18::uuid, 'confirmation', $3::uuid, $1::uuid, 'queued', 0, $4::timestamptz, $4::timestamptz
    FROM device WHERE $18::uuid IS NOT NULL
)
INSERT INTO enrollments (id, user_id, invitation_id, device_id, method, ownership_requested, ownership,
    ownership_reason, confirmation_email, enrolled_at)
SELECT $1::uuid, $2::uuid, $3::uuid, d.id, $17::text, $14::text, $15::text, $16::text, $18::uuid IS NOT NULL, $4::timestamptz
FROM device d
RETURNING EXISTS (SELECT FROM room) AS counted
