//! Enums as columns of text: whoever defines one needs to know nothing of a database.

use diesel::{
    deserialize::{self, FromSql},
    pg::{Pg, PgValue},
    sql_types::Text,
};

/// The value that is stored.
///
/// # Errors
/// What this version does not know.
pub fn read<T>(value: PgValue<'_>, from_name: fn(&str) -> Option<T>) -> deserialize::Result<T> {
    let name = <String as FromSql<Text, Pg>>::from_sql(value)?;
    Ok(known(&name, from_name)?)
}

fn known<T>(name: &str, from_name: fn(&str) -> Option<T>) -> Result<T, String> {
    from_name(name).ok_or_else(|| format!("this version does not know `{name}`"))
}

/// Lets each of these enums, made with `string_enum!`, be a column of text.
macro_rules! text_enum {
    ($($name:ty),+ $(,)?) => {$(
        impl ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, ::diesel::pg::Pg>,
            ) -> ::diesel::serialize::Result {
                <str as ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::to_sql(
                    self.as_str(),
                    out,
                )
            }
        }

        impl ::diesel::deserialize::FromSql<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            fn from_sql(value: ::diesel::pg::PgValue<'_>) -> ::diesel::deserialize::Result<Self> {
                $crate::db::text_enum::read(value, Self::from_name)
            }
        }

        impl ::diesel::deserialize::Queryable<::diesel::sql_types::Text, ::diesel::pg::Pg> for $name {
            type Row = Self;

            fn build(row: Self) -> ::diesel::deserialize::Result<Self> {
                Ok(row)
            }
        }

        impl ::diesel::serialize::ToSql<
            ::diesel::sql_types::Nullable<::diesel::sql_types::Text>, ::diesel::pg::Pg,
        > for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut ::diesel::serialize::Output<'b, '_, ::diesel::pg::Pg>,
            ) -> ::diesel::serialize::Result {
                <Self as ::diesel::serialize::ToSql<::diesel::sql_types::Text, ::diesel::pg::Pg>>::to_sql(
                    self, out,
                )
            }
        }

        $crate::db::text_enum::text_enum!(@expression $name, ::diesel::sql_types::Text);
        $crate::db::text_enum::text_enum!(
            @expression $name, ::diesel::sql_types::Nullable<::diesel::sql_types::Text>
        );
    )+};
    // As diesel's own derive has it.
    (@expression $name:ty, $sql:ty) => {
        impl ::diesel::expression::AsExpression<$sql> for $name {
            type Expression = ::diesel::internal::derives::as_expression::Bound<$sql, Self>;

            fn as_expression(self) -> Self::Expression {
                ::diesel::internal::derives::as_expression::Bound::new(self)
            }
        }

        impl ::diesel::expression::AsExpression<$sql> for &$name {
            type Expression = ::diesel::internal::derives::as_expression::Bound<$sql, Self>;

            fn as_expression(self) -> Self::Expression {
                ::diesel::internal::derives::as_expression::Bound::new(self)
            }
        }
    };
}

pub(crate) use text_enum;

use crate::model::{
    device::Platform,
    identity::Source,
    invitation::{DeliveryState, MessageKind, MessageState, Method, State},
    ownership::{Ownership, Reason},
};

text_enum!(
    Platform,
    Source,
    DeliveryState,
    MessageKind,
    MessageState,
    Method,
    State,
    Ownership,
    Reason,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_version_does_not_know_is_an_error_that_says_so() {
        assert_eq!(known("pending", State::from_name), Ok(State::Pending));
        for name in ["asleep", "", "Pending"] {
            let error = known(name, State::from_name).unwrap_err();
            assert_eq!(error, format!("this version does not know `{name}`"));
        }
    }
}
