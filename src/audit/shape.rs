//! What the tables of the log are, and those of whom it lets in: their columns, their keys and what they refer to, as the
//! migrations make them. Pure.

/// By their names, as the check in `foreign.rs` tells of them. A migration that changes one changes this list; the test
/// `a_new_database_is_what_the_migrations_make` says how.
pub(super) const SHAPES: [(&str, &str); 10] = [
    (
        "api_keys",
        "PRIMARY KEY USING btree (id); UNIQUE USING btree (key_hash); \
         created_at timestamp with time zone NOT NULL; expires_at timestamp with time zone; id uuid NOT NULL; \
         key_hash bytea NOT NULL; last_used_at timestamp with time zone; name text NOT NULL; \
         revoked_at timestamp with time zone; role text NOT NULL; used_after_end_at timestamp with time zone",
    ),
    (
        "audit_beginning",
        "PRIMARY KEY USING btree (\"position\"); key_id text NOT NULL; mac bytea NOT NULL; \
         position bigint NOT NULL; seal bytea NOT NULL; until timestamp with time zone",
    ),
    (
        "audit_details",
        "FOREIGN KEY (person_id) REFERENCES users(id) ON DELETE CASCADE; PRIMARY KEY USING btree (event_id); \
         after text; before text; event_id uuid NOT NULL; person_id uuid; salt bytea NOT NULL",
    ),
    (
        "audit_events",
        "PRIMARY KEY USING btree (id); action text NOT NULL; actor_id uuid; actor_kind text NOT NULL; \
         actor_name text; address text; at timestamp with time zone NOT NULL; details_hash bytea; \
         id uuid NOT NULL; key_id text; mac bytea; person_id uuid; request_id text; subject_id uuid; \
         subject_kind text NOT NULL; who_hash bytea; who_salt bytea",
    ),
    (
        "audit_heads",
        "PRIMARY KEY USING btree (\"position\", hash); hash bytea NOT NULL; key_id text NOT NULL; \
         position bigint NOT NULL; seal bytea NOT NULL; told_at timestamp with time zone NOT NULL",
    ),
    (
        "audit_links",
        "PRIMARY KEY USING btree (\"position\"); UNIQUE USING btree (event_id); event_id uuid NOT NULL; \
         found smallint; hash bytea; key_id text NOT NULL; linked_at timestamp with time zone; \
         mac bytea NOT NULL; position bigint NOT NULL",
    ),
    (
        "audit_retention",
        "PRIMARY KEY USING btree (days); days integer NOT NULL",
    ),
    (
        "audit_unlinked",
        "PRIMARY KEY USING btree (event_id); event_id uuid NOT NULL; number bigint NOT NULL d",
    ),
    (
        "operators",
        "PRIMARY KEY USING btree (id); UNIQUE USING btree (lower((email COLLATE \"und-x-icu\"))); \
         created_at timestamp with time zone NOT NULL; email text NOT NULL; enabled boolean NOT NULL; \
         id uuid NOT NULL; last_sign_in_at timestamp with time zone; password_hash text NOT NULL; \
         role text NOT NULL; updated_at timestamp with time zone NOT NULL",
    ),
    (
        "sessions",
        "FOREIGN KEY (operator_id) REFERENCES operators(id) ON DELETE CASCADE; PRIMARY KEY USING btree (id); \
         UNIQUE USING btree (token_hash); created_at timestamp with time zone NOT NULL; \
         expires_at timestamp with time zone NOT NULL; id uuid NOT NULL; \
         last_seen_at timestamp with time zone NOT NULL; operator_id uuid NOT NULL; token_hash bytea NOT NULL",
    ),
];

/// The tables' names.
pub(super) fn tables() -> Vec<&'static str> {
    SHAPES.iter().map(|(table, _)| *table).collect()
}

/// What a table has that is not ours, and what it lacks, in words; nothing if it is as it should be.
pub(super) fn differences(table: &str, there: &str) -> Option<String> {
    let (_, ours) = SHAPES.iter().find(|(name, _)| *name == table)?;
    let without = |some: &str, others: &str| -> String {
        let parts = some.split("; ");
        let parts = parts.filter(|part| !others.split("; ").any(|other| other == *part));
        let parts: Vec<String> = parts.map(|part| format!("`{part}`")).collect();
        if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join(", ")
        }
    };
    (*ours != there).then(|| {
        let (more, fewer) = (without(there, ours), without(ours, there));
        format!("it has {more}, and lacks {fewer}")
    })
}
