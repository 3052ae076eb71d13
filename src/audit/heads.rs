//! Ends that the chain had, told to the log, a file and the database: from then on it must not be shorter, nor another one.

use std::{
    fs::OpenOptions,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    str::FromStr,
};

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::prelude::*;
use subtle::ConstantTimeEq;

use super::signature::seal_of_head;
use crate::{db::DbError, schema::audit_heads, secrets::keys::KeyRing};

/// An end that the chain has, or had: as text `POSITION:HASH`, the hash in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub position: i64,
    /// The link's hash; of an older version's, its MAC.
    pub hash: Vec<u8>,
}

impl std::fmt::Display for Head {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}", self.position, hex(&self.hash))
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (position, hash) = text.split_once(':')?;
            Some(Self {
                position: position.parse().ok()?,
                hash: bytes_of(hash).filter(|hash| hash.len() == 32)?,
            })
        };
        read().ok_or_else(|| "is the number of a link, a colon, and its hash in hexadecimal".into())
    }
}

/// A head as the file has it.
#[derive(Debug)]
pub struct Noted {
    pub head: Head,
    /// The id of a key and the seal that was made with it; a line that was written by hand has none.
    seal: Option<(String, Vec<u8>)>,
}

impl Noted {
    /// Whether this service told it.
    pub(super) fn is_ours(&self, keys: &KeyRing) -> bool {
        let Some((key, seal)) = &self.seal else {
            return false;
        };
        keys.get(key).is_some_and(|key| {
            let expected = seal_of_head(key, self.head.position, &self.head.hash);
            bool::from(expected[..].ct_eq(seal))
        })
    }

    fn read(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace().rev();
        let head = words.next().unwrap_or_default().parse();
        let (seal, key) = (words.next().and_then(bytes_of), words.next());
        Ok(Self {
            head: head.map_err(|wrong| format!("`{line}`: the last word {wrong}"))?,
            seal: key.map(str::to_owned).zip(seal),
        })
    }
}

/// What the file has.
#[derive(Debug, Default)]
pub struct Lines {
    pub heads: Vec<Noted>,
    /// Lines that do not end with one: cut off, or somebody else's.
    pub unreadable: Vec<String>,
}

/// Reads the file that heads are told to: each line ends with one. A file that is not there has none.
///
/// # Errors
/// When it cannot be read.
pub fn read_file(path: &Path) -> io::Result<Lines> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lines::default()),
        text => String::from_utf8_lossy(&text?).into_owned(),
    };
    let mut told = Lines::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match Noted::read(line) {
            Ok(noted) => told.heads.push(noted),
            Err(_) => told.unreadable.push(line.chars().take(200).collect()),
        }
    }
    Ok(told)
}

/// Whether heads can be told to the file, which is made if it is not there.
///
/// # Errors
/// When they cannot.
pub fn try_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).open(path).map(drop)
}

/// Adds a head to the file: when, the key of the seal, the seal, the head.
pub(super) fn add_to_file(
    path: &Path,
    keys: &KeyRing,
    head: &Head,
    now: DateTime<Utc>,
) -> io::Result<()> {
    let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let key = keys.signing();
    let seal = hex(&seal_of_head(key, head.position, &head.hash));
    let mut options = OpenOptions::new();
    let mut file = options.create(true).read(true).append(true).open(path)?;
    // A line that was cut off is ended first.
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let begin = if last == *b"\n" { "" } else { "\n" };
    // One write: instances may share the file.
    file.write_all(format!("{begin}{at} {} {seal} {head}\n", key.id()).as_bytes())?;
    file.sync_data()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| {
        let pair = str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    };
    hex.as_bytes().chunks(2).map(byte).collect()
}

/// A head that the database keeps.
pub(super) struct Sealed {
    pub(super) head: Head,
    /// The key of its seal.
    pub(super) key_id: String,
    /// Whether the seal is ours; `None`: the key is not known here.
    pub(super) is_ours: Option<bool>,
}

/// All that the database keeps, the highest first: the last one told, and those that the chain no longer had.
pub(super) fn sealed(
    connection: &mut PgConnection,
    keys: &KeyRing,
) -> Result<Vec<Sealed>, DbError> {
    type Row = (i64, Vec<u8>, String, Vec<u8>);
    let rows: Vec<Row> = audit_heads::table
        .order((audit_heads::position.desc(), audit_heads::hash))
        .select((
            audit_heads::position,
            audit_heads::hash,
            audit_heads::key_id,
            audit_heads::seal,
        ))
        .load(connection)?;
    let sealed = rows.into_iter().map(|(position, hash, key_id, seal)| {
        let expected = keys
            .get(&key_id)
            .map(|key| seal_of_head(key, position, &hash));
        Sealed {
            is_ours: expected.map(|expected| bool::from(expected[..].ct_eq(&seal))),
            head: Head { position, hash },
            key_id,
        }
    });
    Ok(sealed.collect())
}

/// The id of the key that an end was sealed with last: whoever serves now signs with it.
///
/// # Errors
/// When the database is away.
pub fn last_key(connection: &mut PgConnection) -> Result<Option<String>, DbError> {
    Ok(audit_heads::table
        .order((audit_heads::told_at.desc(), audit_heads::position.desc()))
        .select(audit_heads::key_id)
        .first(connection)
        .optional()?)
}

/// Keeps a head in the database.
pub(super) fn keep(
    connection: &mut PgConnection,
    keys: &KeyRing,
    head: &Head,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let key = keys.signing();
    let seal = seal_of_head(key, head.position, &head.hash).to_vec();
    diesel::insert_into(audit_heads::table)
        .values((
            audit_heads::position.eq(head.position),
            audit_heads::hash.eq(&head.hash),
            audit_heads::told_at.eq(now),
            audit_heads::key_id.eq(key.id()),
            audit_heads::seal.eq(seal),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(())
}

/// Drops a head, which a later one stands for.
pub(super) fn drop_one(connection: &mut PgConnection, head: &Head) -> Result<(), DbError> {
    let one = audit_heads::table
        .filter(audit_heads::position.eq(head.position))
        .filter(audit_heads::hash.eq(&head.hash));
    diesel::delete(one).execute(connection)?;
    Ok(())
}
