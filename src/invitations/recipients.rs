//! Who is selected: read set-wise, row by row, so that memory does not grow with a row's width.

use chrono::{DateTime, Utc};
use diesel::{pg::PgRowByRowLoadingMode, prelude::*};
use uuid::Uuid;

use super::{
    mailed,
    plan::{Plan, Recipient},
};
use crate::{
    db::{DbError, fitting},
    model::invitation::Delivery,
    schema::{suppressions, user_activity, users},
    selection::{
        domain::{MOST_RECIPIENTS, Selection},
        queries::{Named, SelectionError, check_groups, predicate},
    },
    settings::{self, rules::Rules},
};

diesel::define_sql_function! {
    /// As the index of addresses has them.
    fn lower(text: diesel::sql_types::Nullable<diesel::sql_types::Text>) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

/// The recipients in the order of their ids, each with the settings that apply: in as many statements for
/// 100,000 as for one.
///
/// `lock` holds the users until the end of the transaction, so that nobody is deleted or disabled
/// before the invitations are there.
///
/// # Errors
/// An empty selection, unknown ids with their pointers, too many recipients, or the database.
pub fn recipients(
    connection: &mut PgConnection,
    selection: &Selection,
    rules: &Rules,
    plan: &Plan,
    lock: bool,
    now: DateTime<Utc>,
) -> Result<Vec<Recipient>, SelectionError> {
    let predicate = predicate(selection, now).ok_or(SelectionError::Empty)?;
    check_groups(connection, selection)?;

    type Row = (Uuid, bool, bool, bool, bool, Option<String>);
    let columns = (
        users::id,
        users::email.is_not_null(),
        diesel::dsl::exists(
            suppressions::table.filter(suppressions::email.nullable().eq(lower(users::email))),
        ),
        users::enabled,
        users::password_hash.is_not_null(),
        users::locale,
    );
    let defaults = rules.defaults();
    let mut named = Named::of(selection);
    let mut recipients = Vec::new();
    let mut row_read = |row: QueryResult<Row>| -> Result<(), SelectionError> {
        let (user_id, has_email, is_suppressed, enabled, has_password, locale) = row?;
        named.mark(user_id);
        if recipients.len() == MOST_RECIPIENTS {
            return Err(SelectionError::TooMany);
        }
        recipients.push(Recipient {
            user_id,
            has_email,
            is_suppressed,
            is_mailed_too_often: false,
            enabled,
            has_password,
            lang: plan.lang_for(locale.as_deref()),
            which: defaults,
            devices: 0,
        });
        Ok(())
    };
    let query = users::table
        .filter(predicate)
        .order(users::id)
        .select(columns);
    if lock {
        query
            .for_no_key_update()
            .load_iter::<Row, PgRowByRowLoadingMode>(connection)?
            .try_for_each(&mut row_read)?;
    } else {
        query
            .load_iter::<Row, PgRowByRowLoadingMode>(connection)?
            .try_for_each(&mut row_read)?;
    }
    named.all_found()?;
    apply(connection, rules, plan, &mut recipients, now)?;
    Ok(recipients)
}

/// Adds which settings apply, where a setting limits them the devices, and where mails go out who had enough of them.
fn apply(
    connection: &mut PgConnection,
    rules: &Rules,
    plan: &Plan,
    recipients: &mut [Recipient],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let ids: Vec<Uuid> = recipients.iter().map(|one| one.user_id).collect();
    let place = |user: Uuid| ids.binary_search(&user).ok();
    settings::queries::which(connection, rules, &ids, |user, which| {
        if let Some(at) = place(user) {
            recipients[at].which = which;
        }
    })?;
    if plan.limits_devices() {
        let counts = user_activity::table
            .filter(user_activity::user_id.eq_any(&ids))
            .filter(user_activity::device_count.gt(0))
            .select((user_activity::user_id, user_activity::device_count))
            .load_iter::<(Uuid, i32), PgRowByRowLoadingMode>(connection)?;
        for count in counts {
            let (user, devices) = count?;
            if let Some(at) = place(user) {
                recipients[at].devices = fitting(devices)?;
            }
        }
    }
    if plan.delivery == Delivery::Email {
        for user in mailed::too_often(connection, &ids, plan.mails_a_day, now)?.into_keys() {
            if let Some(at) = place(user) {
                recipients[at].is_mailed_too_often = true;
            }
        }
    }
    Ok(())
}
