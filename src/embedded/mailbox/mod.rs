//! The mailbox of `enlist dev`: what would have been mailed is kept here and shown at
//! `/dev/mailbox`, as a person would see it.
//!
//! The mails hold PINs. So the files are their owner's alone (0600), every answer is `no-store`, and
//! a request is only answered when it names this machine (a page on the internet can point its own
//! name at 127.0.0.1: DNS rebinding) and when no other site made the browser send it. The page shows
//! a mail in a frame without scripts, forms or an origin, and loads nothing from anywhere.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use actix_web::{
    Error, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::{Next, from_fn},
    web::{self, Bytes},
};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use chrono::{DateTime, Utc};
use deserr::Deserr;
use futures_util::{Stream, StreamExt, stream};
use mailparse::{DispositionType, MailAddr, MailHeaderMap, ParsedMail};
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, broadcast},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use unicode_normalization::char::{decompose_compatible, is_combining_mark};
use uuid::Uuid;

use crate::{
    clock::{self, Clock},
    http::{
        error::ApiError,
        extract::{Id, Params},
    },
    model::wire::{Fault, Faults, QueryTypes, check_length},
};

/// Only the newest are kept.
const KEPT: usize = 2_000;
/// How much of a mail's text can be searched, in characters.
const SEARCHED: usize = 4_096;
/// How much of a subject or a name the index holds, in characters.
const SHOWN: usize = 250;
/// How much of a mail's text the index shows, in characters.
const SNIPPET: usize = 160;
/// How many recipients the index shows.
const RECIPIENTS: usize = 5;
/// Searches are no longer than this, in characters.
const LONGEST_SEARCH: usize = 200;
/// No mail's HTML grows beyond this by the pictures that are put into it, in bytes.
const LARGEST_HTML: usize = 32 * 1024 * 1024;
/// Pages that may listen for new mail at once.
const LISTENERS: usize = 64;
/// News that a slow listener may fall behind before it has to read the whole list again.
const BACKLOG: usize = 256;
/// Keeps a connection from looking idle, and finds out that its client is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

// ---------------------------------------------------------------------------------------------
// The store
// ---------------------------------------------------------------------------------------------

/// Who a mail came from and went to, as told to the mail server: not always what its headers say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Envelope {
    /// The sender; empty where reports about the mail are not wanted.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
}

/// The mails that were sent, newest first. Clones share them.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    /// The file that holds the header with a key, for the page's example.
    auth_header: PathBuf,
    clock: Clock,
    index: RwLock<Index>,
    /// `None` once the mailbox is closed.
    news: Mutex<Option<broadcast::Sender<News>>>,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct Index {
    /// Oldest first.
    entries: VecDeque<Entry>,
    /// The newest id that was ever given, so that the next one is above it.
    last: Uuid,
}

/// What is known of a mail without reading its file.
struct Entry {
    summary: Arc<Summary>,
    /// Recipients, subject and text, folded for searching.
    searched: Box<str>,
}

#[derive(Serialize)]
struct Summary {
    id: Uuid,
    /// When it arrived.
    time: DateTime<Utc>,
    size: usize,
    #[serde(flatten)]
    gist: Gist,
}

/// What the list shows of a mail.
#[derive(Serialize)]
struct Gist {
    to: Vec<Person>,
    subject: String,
    /// The beginning of the text.
    snippet: String,
    has_pin: bool,
    has_qr: bool,
}

#[derive(Clone)]
enum News {
    Arrived(Arc<Summary>),
    /// The list is to be read again.
    Reload,
}

impl Mailbox {
    /// Opens the mailbox in `<data_dir>/mails`, with the mails that are there already.
    ///
    /// # Errors
    /// When the folder cannot be made or read. A single file that cannot be read is left out.
    pub fn open(data_dir: &Path, clock: Clock) -> io::Result<Self> {
        let folder = data_dir.join("mails");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        let index = Index::load(&folder)?;
        Ok(Self(Arc::new(Inner {
            folder,
            auth_header: data_dir.join("auth-header"),
            clock,
            index: RwLock::new(index),
            news: Mutex::new(Some(broadcast::Sender::new(BACKLOG))),
            places: Arc::new(Semaphore::new(LISTENERS)),
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
            let (gist, searched) = Mail::read(message).gist(envelope);
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
            // Told while the index is held: the news come in the order of the ids.
            self.tell(News::Arrived(summary));
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
                // It may not even have been made; the error that counts is the first one.
                let _ = fs::remove_file(&draft);
                Err(error)
            }
        }
    }

    /// Deletes every mail. Blocks.
    ///
    /// # Errors
    /// When a file cannot be deleted; the others are.
    pub fn clear(&self) -> io::Result<()> {
        let gone = {
            let mut index = self.write();
            self.tell(News::Reload);
            std::mem::take(&mut index.entries)
        };
        gone.iter()
            .map(|entry| remove(&self.0.path(entry.summary.id)))
            .fold(Ok(()), io::Result::and)
    }

    /// Ends all event streams, so that a shutdown need not wait for pages that are open. Mails are
    /// still taken.
    pub fn close(&self) {
        self.news().take();
    }

    fn list(&self, words: &[String], after: Option<Uuid>) -> List {
        let index = self.read();
        let data = index
            .entries
            .iter()
            .rev()
            .take_while(|entry| after.is_none_or(|after| entry.summary.id > after))
            .filter(|entry| words.iter().all(|word| entry.searched.contains(&**word)))
            .map(|entry| Arc::clone(&entry.summary))
            .collect();
        List {
            data,
            total: index.entries.len(),
        }
    }

    /// A mail's file, if it is (still) there. Blocks.
    fn stored(&self, id: Uuid) -> io::Result<Option<Vec<u8>>> {
        let known = self
            .read()
            .entries
            .binary_search_by_key(&id, |entry| entry.summary.id)
            .is_ok();
        if !known {
            return Ok(None);
        }
        match fs::read(self.0.path(id)) {
            Ok(stored) => Ok(Some(stored)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What happens from now on; `None` when too many listen or the mailbox is closed.
    fn listen(&self) -> Option<Listener> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().ok()?;
        let news = self.news().as_ref()?.subscribe();
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(Listener {
            news,
            heartbeat,
            _place: place,
        })
    }

    fn tell(&self, news: News) {
        if let Some(sender) = &*self.news() {
            // An error says that nobody listens.
            let _ = sender.send(news);
        }
    }

    fn news(&self) -> std::sync::MutexGuard<'_, Option<broadcast::Sender<News>>> {
        self.0.news.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.folder.join(format!("{id}.eml"))
    }
}

impl Index {
    fn load(folder: &Path) -> io::Result<Self> {
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
                    let (gist, searched) = Mail::read(message).gist(&envelope.unwrap_or_default());
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

    /// Takes out what is too much: the oldest.
    fn shed(&mut self) -> Vec<Uuid> {
        let surplus = self.entries.len().saturating_sub(KEPT);
        self.entries
            .drain(..surplus)
            .map(|entry| entry.summary.id)
            .collect()
    }
}

/// A new file for its owner's eyes, on disk when this returns.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn next_after(id: Uuid) -> Uuid {
    Uuid::from_u128(id.as_u128().saturating_add(1))
}

fn time_of(id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(seconds.try_into().ok()?, nanos)
}

/// Before the mail in its file: one line a recipient, then the sender's, which ends them.
const ENVELOPE_TO: &str = "X-Envelope-To: ";
const ENVELOPE_FROM: &str = "X-Envelope-From: ";

/// The file of a mail: itself, with the envelope as headers before it, so that mail programs open it.
fn with_envelope(envelope: &Envelope, message: &[u8]) -> Vec<u8> {
    let mut stored = String::new();
    let recipients = envelope.to.iter().map(|address| (ENVELOPE_TO, address));
    for (name, address) in recipients.chain([(ENVELOPE_FROM, &envelope.from)]) {
        let address = address.replace(char::is_control, "");
        stored.push_str(&format!("{name}<{address}>\r\n"));
    }
    let mut stored = stored.into_bytes();
    stored.extend_from_slice(message);
    stored
}

/// Undoes [`with_envelope`]; without an envelope if it is a file from elsewhere.
fn without_envelope(stored: &[u8]) -> (Option<Envelope>, &[u8]) {
    let mut envelope = Envelope::default();
    let mut rest = stored;
    while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
        let Ok(line) = std::str::from_utf8(&rest[..end]) else {
            break;
        };
        rest = &rest[end + 2..];
        let address = |value: &str| value.trim_matches(['<', '>']).to_owned();
        if let Some(value) = line.strip_prefix(ENVELOPE_TO) {
            envelope.to.push(address(value));
        } else if let Some(value) = line.strip_prefix(ENVELOPE_FROM) {
            envelope.from = address(value);
            return (Some(envelope), rest);
        } else {
            break;
        }
    }
    (None, stored)
}

// ---------------------------------------------------------------------------------------------
// Reading a mail
// ---------------------------------------------------------------------------------------------

/// A person as a header names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Person {
    name: Option<String>,
    address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Header {
    name: String,
    value: String,
}

#[derive(Serialize)]
struct Attachment {
    filename: Option<String>,
    content_type: String,
    content_id: Option<String>,
    /// Shown inside the HTML.
    inline: bool,
    /// The picture that a phone scans.
    is_qr: bool,
    size: usize,
    /// In base64, once it is shown.
    #[serde(serialize_with = "base64_text")]
    data: Vec<u8>,
}

fn base64_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
}

/// A mail taken apart. What cannot be read is empty: the source is always there.
#[derive(Default, Serialize)]
struct Mail {
    subject: String,
    from: Vec<Person>,
    to: Vec<Person>,
    headers: Vec<Header>,
    text: Option<String>,
    html: Option<String>,
    attachments: Vec<Attachment>,
}

impl Mail {
    fn read(message: &[u8]) -> Self {
        let Ok(parsed) = mailparse::parse_mail(message) else {
            return Self::default();
        };
        let mut mail = Self {
            subject: parsed
                .headers
                .get_first_value("Subject")
                .unwrap_or_default(),
            from: people(&parsed, "From"),
            to: people(&parsed, "To"),
            headers: parsed
                .headers
                .iter()
                .map(|header| Header {
                    name: header.get_key(),
                    value: header.get_value(),
                })
                .collect(),
            ..Self::default()
        };
        for part in parsed.parts().filter(|part| part.subparts.is_empty()) {
            mail.take(part);
        }
        mail
    }

    fn take(&mut self, part: &ParsedMail<'_>) {
        let disposition = part.get_content_disposition();
        let is_body = disposition.disposition != DispositionType::Attachment;
        let place = match part.ctype.mimetype.as_str() {
            "text/plain" => &mut self.text,
            "text/html" => &mut self.html,
            _ => return self.attachments.extend(attachment(part)),
        };
        if is_body && place.is_none() {
            *place = part.get_body().ok().map(|text| text.replace("\r\n", "\n"));
        } else {
            self.attachments.extend(attachment(part));
        }
    }

    /// What the index holds: for the list, and for searching.
    fn gist(&self, envelope: &Envelope) -> (Gist, Box<str>) {
        let text = self.text.as_deref().unwrap_or_default();
        let mut to: Vec<Person> = self.to.iter().take(RECIPIENTS).map(Person::brief).collect();
        if to.is_empty() {
            let addresses = envelope.to.iter().take(RECIPIENTS);
            to.extend(addresses.map(|address| Person::nameless(address)));
        }
        let gist = Gist {
            subject: first(&self.subject, SHOWN),
            snippet: snippet(text),
            // The templates mark it so.
            has_pin: self
                .html
                .as_ref()
                .is_some_and(|html| html.contains("id=\"pin\"")),
            has_qr: self.attachments.iter().any(|attachment| attachment.is_qr),
            to,
        };
        let mut searched = String::new();
        for person in &gist.to {
            searched.push_str(person.name.as_deref().unwrap_or_default());
            searched.push('\n');
            searched.push_str(&person.address);
            searched.push('\n');
        }
        searched.push_str(&gist.subject);
        searched.push('\n');
        searched.extend(text.chars().take(SEARCHED));
        (gist, fold(&searched).into())
    }

    /// With every picture that the HTML names by its content id (RFC 2392) standing in it.
    fn with_pictures(mut self) -> Self {
        let Some(mut html) = self.html.take() else {
            return self;
        };
        let pictures = self
            .attachments
            .iter()
            .filter(|attachment| attachment.content_type.starts_with("image/"));
        for picture in pictures {
            let Some(id) = &picture.content_id else {
                continue;
            };
            let name = format!("cid:{id}");
            let data = format!(
                "data:{};base64,{}",
                picture.content_type,
                BASE64_STANDARD.encode(&picture.data)
            );
            if html.len() + html.matches(&name).count() * data.len() <= LARGEST_HTML {
                html = html.replace(&name, &data);
            }
        }
        self.html = Some(html);
        self
    }
}

impl Person {
    fn nameless(address: &str) -> Self {
        Self {
            name: None,
            address: first(address, SHOWN),
        }
    }

    fn brief(&self) -> Self {
        Self {
            name: self.name.as_ref().map(|name| first(name, SHOWN)),
            address: first(&self.address, SHOWN),
        }
    }
}

fn people(mail: &ParsedMail<'_>, header: &str) -> Vec<Person> {
    let Some(header) = mail.headers.get_first_header(header) else {
        return Vec::new();
    };
    let Ok(addresses) = mailparse::addrparse_header(header) else {
        return vec![Person::nameless(&header.get_value())];
    };
    let singles = addresses.iter().flat_map(|address| match address {
        MailAddr::Single(single) => std::slice::from_ref(single),
        MailAddr::Group(group) => &group.addrs,
    });
    singles
        .map(|single| Person {
            name: single.display_name.clone(),
            address: single.addr.clone(),
        })
        .collect()
}

fn attachment(part: &ParsedMail<'_>) -> Option<Attachment> {
    let bytes = part.get_body_raw().ok()?;
    let disposition = part.get_content_disposition();
    let filename = disposition
        .params
        .get("filename")
        .or_else(|| part.ctype.params.get("name"))
        .cloned();
    let content_type = part.ctype.mimetype.clone();
    let content_id = part
        .headers
        .get_first_value("Content-ID")
        .map(|id| id.trim().trim_matches(['<', '>']).to_owned())
        .filter(|id| !id.is_empty());
    Some(Attachment {
        inline: content_id.is_some() && disposition.disposition == DispositionType::Inline,
        is_qr: content_type.starts_with("image/")
            && filename
                .as_ref()
                .is_some_and(|name| name.starts_with("qr.")),
        size: bytes.len(),
        data: bytes,
        filename,
        content_type,
        content_id,
    })
}

fn first(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

/// The first words in one line.
fn snippet(text: &str) -> String {
    let mut snippet = String::new();
    for word in text.split_whitespace() {
        if snippet.chars().count() >= SNIPPET {
            break;
        }
        if !snippet.is_empty() {
            snippet.push(' ');
        }
        snippet.push_str(word);
    }
    first(&snippet, SNIPPET)
}

/// Without case and accents: `Zoë` is found by `zoe`.
fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            decompose_compatible(c, |part| {
                if !is_combining_mark(part) {
                    folded.extend(part.to_lowercase());
                }
            });
        }
    }
    folded
}

// ---------------------------------------------------------------------------------------------
// Who may ask
// ---------------------------------------------------------------------------------------------

const PATH: &str = "/dev/mailbox";

/// Whether a `Host` header (RFC 9110 §7.2) names this machine: `localhost`, `127.0.0.1` or `[::1]`,
/// with any port. Any other name may be somebody's who made it point here.
pub fn is_local_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // The colon was one of an IPv6 address.
        Some((_, port)) if port.contains(']') => (host, ""),
        Some(parts) => parts,
        None => (host, ""),
    };
    let names = ["localhost", "127.0.0.1", "[::1]"];
    port.bytes().all(|byte| byte.is_ascii_digit())
        && names.iter().any(|local| name.eq_ignore_ascii_case(local))
}

/// The `Host` header, if there is exactly one.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Refuses foreign names, and whatever another site made the browser send. Only the page itself may
/// be opened from elsewhere: by a link, and it holds nobody's secrets.
fn check_caller(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let asked = host(headers).filter(|host| is_local_host(host));
    // A proxy's form of a request (RFC 9112 §3.2.2) names the host a second time.
    let named = request.uri().host().is_none_or(is_local_host);
    let Some(host) = asked.filter(|_| named) else {
        return Err(ApiError::new(
            421,
            "misdirected_request",
            "The mailbox shows PINs and answers only as localhost, 127.0.0.1 or [::1].",
        ));
    };
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // Other ports of this machine are `same-site`, and as foreign.
    let is_own = match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => text(header::ORIGIN).is_none_or(|origin| {
            origin
                .strip_prefix("http://")
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        }),
    };
    let is_page = request.method() == Method::GET && request.path().trim_end_matches('/') == PATH;
    if is_own || is_page {
        Ok(())
    } else {
        Err(ApiError::new(
            403,
            "cross_site_request",
            "Another site may not read or change the mailbox.",
        ))
    }
}

const PRIVATE: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// For every answer but the page: nothing in it is ever run.
const INERT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

async fn guard<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let mut response = match check_caller(&request) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(problem) => request.error_response(problem).map_into_right_body(),
    };
    let headers = response.headers_mut();
    for (name, value) in PRIVATE {
        headers.insert(name, value);
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, INERT);
    }
    Ok(response)
}

// ---------------------------------------------------------------------------------------------
// The handlers
// ---------------------------------------------------------------------------------------------

/// Adds the mailbox at `/dev/mailbox`. Needs a `web::Data<Mailbox>`.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope(PATH)
            .wrap(from_fn(guard))
            .service(
                web::resource(["", "/"])
                    .get(page)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/messages")
                    .get(list)
                    .delete(clear)
                    .default_service(web::to(|| refuse_method("DELETE, GET, HEAD"))),
            )
            .service(
                web::resource("/messages/{id}")
                    .get(message)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/messages/{id}/source")
                    .get(source)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/events")
                    .get(events)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .default_service(web::to(|| async {
                Err::<HttpResponse, _>(ApiError::not_found("path"))
            })),
    );
}

async fn refuse_method(allow: &'static str) -> Result<HttpResponse, ApiError> {
    Err(ApiError::method_not_allowed(allow))
}

const PAGE: &str = include_str!("page.html");

/// The page's own script, and no other, may run: its hash, as the policy wants it.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    let script = PAGE
        .split_once("<script>")
        .and_then(|(_, rest)| rest.split_once("</script>"))
        .map_or("", |(script, _)| script);
    BASE64_STANDARD.encode(Sha256::digest(script))
});

async fn page(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    let nonce = BASE64_URL_SAFE_NO_PAD.encode(
        clock::random_bytes::<16>().map_err(|error| ApiError::internal(error.to_string()))?,
    );
    // A frame made by `srcdoc` is under its page's policy too. A mail's `<style>` is given the page's
    // nonce; for its style attributes there is no other way than to allow them. Nothing that a style
    // could fetch is allowed.
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'nonce-{nonce}'; \
         style-src-attr 'unsafe-inline'; img-src data:; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        *SCRIPT
    );
    let auth_header = shell_word(&mailbox.0.auth_header.to_string_lossy());
    let page = PAGE
        .replace("{{nonce}}", &nonce)
        .replace("{{auth_header}}", &html_text(&auth_header));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .content_type("text/html; charset=utf-8")
        .body(page))
}

fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    if text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn html_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[derive(Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
struct Search {
    #[deserr(default)]
    q: Option<String>,
    #[deserr(default)]
    after: Option<String>,
}

impl QueryTypes for Search {}

#[derive(Serialize)]
struct List {
    data: Vec<Arc<Summary>>,
    /// All that are in the mailbox, found or not.
    total: usize,
}

async fn list(
    mailbox: web::Data<Mailbox>,
    Params(search): Params<Search>,
) -> Result<HttpResponse, ApiError> {
    let mut faults = Vec::new();
    let q = search.q.unwrap_or_default();
    if let Err(flaw) = check_length(&q, LONGEST_SEARCH) {
        faults.push(Fault::new("/q", flaw.code, flaw.detail));
    }
    let after = search.after.map(|id| Uuid::try_parse(&id)).transpose();
    if after.is_err() {
        faults.push(Fault::new("/after", "not_an_id", "is not a message's id"));
    }
    match after {
        Ok(after) if faults.is_empty() => {
            let words: Vec<String> = fold(&q).split_whitespace().map(str::to_owned).collect();
            Ok(HttpResponse::Ok().json(mailbox.list(&words, after)))
        }
        _ => Err(faults.into()),
    }
}

async fn clear(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    web::block(move || mailbox.clear())
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::NoContent().finish())
}

/// A mail as the page shows it.
#[derive(Serialize)]
struct Shown {
    id: Uuid,
    time: Option<DateTime<Utc>>,
    size: usize,
    /// `null` for a file that was put into the folder by hand.
    envelope: Option<Envelope>,
    #[serde(flatten)]
    mail: Mail,
}

async fn message(mailbox: web::Data<Mailbox>, Id(id): Id) -> Result<HttpResponse, ApiError> {
    let shown = with_stored(mailbox, id, move |stored| {
        let (envelope, message) = without_envelope(&stored);
        Shown {
            id,
            time: time_of(id),
            size: message.len(),
            envelope,
            mail: Mail::read(message).with_pictures(),
        }
    })
    .await?;
    Ok(HttpResponse::Ok().json(shown))
}

async fn source(mailbox: web::Data<Mailbox>, Id(id): Id) -> Result<HttpResponse, ApiError> {
    let message = with_stored(mailbox, id, |stored| without_envelope(&stored).1.to_vec()).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(message))
}

async fn with_stored<T: Send + 'static>(
    mailbox: web::Data<Mailbox>,
    id: Uuid,
    read: impl FnOnce(Vec<u8>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    web::block(move || Ok(mailbox.stored(id)?.map(read)))
        .await
        .map_err(ApiError::internal)?
        .map_err(|error: io::Error| ApiError::internal(error))?
        .ok_or_else(|| ApiError::not_found("message"))
}

// ---------------------------------------------------------------------------------------------
// The event stream
// ---------------------------------------------------------------------------------------------

/// One open page. Dropped with its connection, which frees its place.
struct Listener {
    news: broadcast::Receiver<News>,
    heartbeat: Interval,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next event or heartbeat; `None` when the mailbox is closed.
    async fn next(&mut self) -> Option<Bytes> {
        let news = tokio::select! {
            news = self.news.recv() => news,
            _ = self.heartbeat.tick() => return Some(Bytes::from_static(b":\n\n")),
        };
        match news {
            Ok(News::Arrived(summary)) => {
                let json = serde_json::to_string(&*summary).ok()?;
                Some(format!("event: message\ndata: {json}\n\n").into())
            }
            Ok(News::Reload) | Err(broadcast::error::RecvError::Lagged(_)) => {
                Some(Bytes::from_static(b"event: reload\ndata: {}\n\n"))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> {
        // The first bytes tell the page at once that it is connected.
        let hello = stream::once(async { Bytes::from_static(b"retry: 2000\n\n") });
        let events = stream::unfold(self, |mut listener| async {
            listener.next().await.map(|event| (event, listener))
        });
        hello.chain(events).map(Ok)
    }
}

async fn events(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    let listener = mailbox.listen().ok_or_else(|| ApiError {
        retry_after: Some(30),
        ..ApiError::new(
            503,
            "too_many_listeners",
            "Too many pages listen for new mail, or the service is stopping; ask for the list instead.",
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(listener.into_stream()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for local in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_local_host(local), "{local}");
        }
        for foreign in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io:8080",
            "localhost:8080@example.com",
            "localhost:x",
            "127.0.0.2",
            "0.0.0.0",
            "::1",
            "[::2]:80",
            "localhost:80:80",
        ] {
            assert!(!is_local_host(foreign), "{foreign}");
        }
    }

    #[test]
    fn the_envelope_is_read_back_and_never_taken_from_the_mail() {
        let envelope = Envelope {
            from: "it@example.com".to_owned(),
            to: vec!["zoë@example.com".to_owned(), "\"a, b\"@c".to_owned()],
        };
        let message = b"X-Envelope-To: <evil@example.com>\r\nSubject: Hi\r\n\r\n.\r\n";
        let stored = with_envelope(&envelope, message);
        assert_eq!(without_envelope(&stored), (Some(envelope), &message[..]));
        assert_eq!(without_envelope(message), (None, &message[..]));
        assert_eq!(without_envelope(b""), (None, &b""[..]));
    }

    #[test]
    fn searching_forgives_case_and_accents() {
        assert_eq!(fold("Zoë Ÿ ﬁn ÅNGSTRÖM"), "zoe y fin angstrom");
    }

    #[test]
    fn what_is_no_mail_is_still_something_to_show() {
        for bytes in [
            &b""[..],
            b"\xff\xfe",
            b"no headers at all",
            b"To: \"broken\r\n\r\nx",
        ] {
            let (gist, _) = Mail::read(bytes).gist(&Envelope::default());
            assert!(!gist.has_qr && !gist.has_pin);
        }
    }

    #[test]
    fn the_shell_and_the_page_take_any_path() {
        assert_eq!(shell_word(".enlist/auth-header"), ".enlist/auth-header");
        assert_eq!(shell_word("it's <b>"), r"'it'\''s <b>'");
        assert_eq!(html_text("a & <b>"), "a &amp; &lt;b>");
    }

    #[tokio::test]
    async fn a_quiet_stream_has_a_heartbeat() {
        let folder = std::env::temp_dir().join(format!("enlist-{}", Clock::system().new_id()));
        let mailbox = Mailbox::open(&folder, Clock::system()).unwrap();
        let mut listener = mailbox.listen().unwrap();
        listener.heartbeat = tokio::time::interval(Duration::from_millis(5));
        for _ in 0..3 {
            assert_eq!(listener.next().await.unwrap(), ":\n\n");
        }
        // Whoever falls behind reads the list again.
        for _ in 0..=BACKLOG {
            mailbox.add(&Envelope::default(), b"").unwrap();
        }
        listener.heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        assert!(listener.next().await.unwrap().starts_with(b"event: reload"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
