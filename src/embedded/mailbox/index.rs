//! The index: what is known of every mail without reading its file.

use std::{collections::VecDeque, fs, io, path::Path, sync::Arc};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{
    envelope::without_envelope,
    files::remove,
    gist::{Gist, gist},
    mail::Mail,
};

/// How many mails are kept: the newest.
const KEPT: usize = 2_000;

#[derive(Default)]
pub(super) struct Index {
    /// Oldest first.
    pub(super) entries: VecDeque<Entry>,
    /// The newest id that was ever given, so that the next one is above it.
    pub(super) last: Uuid,
}

/// What is known of a mail without reading its file.
pub(super) struct Entry {
    pub(super) summary: Arc<Summary>,
    /// Recipients, subject and text, folded for searching.
    pub(super) searched: Box<str>,
}

/// A mail in the list.
#[derive(Serialize)]
pub(super) struct Summary {
    pub(super) id: Uuid,
    /// When it arrived.
    pub(super) time: DateTime<Utc>,
    pub(super) size: usize,
    #[serde(flatten)]
    pub(super) gist: Gist,
}

/// What was found.
#[derive(Serialize)]
pub(super) struct List {
    data: Vec<Arc<Summary>>,
    /// How many are in the mailbox, found or not.
    total: usize,
}

impl Index {
    /// Reads the mails that are in the folder, and removes those that are too many.
    pub(super) fn load(folder: &Path) -> io::Result<Self> {
        let mut found = Vec::new();
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            let extension = path.extension().and_then(|extension| extension.to_str());
            let id = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .and_then(|stem| Uuid::try_parse(stem).ok());
            match (extension, id) {
                // Left by a process that was killed while it wrote.
                (Some("tmp"), Some(_)) => remove(&path)?,
                (Some("eml"), Some(id)) => found.extend(time_of(id).map(|time| (id, time, path))),
                _ => {}
            }
        }
        found.sort_unstable();
        let mut index = Self {
            last: found.last().map(|(id, ..)| *id).unwrap_or_default(),
            entries: VecDeque::with_capacity(found.len().min(KEPT)),
        };
        let surplus = found.len().saturating_sub(KEPT);
        for (_, _, path) in found.drain(..surplus) {
            remove(&path)?;
        }
        for (id, time, path) in found {
            match fs::read(&path) {
                Ok(stored) => {
                    let (envelope, message) = without_envelope(&stored);
                    let (gist, searched) =
                        gist(&Mail::read(message), &envelope.unwrap_or_default());
                    let summary = Arc::new(Summary {
                        id,
                        time,
                        size: message.len(),
                        gist,
                    });
                    index.entries.push_back(Entry { summary, searched });
                }
                Err(error) => tracing::warn!(%id, %error, "a mail cannot be read"),
            }
        }
        Ok(index)
    }

    /// The mails that hold all the words, newest first; only those above `after`, if given.
    pub(super) fn list(&self, words: &[String], after: Option<Uuid>) -> List {
        let data = self
            .entries
            .iter()
            .rev()
            .take_while(|entry| after.is_none_or(|after| entry.summary.id > after))
            .filter(|entry| words.iter().all(|word| entry.searched.contains(&**word)))
            .map(|entry| Arc::clone(&entry.summary))
            .collect();
        List {
            data,
            total: self.entries.len(),
        }
    }

    /// Whether the mail is (still) there.
    pub(super) fn has(&self, id: Uuid) -> bool {
        self.entries
            .binary_search_by_key(&id, |entry| entry.summary.id)
            .is_ok()
    }

    /// Takes out the oldest where there are too many.
    pub(super) fn shed(&mut self) -> Vec<Uuid> {
        let surplus = self.entries.len().saturating_sub(KEPT);
        self.entries
            .drain(..surplus)
            .map(|entry| entry.summary.id)
            .collect()
    }
}

/// The lowest id above this one.
pub(super) fn next_after(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

/// When an id was given.
pub(super) fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(seconds.try_into().ok()?, nanos)
}
