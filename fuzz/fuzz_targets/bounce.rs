//! Delivery status reports: any mail gives an answer.
#![no_main]

use enlist::bounces::report;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = report::read(data);
    // What is within a report, too, which bytes from nowhere seldom get to.
    let mut mail = b"Content-Type: message/delivery-status\r\n\r\n".to_vec();
    mail.extend_from_slice(data);
    let _ = report::read(&mail);
});
