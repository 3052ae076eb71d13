//! The mails themselves: kept as files, listed in the index, told to those who listen.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use uuid::Uuid;

use super::{
    envelope::{Envelope, with_envelope},
    events::{Events, Listener, News},
    files::{make_folder, path, remove, write_private},
    gist::gist,
    index::{Entry, Index, List, Summary, next_after, time_of},
    mail::Mail,
};
use crate::clock::Clock;

/// The mails that were sent, newest first. Clones share them.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// The file that holds the header with a key, for the page's example.
    auth_header: PathBuf,
    clock: Clock,
    index: RwLock<Index>,
    events: Events,
}

impl Mailbox {
    /// Opens the mailbox in `<data_dir>/mails`, with the mails that are there already.
    ///
    /// # Errors
    /// When the folder cannot be made or read. A single file that cannot be read is left out.
    pub fn open(data_dir: &Path, clock: Clock) -> io::Result<Self> {
        let folder = data_dir.join("mails");
        make_folder(&folder)?;
        let index = Index::load(&folder)?;
        Ok(Self(Arc::new(Inner {
            folder,
            auth_header: data_dir.join("auth-header"),
            clock,
            index: RwLock::new(index),
            events: Events::new(),
        })))
    }

    /// Keeps a mail, on disk when this returns, and tells those who listen. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing is kept.
    pub fn add(&self, envelope: &Envelope, message: &[u8]) -> io::Result<Uuid> {
        let inner = &*self.0;
        let draft = inner.folder.join(format!("{}.tmp", inner.clock.new_id()));
        let stored = with_envelope(envelope, message);
        let kept = write_private(&draft, &stored).and_then(|()| {
            let (gist, searched) = gist(&Mail::read(message), envelope);
            let mut index = self.write();
            // Whatever the clock does, a newer mail has a higher id: pages ask for what is above.
            let id = inner.clock.new_id().max(next_after(index.last));
            fs::rename(&draft, inner.path(id))?;
            index.last = id;
            let summary = Arc::new(Summary {
                id,
                time: time_of(id).unwrap_or_else(|| inner.clock.now()),
                size: message.len(),
                gist,
            });
            index.entries.push_back(Entry {
                summary: Arc::clone(&summary),
                searched,
            });
            let oldest = index.shed();
            // Told while the index is locked, so that the news come in the order of the ids.
            self.0.events.tell(News::Arrived(summary));
            Ok((id, oldest))
        });
        match kept {
            Ok((id, oldest)) => {
                for id in oldest {
                    if let Err(error) = remove(&inner.path(id)) {
                        tracing::warn!(%id, %error, "an old mail cannot be removed");
                    }
                }
                Ok(id)
            }
            Err(error) => {
                // It may not even have been made. The first error is the one that counts.
                let _ = fs::remove_file(&draft);
                Err(error)
            }
        }
    }

    /// Deletes every mail. Blocks.
    ///
    /// # Errors
    /// When a file cannot be deleted; the others are deleted all the same.
    pub fn clear(&self) -> io::Result<()> {
        let gone = {
            let mut index = self.write();
            self.0.events.tell(News::Reload);
            std::mem::take(&mut index.entries)
        };
        gone.iter()
            .map(|entry| remove(&self.0.path(entry.summary.id)))
            .fold(Ok(()), io::Result::and)
    }

    /// Ends all event streams, so that a shutdown need not wait for pages that are open. Mails are
    /// still taken.
    pub fn close(&self) {
        self.0.events.close();
    }

    /// The file that holds the header with a key.
    pub(super) fn auth_header(&self) -> &Path {
        &self.0.auth_header
    }

    /// The mails that hold all the words, newest first; only those above `after`, if given.
    pub(super) fn list(&self, words: &[String], after: Option<Uuid>) -> List {
        self.read().list(words, after)
    }

    /// A mail's file, if it is (still) there. Blocks.
    pub(super) fn stored(&self, id: Uuid) -> io::Result<Option<Vec<u8>>> {
        if !self.read().has(id) {
            return Ok(None);
        }
        match fs::read(self.0.path(id)) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What happens from now on; `None` when too many listen or the mailbox is closed.
    pub(super) fn listen(&self) -> Option<Listener> {
        self.0.events.listen()
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn path(&self, id: Uuid) -> PathBuf {
        path(&self.folder, id)
    }
}
