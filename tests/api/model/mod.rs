//! A model of what PRODUCT.md §7 says of invitations and messages, played against the service: whatever is done, in
//! whatever order, both are in the same states; and whatever is done at once, no state is left in a way that there
//! is none.
//!
//! `ENLIST_MODEL_CASES=1000` plays so many instead of the few that every run has time for.

mod concurrent;
mod reference;
mod sequential;

use chrono::{DateTime, Duration, Utc};
use diesel::{PgConnection, QueryableByName, RunQueryDsl, sql_types::Text};
use enlist::secrets::{keys::KeyRing, pin::Pin};
use proptest::{prelude::*, test_runner::Config};
use uuid::Uuid;

use crate::support::app::KEYS;

/// Users in a case; few, so that they meet.
pub const USERS: usize = 3;

/// How the mail server takes a user's mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Takes,
    Later,
    Never,
    /// Has it, and does not say so.
    KeepsSilent,
    /// Has lost it, and does not say so.
    Loses,
}

/// What somebody does. Numbers choose among what is there.
#[derive(Debug, Clone)]
pub enum Op {
    Send {
        to: Vec<usize>,
        mailed: bool,
    },
    Resend {
        which: usize,
        new_pin: bool,
    },
    Revoke {
        which: usize,
    },
    Cancel {
        which: usize,
    },
    /// With the right PIN of the user's newest invitation.
    Enroll {
        user: usize,
        device: usize,
    },
    /// One tick of a worker.
    Deliver {
        moods: [Mood; USERS],
    },
    /// A worker claims all that is due, and is not heard of for a while.
    Claim,
    /// It is back: its mails were accepted.
    SettleLate,
    /// It is back: it has sent nothing.
    GiveBack,
    Wait(Duration),
    Sweep,
    Enable {
        user: usize,
        enabled: bool,
    },
    Delete {
        user: usize,
    },
}

pub fn op() -> impl Strategy<Value = Op> {
    let user = 0..USERS;
    let mood = prop_oneof![
        4 => Just(Mood::Takes),
        2 => Just(Mood::Later),
        1 => Just(Mood::Never),
        1 => Just(Mood::KeepsSilent),
        1 => Just(Mood::Loses),
    ];
    let wait = prop_oneof![
        Just(Duration::seconds(10)),
        Just(Duration::seconds(45)),
        Just(Duration::seconds(61)),
        Just(Duration::minutes(10)),
        Just(Duration::hours(2)),
        Just(Duration::days(1)),
        Just(Duration::days(3)),
        Just(Duration::days(7)),
    ];
    let some = proptest::collection::vec(user.clone(), 1..=USERS);
    prop_oneof![
        6 => (some, prop::bool::weighted(0.9)).prop_map(|(to, mailed)| Op::Send { to, mailed }),
        4 => (0..8_usize, any::<bool>()).prop_map(|(which, new_pin)| Op::Resend { which, new_pin }),
        2 => (0..8_usize).prop_map(|which| Op::Revoke { which }),
        2 => (0..4_usize).prop_map(|which| Op::Cancel { which }),
        4 => (user.clone(), 0..2_usize).prop_map(|(user, device)| Op::Enroll { user, device }),
        8 => proptest::array::uniform3(mood).prop_map(|moods| Op::Deliver { moods }),
        3 => Just(Op::Claim),
        2 => Just(Op::SettleLate),
        1 => Just(Op::GiveBack),
        6 => wait.prop_map(Op::Wait),
        1 => Just(Op::Sweep),
        1 => (user.clone(), any::<bool>()).prop_map(|(user, enabled)| Op::Enable { user, enabled }),
        1 => user.prop_map(|user| Op::Delete { user }),
    ]
}

/// So many cases, or as many as somebody who has time asks for.
pub fn config(cases: u32) -> Config {
    let asked = std::env::var("ENLIST_MODEL_CASES");
    Config {
        cases: asked.map_or(cases, |asked| asked.parse().expect("a number")),
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    }
}

/// The PIN that an invitation has with a counter.
pub fn pin(invitation: Uuid, counter: i32) -> String {
    let ring = KeyRing::parse(KEYS).unwrap();
    let counter = u32::try_from(counter).unwrap();
    Pin::derive(ring.signing(), invitation, counter, 8)
        .expose()
        .to_owned()
}

/// Every change of a state is written down, by the database itself.
pub const WATCH: &str = "
    CREATE TABLE seen (kind text, id uuid, before text, after text);
    CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        INSERT INTO seen VALUES (TG_TABLE_NAME, NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END, NEW.state);
        RETURN NULL;
    END $$;
    CREATE TRIGGER watch AFTER INSERT OR UPDATE ON invitations FOR EACH ROW EXECUTE FUNCTION watch();
    CREATE TRIGGER watch AFTER INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION watch();";

/// How states may follow each other. An end is an end.
const LEGAL: &[(&str, &str, &[&str])] = &[
    ("invitations", "", &["pending"]),
    (
        "invitations",
        "pending",
        &["pending", "completed", "expired", "revoked", "superseded"],
    ),
    ("messages", "", &["queued"]),
    (
        "messages",
        "queued",
        &["queued", "sending", "suppressed", "failed"],
    ),
    (
        "messages",
        "sending",
        &[
            "sending",
            "accepted",
            "deferred",
            "failed",
            "suppressed",
            "queued",
        ],
    ),
    (
        "messages",
        "deferred",
        &["deferred", "sending", "suppressed", "failed"],
    ),
    ("messages", "accepted", &["bounced"]),
];

/// What there must be none of, whatever was done.
const NONE_OF: &[(&str, &str)] = &[
    (
        "users with more than one pending",
        "SELECT FROM invitations WHERE state = 'pending' GROUP BY user_id HAVING count(*) > 1",
    ),
    (
        "pending ones of nobody, or of somebody who is disabled",
        "SELECT FROM invitations i LEFT JOIN users u ON u.id = i.user_id WHERE i.state = 'pending' AND u.enabled IS NOT TRUE",
    ),
    (
        "completed ones without an enrollment",
        "SELECT FROM invitations i WHERE state = 'completed' AND NOT EXISTS (SELECT FROM enrollments e WHERE e.invitation_id = i.id)",
    ),
    (
        "enrollments with what is not completed",
        "SELECT FROM enrollments e JOIN invitations i ON i.id = e.invitation_id WHERE i.state <> 'completed'",
    ),
    (
        "messages that are queued and were tried, or were tried less than never",
        "SELECT FROM messages WHERE state = 'queued' AND attempts <> 0 OR attempts < 0",
    ),
    (
        "invitations that ended after their end",
        "SELECT FROM invitations WHERE ended_at > expires_at",
    ),
    (
        "users whose devices are counted wrong",
        "SELECT FROM user_activity a WHERE device_count <> (SELECT count(*) FROM devices d WHERE d.user_id = a.user_id AND retired_at IS NULL)",
    ),
    (
        "users who are not found by a name that is theirs",
        "SELECT FROM users u CROSS JOIN LATERAL (VALUES (username), (email)) names (name)
         WHERE NOT name_clash AND name IS NOT NULL AND NOT EXISTS (
            SELECT FROM user_names n WHERE n.user_id = u.id AND n.key COLLATE \"C\" = coalesce(CASE name WHEN username THEN username_key ELSE email_key END, enlist_name_key(name))
         )",
    ),
    (
        "names of users who are gone",
        "SELECT FROM user_names n WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = n.user_id)",
    ),
];

#[derive(QueryableByName)]
struct Change {
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    before: String,
    #[diesel(sql_type = Text)]
    after: String,
}

impl Change {
    fn is_legal(&self) -> bool {
        // A row of what has ended may still change, as when its user is deleted; its state does not.
        let is_open = matches!(
            &*self.before,
            "" | "pending" | "queued" | "sending" | "deferred"
        );
        !is_open && self.before == self.after
            || LEGAL.iter().any(|(kind, before, after)| {
                (*kind, *before) == (&*self.kind, &*self.before) && after.contains(&&*self.after)
            })
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Text)]
    what: String,
}

/// Everything that must hold whatever was done.
pub fn check_invariants(connection: &mut PgConnection) -> Result<(), TestCaseError> {
    let changes: Vec<Change> =
        diesel::sql_query("SELECT DISTINCT kind, coalesce(before, '') AS before, after FROM seen")
            .load(connection)
            .unwrap();
    for Change {
        kind,
        before,
        after,
    } in changes.iter().filter(|change| !change.is_legal())
    {
        prop_assert!(false, "{kind}: {before} -> {after}");
    }
    let checks = NONE_OF
        .iter()
        .map(|(what, sql)| format!("SELECT '{what}' AS what WHERE EXISTS ({sql})"));
    let sql = checks.collect::<Vec<_>>().join(" UNION ALL ");
    let found: Vec<Found> = diesel::sql_query(sql).load(connection).unwrap();
    let found: Vec<String> = found.into_iter().map(|found| found.what).collect();
    prop_assert!(found.is_empty(), "{found:?}");
    Ok(())
}

/// A row of what is, as the model has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub invitation: Uuid,
    pub state: String,
    pub counter: i32,
    pub resend_count: i32,
    pub pin_issued_at: Option<DateTime<Utc>>,
    /// State, attempts and, unless it has ended, when it is due.
    pub messages: Vec<(String, i32, Option<DateTime<Utc>>)>,
}
