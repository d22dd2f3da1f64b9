//! SQL text with numbered placeholders, for queries whose conditions vary.

use sqlx::any::{Any, AnyArguments, AnyRow};
use sqlx::{AnyPool, Arguments, AssertSqlSafe, Encode, Type};

use super::Fault;

/// A query in the making. The text comes from this program only, every value is bound.
pub(super) struct Text {
    sql: String,
    arguments: AnyArguments,
    conditions: usize,
}

impl Text {
    /// Begins with `SELECT … FROM …`.
    pub(super) fn new(sql: &'static str) -> Self {
        Self { sql: sql.to_owned(), arguments: AnyArguments::default(), conditions: 0 }
    }

    /// Adds text.
    pub(super) fn push(&mut self, sql: &'static str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// Adds a placeholder for `value`.
    pub(super) fn bind<'v, T>(&mut self, value: T) -> Result<&mut Self, Fault>
    where
        T: Encode<'v, Any> + Type<Any>,
    {
        self.arguments.add(value)?;
        self.sql.push('$');
        self.sql.push_str(&self.arguments.len().to_string());
        Ok(self)
    }

    /// Begins another condition; all must hold.
    pub(super) fn and(&mut self) -> &mut Self {
        self.sql.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        self
    }

    /// Adds `(v1, v2, …)`.
    pub(super) fn list<'v, T>(&mut self, values: impl Iterator<Item = T>) -> Result<(), Fault>
    where
        T: Encode<'v, Any> + Type<Any>,
    {
        let mut separator = '(';
        for value in values {
            self.sql.push(separator);
            self.bind(value)?;
            separator = ',';
        }
        self.sql.push(')');
        Ok(())
    }

    /// Adds the condition that `column` (written `… IN`) is among the values, unless there are
    /// none.
    pub(super) fn among<'v, T>(
        &mut self,
        column_in: &'static str,
        values: impl ExactSizeIterator<Item = T>,
    ) -> Result<(), Fault>
    where
        T: Encode<'v, Any> + Type<Any>,
    {
        if values.len() == 0 {
            return Ok(());
        }
        self.and().push(column_in);
        self.list(values)
    }

    /// The text and its values.
    pub(super) fn into_parts(self) -> (String, AnyArguments) {
        (self.sql, self.arguments)
    }

    /// All rows.
    pub(super) async fn fetch(self, pool: &AnyPool) -> Result<Vec<AnyRow>, Fault> {
        Ok(sqlx::query_with(AssertSqlSafe(self.sql), self.arguments).fetch_all(pool).await?)
    }
}

/// A text as both databases can store it: PostgreSQL knows no zero byte.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A count or number as the database keeps it; what is too large names nothing there.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
