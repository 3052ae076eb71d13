//! Whether the configured keys are those that something in the database needs.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use serde_json::json;

use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
        heads,
    },
    clock::Clock,
    db::{Db, DbError},
    invitations::{
        ending,
        key_use::{self, InUse},
    },
    secrets::keys::{Key, KeyRing},
    settings::sealing,
};

/// Something that was made with a key and cannot do without it.
struct Need {
    key: String,
    /// What it is, in words.
    what: String,
    /// How long it needs the key.
    until: &'static str,
}

/// Everything in the database that needs a key. What else comes to need one is added here: a start and `enlist check` then
/// look at it too.
fn needs(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Vec<Need>, DbError> {
    let mut needs = Vec::new();
    for InUse {
        key,
        invitations,
        until,
    } in key_use::keys_in_use(connection, now)?
    {
        let until = until.map(|until| until.format("%Y-%m-%d %H:%M UTC").to_string());
        let until = until.unwrap_or_default();
        needs.push(Need {
            key,
            what: format!(
                "pending invitations were made with it ({invitations}, until {until} at the latest)"
            ),
            until: "they have ended",
        });
    }
    for key in sealing::keys_in_use(connection)? {
        let settings = sealing::sealed_under(connection, &key)?;
        needs.push(Need {
            key,
            what: format!("{settings} are sealed under it"),
            until: "the service has run with it behind the new one, and sealed them again",
        });
    }
    for key in Trail::keys_before_the_first_link(connection)? {
        needs.push(Need {
            key,
            what: "audit events from the shell were signed with it before anybody served"
                .to_owned(),
            until: "the service has run with it, first or behind another one, and linked them",
        });
    }
    Ok(needs)
}

/// Refuses a start that would make mails, PINs or settings fail later, one by one, and writes down which key stands behind
/// each id.
///
/// # Errors
/// Which key is missing or another one, and what needs it; that the database cannot be asked.
pub async fn check_keys(db: &Db, keys: &KeyRing, clock: &Clock) -> anyhow::Result<()> {
    let (now, known) = (clock.now(), identities(keys));
    let wrong = db
        .transaction(move |connection| {
            let needs = needs(connection, now)?;
            let wrong = wrong(connection, &known, &needs)?;
            if wrong.is_none() {
                key_use::identify_keys(connection, &known)?;
            }
            Ok::<_, DbError>(wrong)
        })
        .await
        .map_err(unreadable)?;
    wrong.map_or(Ok(()), |wrong| Err(anyhow::anyhow!("{wrong}")))
}

/// The keys, as somebody at the shell signs with them: with the one that the service signs with. It knows that one when it
/// links what was written, and another one perhaps never: then the log would have a fault for ever. Where nobody has
/// signed anything yet, the first key is written down, so that no other one takes its id.
///
/// # Errors
/// When a key is not the service's, or the service's is missing; when the database cannot be asked.
pub fn for_the_shell(connection: &mut PgConnection, keys: KeyRing) -> anyhow::Result<KeyRing> {
    if let Some(id) = impostor(connection, &keys).map_err(unreadable)? {
        bail!(
            "ENLIST_SECRET_KEYS: the key `{id}` is not the one that the service has under this id"
        );
    }
    let theirs = match heads::last_key(connection).map_err(unreadable)? {
        Some(key) => vec![key],
        None => key_use::keys_that_signed(connection).map_err(unreadable)?,
    };
    let Some(newest) = theirs.last() else {
        let key = keys.signing();
        key_use::introduce(connection, (key.id(), &key.identity())).map_err(unreadable)?;
        return Ok(keys);
    };
    let shared = keys
        .iter()
        .map(Key::id)
        .find(|id| theirs.iter().any(|key| key == id));
    let shared = shared.map(str::to_owned);
    shared.and_then(|id| keys.signing_with(&id)).with_context(|| {
        format!(
            "ENLIST_SECRET_KEYS: the service signs with the key `{newest}`, which is not among these; give the service's own"
        )
    })
}

/// The id of a key that is another one than the service's of that id, if there is any: nothing must be signed with it.
///
/// # Errors
/// When the database cannot be asked.
pub fn impostor(connection: &mut PgConnection, keys: &KeyRing) -> Result<Option<String>, DbError> {
    let known = identities(keys);
    let ids: Vec<String> = known.iter().map(|(id, _)| id.clone()).collect();
    Ok(key_use::other_keys(connection, &known, &ids)?.pop())
}

/// What was given up with a key.
pub struct Lost {
    /// Invitations that were pending.
    pub invitations: i64,
    /// Settings that had something sealed under it, in words.
    pub settings: Option<String>,
}

/// Gives up what needs a key that nobody has any more, and writes that down. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn lose(connection: &mut PgConnection, trail: &Trail, key: &str) -> Result<Lost, DbError> {
    trail.key_lost(connection, key)?;
    let invitations = ending::revoke_under(connection, key, trail.clock.now())?;
    if invitations > 0 {
        let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, None);
        let told = json!({"lost_key": key, "accepted_count": invitations});
        trail.record(connection, &event.after(&told))?;
    }
    let is_sealed = sealing::keys_in_use(connection)?.iter().any(|of| of == key);
    let settings = is_sealed
        .then(|| sealing::sealed_under(connection, key))
        .transpose()?;
    if settings.is_some() {
        sealing::take_out(connection, key)?;
        let event = Event::new(Action::SettingChanged, SubjectKind::Setting, None);
        let told = json!({"lost_key": key, "settings": settings});
        trail.record(connection, &event.after(&told))?;
    }
    Ok(Lost {
        invitations,
        settings,
    })
}

/// The keys that are configured, but for the first.
#[derive(Debug, Default)]
pub struct OlderKeys {
    /// Those that something needs, each with what that is.
    pub needed: Vec<(String, String)>,
    /// Those that can be taken out: something was made with them, and nothing needs them any more.
    pub idle: Vec<String>,
}

/// Looks at what needs which of the keys.
///
/// # Errors
/// As [`check_keys`]; nothing is written.
pub async fn look_at_keys(
    db: &Db,
    keys: &KeyRing,
    now: DateTime<Utc>,
) -> anyhow::Result<OlderKeys> {
    let (known, signing) = (identities(keys), keys.signing().id().to_owned());
    let looked_at = db
        .read(move |connection| {
            let needs = needs(connection, now)?;
            if let Some(wrong) = wrong(connection, &known, &needs)? {
                return Ok(Err(wrong));
            }
            let ids = known.iter().map(|(id, _)| id.clone());
            let older: Vec<String> = ids.filter(|id| *id != signing).collect();
            let (needed, idle): (Vec<_>, Vec<_>) = older
                .into_iter()
                .partition(|id| needs.iter().any(|need| need.key == *id));
            let needed = needed.into_iter().map(|id| {
                let what = said(&needs, &id, |need| need.what.clone());
                (id, what)
            });
            Ok(Ok(OlderKeys {
                needed: needed.collect(),
                idle: key_use::keys_used_before(connection, &idle)?,
            }))
        })
        .await;
    looked_at
        .map_err(unreadable)?
        .map_err(|wrong| anyhow::anyhow!("{wrong}"))
}

/// The keys by id, each with what tells it from others.
fn identities(keys: &KeyRing) -> Vec<(String, String)> {
    keys.iter()
        .map(|key| (key.id().to_owned(), key.identity()))
        .collect()
}

fn wrong(
    connection: &mut PgConnection,
    known: &[(String, String)],
    needs: &[Need],
) -> Result<Option<String>, DbError> {
    let is_missing = |need: &&Need| known.iter().all(|(known, _)| *known != need.key);
    if let Some(Need { key, .. }) = needs.iter().find(is_missing) {
        return Ok(Some(format!(
            "ENLIST_SECRET_KEYS: the key `{key}` is missing, and {}. If nobody has it any more, `enlist secret-keys lost {key}` \
             gives up what needs it",
            said(needs, key, |need| format!(
                "{}; keep it in the list until {}",
                need.what, need.until
            ))
        )));
    }
    let used: Vec<String> = needs.iter().map(|need| need.key.clone()).collect();
    let others = key_use::other_keys(connection, known, &used)?;
    if let Some(id) = others.first() {
        return Ok(Some(format!(
            "ENLIST_SECRET_KEYS: the key `{id}` is not the one that it was, and {}; give a new key an id of its own, in front \
             of the old one",
            said(needs, id, |need| need.what.clone())
        )));
    }
    let another = key_use::another_has_signed(connection, known)?;
    Ok(another.map(|id| {
        format!(
            "ENLIST_SECRET_KEYS: the key `{id}` is not the one that the audit log was signed with under this id; give a new key \
             an id of its own, in front of the old one"
        )
    }))
}

/// What needs this key.
fn said(needs: &[Need], key: &str, words: impl Fn(&Need) -> String) -> String {
    let those = needs.iter().filter(|need| need.key == key);
    those.map(words).collect::<Vec<_>>().join("; ")
}

/// Why nothing is known of the keys.
fn unreadable(error: DbError) -> anyhow::Error {
    match error {
        DbError::Unavailable(reason) => {
            anyhow::anyhow!("DATABASE_URL: the database cannot be reached: {reason}")
        }
        error if error.is_read_only() => anyhow::anyhow!(
            "DATABASE_URL: the database takes no writes: it is a standby, or was told to be read-only"
        ),
        error => anyhow::anyhow!(
            "the database cannot be read ({error}); if it is empty, run `enlist migrate`"
        ),
    }
}
