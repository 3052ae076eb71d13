//! How text is folded and searched, in functions of the database.

use diesel::{define_sql_function, sql_types::Text};

define_sql_function! {
    /// The pattern that a `search_text` is compared with.
    fn enlist_part(value: Text) -> Text;
}

define_sql_function! {
    /// The other pattern, of a word that may be written in another way: NULL for all others.
    fn enlist_part_spelled_out(value: Text) -> Nullable<Text>;
}
