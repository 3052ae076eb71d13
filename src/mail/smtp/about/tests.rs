use super::{
    super::{
        fault::{Fault, Stage},
        reply::{Reader, Reply},
    },
    rules::RULES,
    *,
};

pub(super) fn reply(text: &str) -> Reply {
    let bytes = format!("{}\r\n", text.replace('\n', "\r\n"));
    let (mut reader, mut at) = (Reader::default(), 0);
    loop {
        match reader.take(&bytes.as_bytes()[at..]).unwrap() {
            (taken, None) => at += taken,
            (_, Some(reply)) => return reply,
        }
    }
}

/// What servers say: at least one for each rule.
#[rustfmt::skip]
const SAID: &[(Stage, &str, About)] = {
    use About::*;
    use Stage::{Auth, Data, FinalDot, Hello, Mail, Rcpt, StartTls};
    &[
        (Rcpt, "450-4.2.1 The user you are trying to contact is receiving mail at a rate\n450 4.2.1 that prevents", Recipient),
        (FinalDot, "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded", Recipient),
        (Rcpt, "421 4.7.1 Messages to a@icloud.com deferred due to excessive volume", Recipient),
        (Rcpt, "550 5.7.12 Sender was not authenticated by organization", Recipient),
        (Rcpt, "550 5.7.124 Sender not in allowed-senders list", Recipient),
        (Rcpt, "550 5.7.133 SenderNotAuthenticatedForGroup; authentication required", Recipient),
        (FinalDot, "550 5.7.133 SenderNotAuthenticatedForGroup; authentication required", Recipient),
        (Rcpt, "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", Recipient),
        (Rcpt, "550 5.7.1 you are not allowed to send to this mailing list", Recipient),
        (Rcpt, "421 4.7.0 mx.example Error: too many errors", Connection),
        (Mail, "421 4.7.0 Connection expired, try reconnecting.", Connection),
        (Mail, "451 4.4.2 Closing", Connection),
        (Mail, "421 too many messages in this connection", Connection),
        (Mail, "451-Requested action aborted\n451 Mails per session limit", Connection),
        (Rcpt, "450 4.2.0 <a@b.example>: Recipient address rejected: Greylisted for 300 seconds", Recipient),
        (FinalDot, "451 4.7.1 Greylisting in action, please come back in 00:05:00", Recipient),
        (Mail, "452 4.5.3 Too many recipients: Too many messages sent", Connection),
        (Mail, "451 4.7.1 Greylisted", Recipient),
        (Mail, "552 5.3.4 Message size exceeds fixed limit", Message),
        (FinalDot, "552 5.2.3 Too long for this mailbox", Message),
        (FinalDot, "554 5.7.1 Blacklisted URL in message", Message),
        (FinalDot, "550 Virus found (Eicar)", Message),
        (FinalDot, "550 5.7.1 Message contains a link listed in Spamhaus DBL", Message),
        (FinalDot, "554 5.6.0 Corrupt", Message),
        (FinalDot, "500 5.5.2 Error: line too long", Message),
        (FinalDot, "550-5.4.5 Daily user sending limit exceeded.\n550 5.4.5 See https://example.com", Sender),
        (FinalDot, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", Sender),
        (Data, "454 Throttling failure: Daily message quota exceeded.", Sender),
        (FinalDot, "550-Domain example.org has exceeded the max emails per hour (500/500 (100%)) allowed.\n550 Message discarded.", Sender),
        (Rcpt, "554 5.7.1 <a@b.example>: Recipient address rejected: You have exceeded your Outmail quota.", Sender),
        (Auth, "451 Authentication failed: Maximum credits exceeded", Sender),
        (FinalDot, "550 5.4.6 Unusual sending activity detected", Sender),
        (Hello, "421 4.3.2 Connection rate limit exceeded.", Pace),
        (Auth, "454-4.7.0 Too many login attempts,\n454 4.7.0 please try again later", Pace),
        (Mail, "450 4.7.1 Error: too much mail from 192.0.2.7", Pace),
        (Data, "454 Throttling failure: Maximum sending rate exceeded.", Pace),
        (Rcpt, "450 4.2.1 Peak SMTP relay limit exceeded for customer.", Pace),
        (FinalDot, "550 sorry, too many emails (#5.7.1)", Sender),
        (Mail, "552 Too big", Message),
        (FinalDot, "552-5.7.0 This message was blocked\n552 5.7.0 because of its content", Message),
        (Hello, "421 try again later", Pace),
        (Hello, "450 4.3.2 Not now", Pace),
        (Hello, "554-No SMTP service\n554 IP address is block listed.", Away),
        (StartTls, "454 4.7.0 TLS not available due to local problem", Away),
        (Auth, "535 5.7.139 Authentication unsuccessful", Away),
        (Rcpt, "451 4.4.5 Congested", Sender),
        (Mail, "553 5.1.8 <it@a.example>... Domain of sender address it@a.example does not exist", Sender),
        (Mail, "553 Domain of sender address does not exist", Sender),
        (Rcpt, "550 5.7.25 The address does not have a PTR record", Sender),
        (Rcpt, "550 5.1.8 Access denied", Sender),
        (Rcpt, "450 4.1.7 Not now", Sender),
        (FinalDot, "550 5.1.90 Your message can't be sent", Sender),
        (FinalDot, "554 5.2.252 Not you", Sender),
        (FinalDot, "550-5.7.26 This mail has been blocked because it lacks\n550 5.7.26 authentication", Sender),
        (Rcpt, "530 5.7.57 Client not known", Sender),
        (Rcpt, "550 5.7.57 Client not known", Sender),
        (Rcpt, "550 5.7.60 SMTP; Client does not have permissions", Sender),
        (Rcpt, "550 5.7.64 No such thing", Sender),
        (Rcpt, "550 5.7.68 Not from here", Sender),
        (Rcpt, "550 5.7.232 Not more today", Sender),
        (Rcpt, "550 5.7.501 Access denied", Sender),
        (Rcpt, "550 5.7.506 Access Denied, Bad HELO", Sender),
        (Rcpt, "550 5.7.511 Access denied", Sender),
        (Rcpt, "550 5.7.606 Access denied", Sender),
        (Rcpt, "550 5.7.708 Access denied", Sender),
        (Rcpt, "550 5.7.750 Not registered", Sender),
        (Rcpt, "554 5.7.1 <a@b.example>: Relay access denied", Sender),
        (Rcpt, "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", Sender),
        (Rcpt, "550 5.7.1 Unable to relay", Sender),
        (Rcpt, "553 Relaying disallowed as it@example.org", Sender),
        (Rcpt, "550 relaying to <ada@corp.example> prohibited by administrator", Sender),
        (Rcpt, "554 5.7.1 <a@b.example>: Recipient address rejected: Policy Rejection- Quota Exceeded", Sender),
        (Rcpt, "550 5.7.1 SPF check failed", Sender),
        (FinalDot, "554 Access denied: User `arn:aws:iam' is not authorized to perform `ses:SendRawEmail'", Sender),
        (FinalDot, "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException", Sender),
        (FinalDot, "550-5.7.1 Our system has detected that this message is\n550 5.7.1 likely unsolicited mail.", Sender),
        (Rcpt, "553 5.7.1 <x@y.example>: Sender address rejected: not owned by user z", Sender),
        (Rcpt, "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", Sender),
        (FinalDot, "554 Message rejected: Email address is not verified.", Sender),
        (FinalDot, "550 5.7.0 From address is not one of your addresses.", Sender),
        (FinalDot, "421 Domain mg.example.org is not allowed to send: recipient limit exceeded", Sender),
        (Mail, "530 Sign in", Sender),
        (Rcpt, "432 Later", Pace),
        (Rcpt, "450 4.3.2 Not now", Pace),
        (Mail, "450 4.7.1 Not now", Pace),
        (Rcpt, "421 4.7.0 Try again later", Pace),
        (FinalDot, "451 4.7.1 Try again later", Unsure),
        (Rcpt, "452 4.5.3 Too many recipients", Unsure),
        (FinalDot, "421 Bye", Connection),
        (Rcpt, "452 4.3.1 Insufficient system storage", Sender),
        (FinalDot, "451 4.3.0 Queue file write error", Sender),
        (Rcpt, "503 5.5.1 Bad sequence of commands", Connection),
        (Mail, "550 You are nobody", Sender),
        (Mail, "451 Later", Sender),
        (Rcpt, "550 5.1.1 No such user", Recipient),
        (Rcpt, "550 5.4.1 Recipient address rejected: Access denied.", Recipient),
        (Rcpt, "552 5.2.2 Mailbox full", Recipient),
        (Rcpt, "452 4.2.2 The email account that you tried to reach is over quota", Recipient),
        (Rcpt, "550-5.2.1 The email account that you tried to reach is disabled.\n550 5.2.1 Bye", Recipient),
        (Rcpt, "451 Internal resource temporarily unavailable", Recipient),
        (Rcpt, "552 5.1.1 5.2.2 sorry, final recipient mailbox is full (chkuser)", Recipient),
        (FinalDot, "554 Refused; see https://postmaster.example/case?ip=192.0.2.7&why=too+many+messages", Message),
        (FinalDot, "550 5.7.1 Refused by local policy. No SPAM please!", Message),
        (Data, "554 5.5.1 Error: no valid recipients", Message),
        (Rcpt, "550 5.1.0 <it@a.example>: Sender address rejected: User unknown in virtual mailbox table", Sender),
        (Rcpt, "550 5.1.1 <dkim@corp.example>: Recipient address rejected: User unknown", Recipient),
        (Rcpt, "550 <spfeiffer@corp.example>: not here", Recipient),
        (Rcpt, "550 5.1.10 RESOLVER.ADR.RecipientNotFound", Recipient),
        (Rcpt, "552 5.2.2 Too many messages in mailbox", Recipient),
        (Rcpt, "550 5.2.1 recipient hourly limit reached", Recipient),
        (Rcpt, "553 5.3.0 <ada@corp.example>... Addressee unknown", Recipient),
        (Rcpt, "550 5.3.0 <rblack@corp.example>... User unknown", Recipient),
        (FinalDot, "554 delivery error: dd This user doesn't have a yahoo.com account", Recipient),
        (Rcpt, "550 User ada@corp.example not listed in Domino Directory", Recipient),
        (FinalDot, "552 5.2.2 Submission quota exceeded", Sender),
        (FinalDot, "552 5.2.2 No room", Recipient),
        (FinalDot, "550 5.1.1 <ada@corp.example>: not here", Recipient),
        (FinalDot, "550 5.1.10 Not here", Recipient),
        (Rcpt, "554 5.7.1 <a@b.example>: Recipient address rejected: undeliverable address: host mx said: 550 Sender address rejected", Recipient),
    ]
};

#[test]
fn whom_a_reply_is_about() {
    for (stage, text, expected) in SAID {
        let fault = Fault::Reply(reply(text));
        assert_eq!(about(*stage, &fault), *expected, "{stage}: {text}");
        let is_for_good =
            text.starts_with('5') && matches!(expected, About::Recipient | About::Message);
        assert_eq!(is_permanent(*stage, &fault), is_for_good, "{stage}: {text}");
    }
}

#[test]
fn every_rule_decides_something() {
    let mut unused: Vec<usize> = (0..RULES.len()).collect();
    for (stage, text, _) in SAID {
        let reply = reply(text);
        let (status, text) = (status_of(&reply), words_of(&reply));
        let first = RULES
            .iter()
            .position(|rule| rule.fits(*stage, &reply, status, &text));
        unused.retain(|rule| Some(*rule) != first);
    }
    assert_eq!(unused, [0; 0], "rules that nothing said here meets");
}

#[test]
fn what_no_server_said_is_about_the_connection_or_the_message() {
    let broken = || Fault::Broken("reset".to_owned());
    assert_eq!(about(Stage::Connect, &broken()), About::Away);
    assert_eq!(about(Stage::Auth, &broken()), About::Away);
    assert_eq!(about(Stage::Rcpt, &broken()), About::Connection);
    let ours = Fault::Local("too large".to_owned());
    assert_eq!(about(Stage::Check, &ours), About::Message);
    assert!(is_permanent(Stage::Check, &ours) && !is_permanent(Stage::Rcpt, &broken()));
}
