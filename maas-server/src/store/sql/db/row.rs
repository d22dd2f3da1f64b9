//! Rows, read by the numbers of their columns.

use super::super::Fault;

/// One row of an answer.
pub(in super::super) enum Row {
    /// From a file.
    #[cfg(feature = "sqlite")]
    File(Vec<rusqlite::types::Value>),
    /// From a server.
    #[cfg(feature = "postgres")]
    Server(sqlx::postgres::PgRow),
}

impl Row {
    /// The value in a column.
    pub(in super::super) fn try_get<'r, T: Column<'r>>(&'r self, index: usize) -> Result<T, Fault> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(values) => {
                let value = values.get(index);
                value.and_then(T::of_file).ok_or_else(|| {
                    format!("column {index} has another type: {}", kind(value)).into()
                })
            }
            #[cfg(feature = "postgres")]
            Self::Server(row) => Ok(T::of_server(row, index)?),
        }
    }
}

/// A type for messages: what a row holds may be a secret.
#[cfg(feature = "sqlite")]
fn kind(value: Option<&rusqlite::types::Value>) -> String {
    value.map_or_else(|| "there is none".to_owned(), |value| value.data_type().to_string())
}

/// What a column can be read as.
pub(in super::super) trait Column<'r>: Sized {
    /// From a file's value; `None` when it is something else.
    #[cfg(feature = "sqlite")]
    fn of_file(value: &'r rusqlite::types::Value) -> Option<Self>;

    /// From a server's row.
    #[cfg(feature = "postgres")]
    fn of_server(row: &'r sqlx::postgres::PgRow, index: usize) -> Result<Self, sqlx::Error>;
}

/// sqlx knows the same types.
macro_rules! of_server {
    ($life:lifetime) => {
        #[cfg(feature = "postgres")]
        fn of_server(
            row: &$life sqlx::postgres::PgRow,
            index: usize,
        ) -> Result<Self, sqlx::Error> {
            sqlx::Row::try_get(row, index)
        }
    };
}

macro_rules! column {
    ($($type:ty, $variant:ident => $read:expr);* $(;)?) => {
        $(
            impl<'r> Column<'r> for $type {
                #[cfg(feature = "sqlite")]
                fn of_file(value: &'r rusqlite::types::Value) -> Option<Self> {
                    match value {
                        rusqlite::types::Value::$variant(value) => Some($read(value)),
                        _ => None,
                    }
                }

                of_server!('r);
            }

            impl<'r> Column<'r> for Option<$type> {
                #[cfg(feature = "sqlite")]
                fn of_file(value: &'r rusqlite::types::Value) -> Option<Self> {
                    match value {
                        rusqlite::types::Value::Null => Some(None),
                        value => <$type>::of_file(value).map(Some),
                    }
                }

                of_server!('r);
            }
        )*
    };
}

column! {
    i64, Integer => |number: &i64| *number;
    &'r str, Text => String::as_str;
    String, Text => String::clone;
    Vec<u8>, Blob => Vec::clone;
}
