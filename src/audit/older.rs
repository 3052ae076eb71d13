//! Links that an older version made: each has a MAC, which only its key can check, and no hash. Whoever links behind them
//! makes a hash of each, so that the next link of this version vouches for them as for its own.

use diesel::{
    prelude::*,
    sql_types::{BigInt, Bytea, Text},
};
use subtle::ConstantTimeEq;

use super::{
    ends,
    rows::{Authenticity, EventRow},
    signature::OlderLink,
};
use crate::{db::DbError, schema::audit_links, secrets::keys::KeyRing};

/// Links that are looked at at a time.
const AT_ONCE: i64 = 1_000;

/// A link of an older version with its event.
#[derive(QueryableByName)]
struct Linked {
    #[diesel(embed)]
    event: EventRow,
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Text)]
    link_key: String,
    #[diesel(sql_type = Bytea)]
    link_mac: Vec<u8>,
}

/// What links of an older version are behind.
struct Before {
    position: i64,
    hash: Vec<u8>,
    mac: Vec<u8>,
    /// Whether it is a link of this version.
    is_ours: bool,
    /// Whether the chain begins here: then the MAC may be gone.
    is_beginning: bool,
}

impl Linked {
    /// Whether it is what an older version would have linked, as far as the keys tell.
    fn is_right(&self, keys: &KeyRing, before: &Before) -> bool {
        let is_signed_by_others = matches!(
            self.event.authenticity(keys),
            Authenticity::Changed | Authenticity::Unchecked(_)
        );
        let fits = match keys.get(&self.link_key) {
            Some(key) => {
                let content = self.event.content_as_before();
                let expected = content.first_link(key, &before.mac, self.position);
                before.is_beginning || bool::from(expected[..].ct_eq(&self.link_mac))
            }
            // Beside this version, older ones have its keys.
            None => !before.is_ours,
        };
        fits && !is_signed_by_others
    }
}

/// The hash of the link at a position, which the next one is made behind; `None` if no link is there. That of an older
/// version's link tells whether it is right, too: behind one that is not, nobody who verifies comes to the same hash.
pub(super) fn hash_at(
    connection: &mut PgConnection,
    keys: &KeyRing,
    position: i64,
) -> Result<Option<Vec<u8>>, DbError> {
    type Row = (i64, Option<Vec<u8>>, Vec<u8>);
    let ours: Option<Row> = audit_links::table
        .filter(audit_links::position.le(position))
        .filter(audit_links::hash.is_not_null())
        .order(audit_links::position.desc())
        .select((audit_links::position, audit_links::hash, audit_links::mac))
        .first(connection)
        .optional()?;
    let mut before = match ours {
        Some((position, hash, mac)) => Before {
            position,
            hash: hash.unwrap_or_default(),
            mac,
            is_ours: true,
            is_beginning: false,
        },
        None => {
            let stored = ends::beginning(connection, keys)?.map(|stored| stored.beginning);
            let beginning = stored.unwrap_or_default();
            Before {
                position: beginning.position,
                mac: beginning.hash.clone(),
                is_beginning: beginning.position > 0,
                hash: beginning.hash,
                is_ours: false,
            }
        }
    };
    let behind_ours = before.is_ours;
    let mut is_there = before.is_ours && before.position == position;
    while before.position < position {
        let links: Vec<Linked> = diesel::sql_query(include_str!("sql/older_links.sql"))
            .bind::<BigInt, _>(before.position)
            .bind::<BigInt, _>(position)
            .bind::<BigInt, _>(AT_ONCE)
            .load(connection)?;
        if links.is_empty() {
            break;
        }
        for link in links {
            let older = OlderLink {
                before: &before.hash,
                position: link.position,
                key_id: &link.link_key,
                mac: &link.link_mac,
                signature: link.event.mac.as_deref(),
                is_right: link.is_right(keys, &before),
            };
            let hash = link.event.content_as_before().older_link(&older).to_vec();
            is_there = link.position == position;
            before = Before {
                position: link.position,
                hash,
                mac: link.link_mac,
                is_ours: behind_ours,
                is_beginning: false,
            };
        }
    }
    Ok(is_there.then_some(before.hash))
}
