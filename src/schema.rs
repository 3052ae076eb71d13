//! Generated from the migrations by the test `schema_is_fresh` (`BLESS=1` writes it anew).

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        name -> Text,
        role -> Text,
        key_hash -> Bytea,
        created_at -> Timestamptz,
        expires_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
        last_used_at -> Nullable<Timestamptz>,
        used_after_end_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    audit_beginning (position) {
        position -> Int8,
        mac -> Bytea,
        key_id -> Text,
        seal -> Bytea,
        until -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    audit_details (event_id) {
        event_id -> Uuid,
        person_id -> Nullable<Uuid>,
        salt -> Bytea,
        before -> Nullable<Text>,
        after -> Nullable<Text>,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Uuid,
        at -> Timestamptz,
        actor_kind -> Text,
        actor_id -> Nullable<Uuid>,
        actor_name -> Nullable<Text>,
        action -> Text,
        subject_kind -> Text,
        subject_id -> Nullable<Uuid>,
        request_id -> Nullable<Text>,
        address -> Nullable<Text>,
        person_id -> Nullable<Uuid>,
        details_hash -> Nullable<Bytea>,
        key_id -> Nullable<Text>,
        mac -> Nullable<Bytea>,
        who_salt -> Nullable<Bytea>,
        who_hash -> Nullable<Bytea>,
    }
}

diesel::table! {
    audit_heads (position, hash) {
        position -> Int8,
        hash -> Bytea,
        told_at -> Timestamptz,
        key_id -> Text,
        seal -> Bytea,
    }
}

diesel::table! {
    audit_links (position) {
        position -> Int8,
        event_id -> Uuid,
        key_id -> Text,
        mac -> Bytea,
        linked_at -> Nullable<Timestamptz>,
        found -> Nullable<Int2>,
        hash -> Nullable<Bytea>,
    }
}

diesel::table! {
    audit_retention (days) {
        days -> Int4,
    }
}

diesel::table! {
    audit_unlinked (event_id) {
        event_id -> Uuid,
        number -> Int8,
    }
}

diesel::table! {
    batch_skips (batch_id, user_id) {
        batch_id -> Uuid,
        user_id -> Uuid,
        reason -> Text,
    }
}

diesel::table! {
    batches (id) {
        id -> Uuid,
        created_at -> Timestamptz,
        created_by -> Text,
        note -> Nullable<Text>,
        recipient_count -> Int4,
        skipped_count -> Int4,
        canceled_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    bounce_counts (outcome) {
        outcome -> Text,
        reports -> Int8,
    }
}

diesel::table! {
    devices (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        serial_number -> Nullable<Text>,
        device_id -> Nullable<Text>,
        platform -> Text,
        model -> Nullable<Text>,
        os_version -> Nullable<Text>,
        supervised -> Bool,
        user_enrollment -> Bool,
        ownership_requested -> Text,
        ownership -> Text,
        ownership_reason -> Text,
        enrolled_at -> Timestamptz,
        updated_at -> Timestamptz,
        retired_at -> Nullable<Timestamptz>,
        search_text -> Text,
    }
}

diesel::table! {
    enrollments (id) {
        id -> Uuid,
        user_id -> Nullable<Uuid>,
        invitation_id -> Nullable<Uuid>,
        device_id -> Uuid,
        method -> Text,
        ownership_requested -> Text,
        ownership -> Text,
        ownership_reason -> Text,
        confirmation_email -> Bool,
        enrolled_at -> Timestamptz,
    }
}

diesel::table! {
    forgotten (only_row) {
        only_row -> Bool,
        message_till -> Uuid,
    }
}

diesel::table! {
    group_members (group_id, user_id) {
        group_id -> Uuid,
        user_id -> Uuid,
    }
}

diesel::table! {
    groups (id) {
        id -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        search_text -> Text,
    }
}

diesel::table! {
    guesses (subject) {
        subject -> Uuid,
        tries -> Int4,
        locked_until -> Nullable<Timestamptz>,
        looked_at -> Bool,
        updated_at -> Timestamptz,
        counted_before -> Nullable<Timestamptz>,
        name -> Nullable<Uuid>,
    }
}

diesel::table! {
    idempotency_keys (caller, route, key) {
        caller -> Text,
        route -> Text,
        key -> Text,
        fingerprint -> Text,
        status -> Int2,
        location -> Nullable<Text>,
        body -> Text,
        created_at -> Timestamptz,
        about -> Nullable<Uuid>,
    }
}

diesel::table! {
    idempotency_leases (caller, route, key) {
        caller -> Text,
        route -> Text,
        key -> Text,
        fingerprint -> Text,
        holder -> Uuid,
        lease_until -> Timestamptz,
    }
}

diesel::table! {
    invitations (id) {
        id -> Uuid,
        batch_id -> Uuid,
        user_id -> Nullable<Uuid>,
        method -> Text,
        state -> Text,
        device_ownership -> Text,
        locale -> Text,
        key_id -> Text,
        counter -> Int4,
        pin_length -> Int2,
        pin_lifetime_days -> Int2,
        pin_issued_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        expires_at -> Timestamptz,
        ended_at -> Nullable<Timestamptz>,
        resend_count -> Int4,
        last_sent_at -> Nullable<Timestamptz>,
        pin_locked_until -> Nullable<Timestamptz>,
        registration_id -> Nullable<Uuid>,
        pin_tries -> Int4,
        resent_at -> Nullable<Timestamptz>,
        remind_at -> Timestamptz,
    }
}

diesel::table! {
    known_networks (operator_id, network) {
        operator_id -> Uuid,
        network -> Uuid,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    mail_allowance (only_row) {
        only_row -> Bool,
        taken_till -> Timestamptz,
    }
}

diesel::table! {
    masking (only_row) {
        only_row -> Bool,
        passes_left -> Int2,
        begins_at -> Timestamptz,
        message_till -> Uuid,
        suppression_till -> Uuid,
    }
}

diesel::table! {
    messages (id) {
        id -> Uuid,
        kind -> Text,
        invitation_id -> Nullable<Uuid>,
        batch_id -> Nullable<Uuid>,
        state -> Text,
        attempts -> Int4,
        due_at -> Timestamptz,
        created_at -> Timestamptz,
        last_attempt_at -> Nullable<Timestamptz>,
        smtp_code -> Nullable<Int2>,
        enhanced_status -> Nullable<Text>,
        reason -> Nullable<Text>,
        enrollment_id -> Nullable<Uuid>,
        canceled -> Bool,
        reminder_on -> Nullable<Date>,
        refusals -> Int2,
    }
}

diesel::table! {
    operators (id) {
        id -> Uuid,
        email -> Text,
        role -> Text,
        password_hash -> Text,
        enabled -> Bool,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        last_sign_in_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    pin_requests (id) {
        id -> Uuid,
        user_id -> Uuid,
        requested_at -> Timestamptz,
    }
}

diesel::table! {
    secret_keys (id) {
        id -> Text,
        fingerprint -> Text,
        has_signed -> Bool,
    }
}

diesel::table! {
    sessions (id) {
        id -> Uuid,
        operator_id -> Uuid,
        token_hash -> Bytea,
        created_at -> Timestamptz,
        last_seen_at -> Timestamptz,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    setting_groups (setting_id, group_id) {
        setting_id -> Uuid,
        group_id -> Uuid,
    }
}

diesel::table! {
    setting_users (setting_id, user_id) {
        setting_id -> Uuid,
        user_id -> Uuid,
    }
}

diesel::table! {
    setting_versions (id) {
        id -> Uuid,
        body -> Jsonb,
        created_at -> Timestamptz,
        sealed_under -> Nullable<Text>,
    }
}

diesel::table! {
    settings (id) {
        id -> Uuid,
        kind -> Text,
        is_default -> Bool,
        name -> Text,
        priority -> Nullable<Int4>,
        version_id -> Uuid,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    suppressions (id) {
        id -> Uuid,
        email -> Text,
        user_id -> Uuid,
        enhanced_status -> Nullable<Text>,
        reason -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    user_activity (user_id) {
        user_id -> Uuid,
        last_invited_at -> Timestamptz,
        latest_invitation_id -> Nullable<Uuid>,
        device_count -> Int4,
    }
}

diesel::table! {
    user_names (key) {
        key -> Text,
        user_id -> Uuid,
        is_username -> Bool,
        is_email -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        username -> Text,
        email -> Nullable<Text>,
        first_name -> Text,
        last_name -> Text,
        display_name -> Text,
        locale -> Nullable<Text>,
        time_zone -> Nullable<Text>,
        managed_apple_account -> Nullable<Text>,
        enabled -> Bool,
        source -> Text,
        attributes -> Jsonb,
        password_hash -> Nullable<Text>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        email_sort -> Text,
        search_text -> Text,
        name_clash -> Bool,
        username_key -> Nullable<Text>,
        email_key -> Nullable<Text>,
    }
}

diesel::joinable!(audit_details -> users (person_id));
diesel::joinable!(batch_skips -> batches (batch_id));
diesel::joinable!(devices -> users (user_id));
diesel::joinable!(enrollments -> devices (device_id));
diesel::joinable!(enrollments -> invitations (invitation_id));
diesel::joinable!(enrollments -> users (user_id));
diesel::joinable!(group_members -> groups (group_id));
diesel::joinable!(group_members -> users (user_id));
diesel::joinable!(invitations -> batches (batch_id));
diesel::joinable!(invitations -> users (user_id));
diesel::joinable!(known_networks -> operators (operator_id));
diesel::joinable!(messages -> enrollments (enrollment_id));
diesel::joinable!(messages -> invitations (invitation_id));
diesel::joinable!(pin_requests -> users (user_id));
diesel::joinable!(sessions -> operators (operator_id));
diesel::joinable!(setting_groups -> groups (group_id));
diesel::joinable!(setting_groups -> settings (setting_id));
diesel::joinable!(setting_users -> settings (setting_id));
diesel::joinable!(setting_users -> users (user_id));
diesel::joinable!(settings -> setting_versions (version_id));
diesel::joinable!(suppressions -> users (user_id));
diesel::joinable!(user_activity -> invitations (latest_invitation_id));
diesel::joinable!(user_activity -> users (user_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_keys,
    audit_beginning,
    audit_details,
    audit_events,
    audit_heads,
    audit_links,
    audit_retention,
    audit_unlinked,
    batch_skips,
    batches,
    bounce_counts,
    devices,
    enrollments,
    forgotten,
    group_members,
    groups,
    guesses,
    idempotency_keys,
    idempotency_leases,
    invitations,
    known_networks,
    mail_allowance,
    masking,
    messages,
    operators,
    pin_requests,
    secret_keys,
    sessions,
    setting_groups,
    setting_users,
    setting_versions,
    settings,
    suppressions,
    user_activity,
    user_names,
    users,
);
