//! Keyset paging: where a page ended, sealed so that it can neither be changed nor moved to another query. Pure.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    model::wire::{Fault, Faults, whole_number},
    secrets::keys::{KeyRing, Purpose},
};

const MAC: usize = 16;

/// How many rows a page holds: 1 to 200, 50 unless asked.
#[derive(Debug, Clone, Copy)]
pub struct Limit(u32);

impl Default for Limit {
    fn default() -> Self {
        Self(50)
    }
}

impl Limit {
    /// As a number.
    pub fn rows(self) -> usize {
        self.0 as usize
    }
}

impl Deserr<Faults> for Limit {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        whole_number(value, location, 1..=200).map(Self)
    }
}

/// What every query of a list asks for besides its filters.
pub struct Paging {
    /// How many rows a page holds.
    pub limit: Limit,
    /// Where the page before ended.
    pub cursor: Option<String>,
    /// Whether all rows that match are counted.
    pub count: bool,
}

/// Declares the query of a list: its filters, and behind them `limit`, `cursor` and `count`. `flags` are those filters that
/// are `true` or `false`.
#[macro_export]
macro_rules! list_query {
    ($(#[$meta:meta])* $name:ident($($flag:literal),* $(,)?) { $($fields:tt)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, deserr::Deserr, utoipa::IntoParams)]
        #[deserr(error = $crate::model::wire::Faults, deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub struct $name {
            $($fields)*
            /// How many rows a page holds.
            #[deserr(default)]
            #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
            pub limit: $crate::http::paging::Limit,
            /// `next_cursor` of the page before.
            #[deserr(default)]
            pub cursor: Option<String>,
            /// Also count all rows that match.
            #[deserr(default)]
            #[param(value_type = Option<bool>)]
            pub count: bool,
        }

        impl $crate::model::wire::QueryTypes for $name {
            const FLAGS: &'static [&'static str] = &[$($flag,)* "count"];
            const NUMBERS: &'static [&'static str] = &["limit"];
        }

        impl $name {
            /// Which page is asked for.
            pub fn paging(&mut self) -> $crate::http::paging::Paging {
                $crate::http::paging::Paging {
                    limit: self.limit,
                    cursor: self.cursor.take(),
                    count: self.count,
                }
            }
        }
    };
}

/// Where a page ended: the sort key of its last row, and its id to break ties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last row's sort key, as text.
    #[serde(rename = "k")]
    pub key: String,
    /// The last row's id.
    #[serde(rename = "i")]
    pub id: Uuid,
}

impl Position {
    /// In a list that is sorted by its ids.
    pub fn of(id: Uuid) -> Self {
        Self {
            key: String::new(),
            id,
        }
    }
}

/// Seals a position for the query that `query` describes (its filters and sort, not its limit).
pub fn seal(keys: &KeyRing, query: &str, position: &Position) -> String {
    let payload = serde_json::to_vec(position).unwrap_or_default();
    let mut sealed = mac(keys.signing(), query, &payload).to_vec();
    sealed.extend_from_slice(&payload);
    URL_SAFE_NO_PAD.encode(sealed)
}

/// Opens what [`seal`] made for the same query, with any of the keys.
///
/// # Errors
/// A fault at `/cursor` for anything else.
pub fn open(keys: &KeyRing, query: &str, cursor: &str) -> Result<Position, Fault> {
    let refused = || {
        Fault::new(
            "/cursor",
            "invalid_cursor",
            "is not a cursor of this list with these filters and this sort; begin again without it",
        )
    };
    let sealed = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refused())?;
    let (given, payload) = sealed.split_first_chunk::<MAC>().ok_or_else(refused)?;
    let genuine = keys
        .iter()
        .any(|key| bool::from(mac(key, query, payload).ct_eq(given)));
    if !genuine {
        return Err(refused());
    }
    serde_json::from_slice(payload).map_err(|_| refused())
}

fn mac(key: &crate::secrets::keys::Key, query: &str, payload: &[u8]) -> [u8; MAC] {
    let length = (query.len() as u64).to_be_bytes();
    let full = key.mac(Purpose::Cursor, &[&length, query.as_bytes(), payload]);
    std::array::from_fn(|index| full[index])
}

/// One page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Give it back as `cursor` for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
    /// How many rows match in all, if `count=true` was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}

/// A page in the form in which it is sent.
#[derive(Debug)]
pub struct WrittenPage {
    /// The JSON.
    pub body: Vec<u8>,
    /// As in the JSON.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Makes a page of its rows.
    pub fn of(
        rows: Vec<T>,
        more: bool,
        total: Option<i64>,
        cursor: impl FnOnce(&T) -> String,
    ) -> Self {
        let next_cursor = rows.last().filter(|_| more).map(cursor);
        Self {
            data: rows,
            next_cursor,
            total,
        }
    }

    /// The page as JSON. Done by the thread that read the rows: it gives their memory back where it came
    /// from, which costs a fifth less than when another thread does.
    ///
    /// # Errors
    /// Never in practice: every row can be written as JSON.
    pub fn write(self) -> Result<WrittenPage, serde_json::Error>
    where
        T: Serialize,
    {
        Ok(WrittenPage {
            body: serde_json::to_vec(&self)?,
            next_cursor: self.next_cursor,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ring() -> KeyRing {
        KeyRing::parse("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap()
    }

    proptest! {
        #[test]
        fn a_cursor_opens_for_its_own_query_only(key: String, id: u128, query: String, other: String) {
            let position = Position { key, id: Uuid::from_u128(id) };
            let cursor = seal(&ring(), &query, &position);
            prop_assert_eq!(open(&ring(), &query, &cursor).ok(), Some(position));
            if other != query {
                prop_assert!(open(&ring(), &other, &cursor).is_err());
            }
        }

        #[test]
        fn a_changed_cursor_is_refused(at: prop::sample::Index, to in "[A-Za-z0-9_-]") {
            let cursor = seal(&ring(), "q", &Position { key: "Ada".into(), id: Uuid::nil() });
            let at = at.index(cursor.len());
            let mut changed = cursor.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != cursor);
            prop_assert!(open(&ring(), "q", &changed).is_err());
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            prop_assert!(open(&ring(), "q", &text).is_err());
        }
    }
}
