-- Enrolls a device ($7) that its user ($2) holds already: it is brought up to date, and counts once.
-- The parameters are those of enroll_new.sql. In SQL, since one statement changes four tables.
WITH device AS (
    UPDATE devices SET serial_number = coalesce($8::text, serial_number), device_id = coalesce($9::text, device_id),
        platform = $10::text, model = coalesce($11::text, model), os_version = coalesce($12::text, os_version),
        supervised = $13::bool, user_enrollment = $19::bool, ownership_requested = $14::text, ownership = $15::text,
        ownership_reason = $16::text, updated_at = $4::timestamptz
    WHERE id = $7::uuid RETURNING id
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
