//! Mails that come back: any mail gives an answer.
#![no_main]

use enlist::bounces::report::{Parts, Report, Verdict};
use libfuzzer_sys::fuzz_target;

fn read(mail: &[u8]) {
    let parts = Parts::of(mail);
    let _ = parts.decoded().count();
    if let Some(report) = Report::read(mail, &parts) {
        let _ = Verdict::of(&report, Some("ada@example.com")).against_the_address();
    }
}

fuzz_target!(|data: &[u8]| {
    read(data);
    // What is within reports, too, which bytes from nowhere seldom get to.
    for begin in [
        "Content-Type: message/delivery-status\r\n\r\n",
        "Content-Type: message/feedback-report\r\n\r\n",
        "Return-Path: <>\r\nSubject: undelivered\r\n\r\n",
        "Return-Path: <>\r\nSubject: undelivered\r\nContent-Type: text/html\r\n\r\n",
    ] {
        read(&[begin.as_bytes(), data].concat());
    }
});
