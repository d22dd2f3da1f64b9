//! Small objects of many kinds in one table, with typed access.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::error::{Cause, DocumentError, StoreError};

/// A small object that the store keeps as JSON: a boot source, a zone, a configuration value…
pub trait Document: Serialize + DeserializeOwned + Send + Sync {
    /// The name of the kind, e.g. `boot-source`; part of the database's format.
    const KIND: &'static str;

    /// What is unique within the kind, if anything, e.g. a zone's name.
    fn key(&self) -> Option<Cow<'_, str>> {
        None
    }
}

/// A document with its number and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// Its number within the kind, from 1 on; never given twice.
    pub id: u64,
    /// Counts its changes, from 1 on.
    pub version: u64,
    /// The document.
    pub value: T,
}

/// A document as the database keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDocument {
    /// Its number within the kind.
    pub id: u64,
    /// Counts its changes.
    pub version: u64,
    /// What is unique within the kind.
    pub key: Option<String>,
    /// JSON.
    pub body: String,
}

/// Typed access to documents.
impl dyn Store {
    /// The document with this number.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails or its document cannot be read.
    pub async fn find<T: Document>(&self, id: u64) -> Result<Option<Stored<T>>, StoreError> {
        self.document(T::KIND, id).await?.map(read).transpose()
    }

    /// The document with this key.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails or its document cannot be read.
    pub async fn by_key<T: Document>(&self, key: &str) -> Result<Option<Stored<T>>, StoreError> {
        self.document_by_key(T::KIND, key).await?.map(read).transpose()
    }

    /// All documents of the kind, by number; one query.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the database fails or a document cannot be read.
    pub async fn list<T: Document>(&self) -> Result<Vec<Stored<T>>, StoreError> {
        self.documents(T::KIND).await?.into_iter().map(read).collect()
    }

    /// Adds a document under the next number.
    ///
    /// # Errors
    ///
    /// [`DocumentError::DuplicateKey`], or the database's failure.
    pub async fn insert<T: Document>(&self, value: T) -> Result<Stored<T>, DocumentError> {
        let id = self.insert_document(T::KIND, key(&value), write(&value)?).await?;
        Ok(Stored { id, version: 1, value })
    }

    /// Replaces the document that `stored` was loaded as.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Conflict`] when it has changed since, [`DocumentError::Gone`] when it was
    /// deleted, [`DocumentError::DuplicateKey`], or the database's failure.
    pub async fn update<T: Document>(&self, stored: Stored<T>) -> Result<Stored<T>, DocumentError> {
        let Stored { id, version, value } = stored;
        self.update_document(T::KIND, id, version, key(&value), write(&value)?).await?;
        Ok(Stored { id, version: version + 1, value })
    }

    /// Adds the document, or replaces the one with the same key; the last writer wins.
    ///
    /// # Errors
    ///
    /// The database's failure, or [`DocumentError::Conflict`] when others keep replacing the same
    /// document. A document without a key is always added.
    pub async fn put<T: Document>(&self, value: T) -> Result<Stored<T>, DocumentError> {
        const ATTEMPTS: usize = 16;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let old = match key(&value) {
                Some(key) => self.by_key::<T>(&key).await?,
                None => None,
            };
            let body = write(&value)?;
            let result = match &old {
                None => self.insert_document(T::KIND, key(&value), body).await.map(|id| (id, 1)),
                Some(old) => self
                    .update_document(T::KIND, old.id, old.version, key(&value), body)
                    .await
                    .map(|()| (old.id, old.version + 1)),
            };
            match result {
                Ok((id, version)) => return Ok(Stored { id, version, value }),
                Err(DocumentError::Backend(error)) => return Err(error.into()),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Removes the document in this version.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Conflict`] when it has changed since, [`DocumentError::Gone`] when it was
    /// deleted, or the database's failure.
    pub async fn remove<T: Document>(&self, id: u64, version: u64) -> Result<(), DocumentError> {
        self.delete_document(T::KIND, id, version).await
    }
}

fn key<T: Document>(value: &T) -> Option<String> {
    value.key().map(Cow::into_owned)
}

fn write<T: Document>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Body { kind: T::KIND, source: Cause::of(&error) })
}

fn read<T: Document>(raw: RawDocument) -> Result<Stored<T>, StoreError> {
    let value = serde_json::from_str(&raw.body)
        .map_err(|error| StoreError::Body { kind: T::KIND, source: Cause::of(&error) })?;
    Ok(Stored { id: raw.id, version: raw.version, value })
}
