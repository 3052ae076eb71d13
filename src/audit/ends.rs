//! The two ends of the chain: the sealed copy of the link that it begins at, and whose turn it is to change where it
//! begins and where it ends.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool},
};
use subtle::ConstantTimeEq;

use crate::{
    db::DbError,
    schema::audit_beginning,
    secrets::keys::{Key, KeyRing, Purpose},
};

/// The advisory lock of whoever links or forgets.
const LOCK: i64 = 0x656e_6c69_7374_6175;

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Whether the ends of the chain are ours until the end of the transaction.
pub(super) fn lock(connection: &mut PgConnection) -> Result<bool, DbError> {
    let lock: Taken = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS taken")
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)?;
    Ok(lock.taken)
}

/// Where the chain begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The last link that was forgotten; 0 if none was.
    pub(super) position: i64,
    pub(super) mac: Vec<u8>,
}

/// Why a beginning is not believed.
#[derive(Debug)]
pub(super) struct Unsealed(pub(super) i64);

/// Reads where the chain begins.
///
/// # Errors
/// When the database is away; the inner one when the seal is not ours.
pub(super) fn beginning(
    connection: &mut PgConnection,
    keys: &KeyRing,
) -> Result<Result<Beginning, Unsealed>, DbError> {
    type Row = (i64, Vec<u8>, String, Vec<u8>);
    let row: Option<Row> = audit_beginning::table
        .order(audit_beginning::position.desc())
        .first(connection)
        .optional()?;
    let Some((position, mac, key_id, given)) = row else {
        return Ok(Ok(Beginning::default()));
    };
    let is_ours = keys
        .get(&key_id)
        .is_some_and(|key| bool::from(seal(key, position, &mac).ct_eq(&given)));
    Ok(if is_ours {
        Ok(Beginning { position, mac })
    } else {
        Err(Unsealed(position))
    })
}

/// No link is made of these: an event's begins with a length of its own.
pub(super) fn seal(key: &Key, position: i64, mac: &[u8]) -> Vec<u8> {
    key.mac(
        Purpose::Audit,
        &[b"begins at", &position.to_be_bytes(), mac],
    )
    .to_vec()
}
