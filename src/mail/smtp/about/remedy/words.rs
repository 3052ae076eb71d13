//! What operators do, in words. Pure.

pub(super) const PORTS: &str = "check host and port in ENLIST_SMTP_URL: 587 with user and password, 465 with smtps://, 25 between \
     mail servers";
pub(super) const CLOCK: &str =
    "check the dates of the mail server's certificate, and the clock of this machine";
pub(super) const SIGN_IN: &str = "sign in: give user and password in ENLIST_SMTP_URL, or an access token with \
     ENLIST_SMTP_OAUTH_TOKEN_URL";
pub(super) const TOKEN: &str = "the mail server takes no passwords any more: give a user alone in ENLIST_SMTP_URL, and access tokens with \
     ENLIST_SMTP_OAUTH_TOKEN_URL and its companions";
pub(super) const APP_PASSWORD: &str = "give an app password in ENLIST_SMTP_URL, not the account's own, or access tokens with \
     ENLIST_SMTP_OAUTH_TOKEN_URL and its companions";
pub(super) const CREDENTIALS: &str = "check user and password in ENLIST_SMTP_URL, special characters percent-encoded; with access tokens, \
     whether the application may send mail as this user";
pub(super) const ENCRYPT: &str = "the mail server wants encryption first: add ?tls=required to ENLIST_SMTP_URL, or write smtps://";
pub(super) const NO_STARTTLS: &str = "use a port where the server offers STARTTLS, often 587, or smtps:// with 465; a firewall that looks \
     into mail can hide STARTTLS";
pub(super) const RELAY: &str = "let the mail server relay for this machine's address (Postfix: mynetworks; Exchange: a receive connector), \
     or sign in with user and password in ENLIST_SMTP_URL";
pub(super) const CONNECTOR: &str = "no connector of the Microsoft 365 tenant fits: it has to name this machine's public address or \
     certificate, and the sender's domain has to be one of the tenant's";
pub(super) const FROM: &str = "set ENLIST_MAIL_FROM, and ENLIST_MAIL_BOUNCES where it is set, to addresses that this user or machine may \
     send from, or grant the right to send as them on the mail server";
pub(super) const VERIFY: &str = "verify the address or domain of ENLIST_MAIL_FROM with the mail service, in the region that is used; a \
     trial account may send to verified recipients only";
pub(super) const SENDER_DOMAIN: &str =
    "set ENLIST_MAIL_FROM to an address whose domain exists and takes mail (MX record)";
pub(super) const RESTRICTED: &str = "the mail service has stopped this sender: an administrator finds out why, and lets it send again there";
pub(super) const POLICY: &str = "let the domain of ENLIST_MAIL_FROM allow this mail server: SPF and DKIM records in its DNS, in line with \
     its DMARC policy";
pub(super) const REVERSE: &str =
    "give the sending address a reverse name (PTR record) that leads back to it";
pub(super) const LISTED: &str = "look up on the block list that is named why the sending address is there, and have it taken off, or send \
     through a mail server with a better name";
pub(super) const HELO: &str =
    "set ENLIST_SMTP_HELO to a full host name that leads to this machine's public address";
pub(super) const QUOTED: &str = "wait: mails go on by themselves when the mail server takes more; have the limit raised, or stay below it \
     with ENLIST_MAIL_RATE";
pub(super) const SLOWER: &str = "nothing to do, mails go on at a slower pace; lower ENLIST_MAIL_CONNECTIONS or ENLIST_MAIL_RATE if it \
     stays like this";
pub(super) const GREY: &str =
    "nothing to do: the mail server makes unknown senders wait, and takes the mail at a later try";
pub(super) const FULL: &str =
    "the mailbox is full or takes nothing now: its owner makes room, or try another address";
pub(super) const NOBODY: &str =
    "there is no such mailbox: check the address, and on the mail server whether it knows the user";
pub(super) const NO_DOMAIN: &str = "the mail server finds no way to the domain behind the @: check its spelling, and the mail server's DNS";
pub(super) const STRANGERS: &str = "the recipient takes no mail from outside or from strangers: allow the address of ENLIST_MAIL_FROM there";
pub(super) const LARGE: &str = "the mail server takes no mail of this size: raise its limit, or give a smaller picture in ENLIST_LOGO";
pub(super) const LETTERS: &str = "the address has letters beyond ASCII, and the mail server has no SMTPUTF8: give another address, or use \
     another mail server";
pub(super) const FILTERED: &str = "a filter refuses the mail: look into the mail server's log for the rule, and let mails from \
     ENLIST_MAIL_FROM pass";
pub(super) const BROKEN: &str =
    "the mail server has a problem of its own, such as a full disk: look into its log";
pub(super) const HUNG_UP: &str = "look into the mail server's log why it ends the conversation; it may allow only some addresses in";
pub(super) const TLS_BROKEN: &str =
    "TLS does not work on the mail server: look into its log, and at its certificate and versions";
