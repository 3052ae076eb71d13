//! Versions of the registration setting that were read before. A version never changes, so nobody needs to
//! ask for it twice.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use diesel::PgConnection;
use uuid::Uuid;

use crate::{db::DbError, model::registration::Registration, secrets::keys::KeyRing};

/// Versions that are kept; a service that has more in use forgets them all and begins anew.
const MOST: usize = 1_000;

/// What applied before there were settings.
static FIRST: LazyLock<Arc<Registration>> = LazyLock::new(Arc::default);

/// A version of the registration setting as it was read; `Err` where a newer service wrote it.
pub type ReadVersion = (Uuid, Result<Registration, DbError>);
/// Reads versions of the registration setting.
pub type Read = fn(&mut PgConnection, &KeyRing, &[Uuid]) -> Result<Vec<ReadVersion>, DbError>;

/// Registration settings by version. Cheap to clone; the clones share what they know.
#[derive(Clone)]
pub struct Registrations {
    known: Arc<Mutex<HashMap<Uuid, Arc<Registration>>>>,
    keys: Arc<KeyRing>,
    read: Read,
}

impl Registrations {
    /// Knows none yet, and reads them with `read`: settings are a feature, of which the queue knows nothing.
    pub fn new(keys: Arc<KeyRing>, read: Read) -> Self {
        Self {
            known: Arc::default(),
            keys,
            read,
        }
    }

    /// The settings that invitations were sent with, by version: at most one statement for all. What cannot be
    /// read, because a newer service wrote it, is left out.
    ///
    /// # Errors
    /// When the database is away.
    pub fn load(
        &self,
        connection: &mut PgConnection,
        versions: impl IntoIterator<Item = Uuid>,
    ) -> Result<HashMap<Uuid, Arc<Registration>>, DbError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for version in versions {
                match known.get(&version) {
                    Some(registration) => {
                        found.insert(version, Arc::clone(registration));
                    }
                    None => missing.push(version),
                }
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        missing.sort_unstable();
        missing.dedup();
        for (version, read) in (self.read)(connection, &self.keys, &missing)? {
            match read {
                Ok(registration) => {
                    found.insert(version, Arc::new(registration));
                }
                Err(error) => tracing::error!(%version, %error, "a setting cannot be read"),
            }
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + missing.len() > MOST {
            known.clear();
        }
        let new = missing.iter().filter_map(|id| Some((*id, found.get(id)?)));
        known.extend(new.map(|(id, registration)| (id, Arc::clone(registration))));
        Ok(found)
    }

    /// The setting that an invitation was sent with; the defaults for one that was sent before there were
    /// settings.
    ///
    /// # Errors
    /// When the database is away, or the setting cannot be read.
    pub fn get(
        &self,
        connection: &mut PgConnection,
        version: Option<Uuid>,
    ) -> Result<Arc<Registration>, DbError> {
        let Some(version) = version else {
            return Ok(Self::first());
        };
        self.load(connection, [version])?
            .remove(&version)
            .ok_or_else(|| DbError::Stored(format!("setting version {version}")))
    }

    /// What applied before there were settings.
    pub fn first() -> Arc<Registration> {
        Arc::clone(&FIRST)
    }
}
