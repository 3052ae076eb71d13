//! Settings.

use serde_json::Value;

use crate::support::app::TestApp;

/// Changes fields of a default setting.
pub fn set_default(app: &TestApp, kind: &str, change: Value) {
    app.db.execute(&format!(
        "WITH v AS (
            INSERT INTO setting_versions (id, body, created_at)
            SELECT gen_random_uuid(), v.body || '{change}', now() FROM setting_versions v
            JOIN settings s ON s.version_id = v.id WHERE s.kind = '{kind}' AND s.is_default RETURNING id
         )
         UPDATE settings SET version_id = v.id FROM v WHERE kind = '{kind}' AND is_default"
    ));
}

/// Lets the pending invitations be sent with the default setting as it is now.
pub fn sent_with_default(app: &TestApp) {
    app.db.execute(
        "UPDATE invitations SET registration_id = s.version_id FROM settings s
         WHERE s.kind = 'registration' AND s.is_default AND invitations.state = 'pending'",
    );
}
