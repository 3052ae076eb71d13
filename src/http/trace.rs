//! W3C Trace Context: the trace that a request belongs to. Pure.

/// A trace, as the header `traceparent` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// 32 digits of hexadecimal.
    pub id: String,
    flags: String,
}

fn is_id(text: &str, length: usize) -> bool {
    text.len() == length
        && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        && text.bytes().any(|b| b != b'0')
}

impl Trace {
    /// Reads a header's value. One that is none is passed over (§3.2.2.5), and one of a later version read as far as this one
    /// knows it.
    pub fn read(value: &str) -> Option<Self> {
        let mut parts = value.trim().split('-');
        let (version, id, parent, flags) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_hex = |text: &str| is_id(text, 2) || text == "00";
        let is_known = is_hex(version) && version != "ff" && is_hex(flags);
        let is_all = version != "00" || parts.next().is_none();
        (is_known && is_all && is_id(id, 32) && is_id(parent, 16)).then(|| Self {
            id: id.to_owned(),
            flags: flags.to_owned(),
        })
    }

    /// The header's value for what this service does within the trace, by a number that nobody else has.
    pub fn with_parent(&self, parent: u64) -> String {
        format!("00-{}-{:016x}-{}", self.id, parent.max(1), self.flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_as_it_is_and_what_is_none_is_passed_over() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        let good = format!("00-{id}-{parent}-01");
        let read = Trace::read(&good).unwrap();
        assert_eq!(read.id, id);
        assert_eq!(
            read.with_parent(0x1234),
            format!("00-{id}-0000000000001234-01")
        );
        assert!(Trace::read(&format!("cc-{id}-{parent}-00-what-comes")).is_some());
        let none = "0".repeat(32);
        for bad in [
            String::new(),
            "00".into(),
            format!("ff-{id}-{parent}-01"),
            format!("00-{none}-{parent}-01"),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{}-{parent}-01", id.to_uppercase()),
            format!("00-{id}-{parent}-01-more"),
            format!("00-{id}-{parent}"),
            format!("00-{id}-{parent}-0"),
            format!("00-{}-{parent}-01", &id[1..]),
        ] {
            assert_eq!(Trace::read(&bad), None, "{bad}");
        }
    }
}
