//! From where operators signed in lately. Whoever asks from there is guessed to be one of them, and waits neither in the
//! pauses nor in the queue of strangers; nothing else follows from it.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use chrono::{DateTime, Duration, Utc};
use diesel::{dsl::exists, prelude::*, select};
use uuid::Uuid;

use crate::{
    db::DbError,
    schema::known_networks,
    secrets::keys::{Key, KeyRing, Purpose},
};

/// How long a right sign-in makes a network known.
const KNOWN_FOR: Duration = Duration::days(30);

/// The network around an address: a /24 of IPv4, a /64 of IPv6. Without an address, as behind a Unix socket, all are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub [u8; 16]);

impl Network {
    /// The one that an address is in.
    pub fn of(address: Option<IpAddr>) -> Self {
        let (mut octets, kept) = match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V4(address)) => (address.to_ipv6_mapped().octets(), 15),
            Some(IpAddr::V6(address)) => (address.octets(), 8),
            None => ([0; 16], 0),
        };
        octets[kept..].fill(0);
        Self(octets)
    }

    /// As it is stored: another one for each operator, so that the table does not tell who works together.
    fn mac(&self, key: &Key, operator: Uuid) -> Uuid {
        key.short_mac(Purpose::Network, &[operator.as_bytes(), &self.0])
    }
}

/// Whether an operator signed in from there lately. Keys that are older than the first are asked, too.
///
/// # Errors
/// When the database is away.
pub fn is_known(
    connection: &mut PgConnection,
    keys: &KeyRing,
    operator: Uuid,
    network: &Network,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let macs: Vec<Uuid> = keys.iter().map(|key| network.mac(key, operator)).collect();
    let known = known_networks::table
        .filter(known_networks::operator_id.eq(operator))
        .filter(known_networks::network.eq_any(macs))
        .filter(known_networks::seen_at.gt(now - KNOWN_FOR));
    Ok(select(exists(known)).get_result(connection)?)
}

/// From where operators are known: asked before anything is looked up, so that a crowd of strangers does not come so far.
#[derive(Debug)]
pub struct Lately(HashMap<Uuid, HashSet<Uuid>>);

impl Lately {
    /// As the database has it.
    ///
    /// # Errors
    /// When the database is away.
    pub fn read(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Self, DbError> {
        let rows: Vec<(Uuid, Uuid)> = known_networks::table
            .filter(known_networks::seen_at.gt(now - KNOWN_FOR))
            .select((known_networks::operator_id, known_networks::network))
            .load(connection)?;
        let mut lately = HashMap::<_, HashSet<_>>::new();
        for (operator, network) in rows {
            lately.entry(operator).or_default().insert(network);
        }
        Ok(Self(lately))
    }

    /// Whether any operator was known from there then.
    pub fn knew(&self, keys: &KeyRing, network: &Network) -> bool {
        self.0.iter().any(|(operator, networks)| {
            keys.iter()
                .any(|key| networks.contains(&network.mac(key, *operator)))
        })
    }
}

/// Notes a right sign-in.
///
/// # Errors
/// When the database is away.
pub fn note(
    connection: &mut PgConnection,
    keys: &KeyRing,
    operator: Uuid,
    network: &Network,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(known_networks::table)
        .values((
            known_networks::operator_id.eq(operator),
            known_networks::network.eq(network.mac(keys.signing(), operator)),
            known_networks::seen_at.eq(now),
        ))
        .on_conflict((known_networks::operator_id, known_networks::network))
        .do_update()
        .set(known_networks::seen_at.eq(now))
        .execute(connection)?;
    Ok(())
}

/// Whoever signed in with a password that is no longer the operator's is known no more.
///
/// # Errors
/// When the database is away.
pub fn forget(connection: &mut PgConnection, operator: Uuid) -> Result<(), DbError> {
    diesel::delete(known_networks::table.filter(known_networks::operator_id.eq(operator)))
        .execute(connection)?;
    Ok(())
}

/// Forgets what nobody asks for any more.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    let old = known_networks::seen_at.le(now - KNOWN_FOR);
    Ok(diesel::delete(known_networks::table.filter(old)).execute(connection)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_network() {
        let of = |text: &str| Network::of(Some(text.parse().unwrap()));
        for (one, other, is_same) in [
            ("192.0.2.1", "192.0.2.254", true),
            ("192.0.2.1", "::ffff:192.0.2.9", true),
            ("192.0.2.1", "192.0.3.1", false),
            ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true),
            ("2001:db8:1:2::1", "2001:db8:1:3::1", false),
            ("::", "192.0.2.1", false),
        ] {
            assert_eq!(of(one) == of(other), is_same, "{one} {other}");
        }
        assert_eq!(Network::of(None), of("::"));
    }
}
