//! Creating, replacing and deleting a setting of any kind. Each runs inside a transaction.

use diesel::PgConnection;

use super::{
    domain::Content,
    fields::Distribution,
    resource::{Common, Custom, Setting, SettingId},
    store::{self, Held, New},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{error::ApiError, resource::Expected},
    model::wire::{Fault, Faults},
    secrets::keys::KeyRing,
    selection::queries::hold_users,
};

/// More faults than anybody reads.
const MOST_FAULTS: usize = 100;

/// As the audit log has it: without what is secret.
fn written<C: Content>(setting: &Setting<C>) -> serde_json::Value {
    let mut setting = setting.clone();
    setting.content.hide_secrets();
    serde_json::to_value(&setting).unwrap_or_default()
}

/// A fault for every id of the distribution that is not there; those that are there are held until the end
/// of the transaction.
fn unknown_ids(
    connection: &mut PgConnection,
    given: &Distribution,
    custom: &Custom,
) -> Result<Vec<Fault>, ApiError> {
    let to = &custom.distribution;
    let groups = store::hold_groups(connection, &to.group_ids)?;
    let users = hold_users(connection, to.user_ids.iter().copied())?;
    let faults = [
        ("group_ids", "group", &given.group_ids, groups),
        ("user_ids", "user", &given.user_ids, users),
    ]
    .into_iter()
    .flat_map(|(field, what, ids, known)| {
        ids.iter()
            .enumerate()
            .filter(move |(_, id)| !known.contains(id))
            .map(move |(index, _)| {
                Fault::new(
                    format!("/distribution/{field}/{index}"),
                    "unknown_id",
                    format!("there is no {what} with this id"),
                )
            })
    });
    Ok(faults.take(MOST_FAULTS).collect())
}

/// Refuses what is wrong with a setting, everything at once.
fn check<C: Content>(
    connection: &mut PgConnection,
    given: &Distribution,
    custom: Option<&Custom>,
    content: &C,
    mut faults: Faults,
) -> Result<(), ApiError> {
    content.check(&mut faults);
    if let Some(custom) = custom {
        faults.0.extend(unknown_ids(connection, given, custom)?);
    }
    faults.into_result().map_err(ApiError::invalid)
}

fn stored<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    id: SettingId,
) -> Result<Setting<C>, ApiError> {
    store::get::<C>(connection, keys, id)?.ok_or_else(|| ApiError::internal("gone"))
}

/// Creates a custom setting.
///
/// # Errors
/// 422 with everything that is wrong.
pub fn create<C: Content>(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    common: Common,
    mut content: C,
) -> Result<Setting<C>, ApiError> {
    let given = common.distribution.clone().unwrap_or_default();
    let mut faults = Faults::default();
    let custom = common.created(&mut faults);
    content.keep_hidden(None, &mut faults);
    check(connection, &given, custom.as_ref(), &content, faults)?;
    let custom = custom.ok_or_else(|| ApiError::internal("a setting without a name"))?;
    let new = New {
        id: trail.clock.new_id(),
        version: trail.clock.new_id(),
        custom: &custom,
        content: &content,
    };
    store::insert(connection, keys, &new, trail.clock.now())?;
    let setting = stored::<C>(connection, keys, SettingId::Custom(new.id))?;
    let event = Event::new(Action::SettingCreated, SubjectKind::Setting, new.id);
    trail.record(connection, &event.after(&written(&setting)))?;
    Ok(setting)
}

/// The setting as it is now, held until the end of the transaction.
fn held<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    id: SettingId,
    expected: &Expected,
) -> Result<Held<C>, ApiError> {
    let held = store::lock::<C>(connection, keys, id)?.ok_or_else(no_setting)?;
    expected.check(&held.setting)?;
    Ok(held)
}

/// A setting with this id is not there.
pub fn no_setting() -> ApiError {
    ApiError::not_found("setting")
}

/// Replaces a setting; one that stays the same gets no new version.
///
/// # Errors
/// 404, 412; 422 with everything that is wrong.
pub fn replace<C: Content>(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    (id, expected): (SettingId, &Expected),
    common: Common,
    mut content: C,
) -> Result<Setting<C>, ApiError> {
    let given = common.distribution.clone().unwrap_or_default();
    let mut faults = Faults::default();
    let custom = common.changed(id, &mut faults);
    let held = held::<C>(connection, keys, id, expected)?;
    let before = &held.setting;
    content.keep_hidden(Some(&before.content), &mut faults);
    check(connection, &given, custom.as_ref(), &content, faults)?;
    let is_same = content == before.content
        && custom.as_ref().is_none_or(|custom| {
            custom.name.as_str() == before.name
                && Some(custom.priority) == before.priority
                && Some(&custom.distribution) == before.distribution.as_ref()
        });
    if is_same {
        return Ok(held.setting);
    }
    let (version, now) = (trail.clock.new_id(), trail.clock.now());
    store::update(
        connection,
        keys,
        &held,
        custom.as_ref(),
        &content,
        (version, now),
    )?;
    let setting = stored::<C>(connection, keys, id)?;
    let event = Event::new(Action::SettingChanged, SubjectKind::Setting, id.custom())
        .before(&written(before))
        .after(&written(&setting));
    trail.record(connection, &event)?;
    Ok(setting)
}

/// Deletes a custom setting.
///
/// # Errors
/// 404, 412; 409 for the default.
pub fn delete<C: Content>(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    id: SettingId,
    expected: &Expected,
) -> Result<(), ApiError> {
    if id == SettingId::Default {
        return Err(ApiError::new(
            409,
            "default_setting",
            "The default cannot be deleted: it applies to everybody to whom no custom setting does. Change it instead.",
        ));
    }
    let held = held::<C>(connection, keys, id, expected)?;
    store::delete(connection, &held)?;
    let event = Event::new(Action::SettingDeleted, SubjectKind::Setting, id.custom());
    Ok(trail.record(connection, &event.before(&written(&held.setting)))?)
}
