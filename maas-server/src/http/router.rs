//! Finds the row for a path, a method and an operation name.

use std::collections::{HashMap, HashSet};

use http::Method;

use super::path::decode_segment;
use super::{API_ROOT, BodyRule, Operation, Problem};

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A path cannot be matched, or two rows' paths overlap.
    #[error("row {row}: the path {path} cannot be used: {reason}")]
    Path {
        /// The row.
        row: String,
        /// The path.
        path: String,
        /// What the matcher says.
        reason: String,
    },
    /// Two rows answer the same call.
    #[error("row {row} is in the table twice")]
    Twice {
        /// The row.
        row: String,
    },
    /// A resource of the API has two paths; clients know one (the other is an alias).
    #[error("row {row}: its resource has the path {path} already")]
    TwoPaths {
        /// The row.
        row: String,
        /// The path of the resource's first row.
        path: String,
    },
    /// A row without a sentence about itself.
    #[error("row {row} has no doc")]
    NoDoc {
        /// The row.
        row: String,
    },
}

/// The rows and where they are found.
#[derive(Debug)]
pub(super) struct Router<S> {
    pub(super) rows: Vec<Operation<S>>,
    paths: matchit::Router<usize>,
    entries: Vec<Vec<usize>>,
}

/// A path that exists.
#[derive(Debug)]
pub(super) struct Route {
    entry: usize,
    pub(super) params: Vec<(String, String)>,
    /// The canonical path without an `/op-NAME` suffix.
    pub(super) path: String,
    /// The name in that suffix.
    pub(super) op: Option<String>,
}

impl<S> Router<S> {
    pub(super) fn new(rows: Vec<Operation<S>>) -> Result<Self, TableError> {
        let mut paths = matchit::Router::new();
        let mut entries: Vec<Vec<usize>> = Vec::new();
        let mut by_pattern = HashMap::new();
        let mut seen = HashSet::new();
        let mut homes = HashMap::new();
        for (index, row) in rows.iter().enumerate() {
            let named = || format!("{row:?}");
            if row.doc.trim().is_empty() {
                return Err(TableError::NoDoc { row: named() });
            }
            if row.path.starts_with(API_ROOT) {
                let path: &str = homes.entry(row.resource).or_insert(row.path);
                if path != row.path {
                    return Err(TableError::TwoPaths { row: named(), path: path.to_owned() });
                }
            }
            for path in std::iter::once(row.path).chain(row.aliases.iter().copied()) {
                let pattern = match path.trim_end_matches('/') {
                    "" => "/",
                    trimmed => trimmed,
                };
                if !seen.insert((pattern, row.method.clone(), row.op)) {
                    return Err(TableError::Twice { row: named() });
                }
                if let Some(entry) = by_pattern.get(pattern) {
                    let known: Option<&mut Vec<usize>> = entries.get_mut(*entry);
                    known.into_iter().for_each(|rows| rows.push(index));
                    continue;
                }
                let refuse = |error: matchit::InsertError| TableError::Path {
                    row: named(),
                    path: path.to_owned(),
                    reason: error.to_string(),
                };
                paths.insert(pattern, entries.len()).map_err(refuse)?;
                by_pattern.insert(pattern, entries.len());
                entries.push(vec![index]);
            }
        }
        Ok(Self { rows, paths, entries })
    }

    /// Finds the path, which must be canonical. `/op-NAME` at its end is the operation, when the
    /// path before it has one of that name.
    pub(super) fn route(&self, path: &str) -> Option<Route> {
        if let Some((before, op)) = path.rsplit_once("/op-") {
            let found = self.at(before).filter(|_| !op.contains('/'));
            if let Some(mut route) = found.filter(|route| self.has_op(route, op)) {
                route.op = Some(op.to_owned());
                return Some(route);
            }
        }
        self.at(path)
    }

    fn at(&self, path: &str) -> Option<Route> {
        let found = self.paths.at(path).ok()?;
        let decode = |(name, value): (&str, &str)| (name.to_owned(), decode_segment(value));
        let params = found.params.iter().map(decode).collect();
        Some(Route { entry: *found.value, params, path: path.to_owned(), op: None })
    }

    fn has_op(&self, route: &Route, op: &str) -> bool {
        self.at_route(route).any(|row| row.op == Some(op))
    }

    fn at_route(&self, route: &Route) -> impl Iterator<Item = &Operation<S>> {
        let rows = self.entries.get(route.entry).map(Vec::as_slice).unwrap_or_default();
        rows.iter().filter_map(|index| self.rows.get(*index))
    }

    fn with_method(&self, route: &Route, method: &Method) -> impl Iterator<Item = &Operation<S>> {
        self.at_route(route).filter(move |row| row.method == *method)
    }

    /// Whether the operation's name may still be in the body.
    pub(super) fn op_may_be_in_body(&self, route: &Route, method: &Method) -> bool {
        let mut rows = self.with_method(route, method).peekable();
        rows.peek().is_some()
            && self.with_method(route, method).any(|row| row.op.is_some())
            && rows.all(|row| row.body != BodyRule::Stream)
    }

    /// The largest body any row of the path takes, `other` for those that do not say.
    pub(super) fn largest_body(&self, route: &Route, method: &Method, other: u64) -> u64 {
        let limits = self.with_method(route, method).map(|row| row.body_limit.unwrap_or(other));
        limits.max().unwrap_or(other)
    }

    /// The methods the path answers, for `Allow`.
    pub(super) fn allowed(&self, route: &Route) -> Vec<Method> {
        let mut methods = Vec::new();
        for row in self.at_route(route) {
            if !methods.contains(&row.method) {
                methods.push(row.method.clone());
            }
        }
        if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
            methods.push(Method::HEAD);
        }
        methods
    }

    /// 405 when no row of the path has the method.
    pub(super) fn check_method(&self, route: &Route, method: &Method) -> Result<(), Problem> {
        if self.with_method(route, method).next().is_some() {
            return Ok(());
        }
        Err(Problem::MethodNotAllowed { allow: self.allowed(route) })
    }

    /// The row, or 400 when the path has the method but not the operation.
    pub(super) fn select(
        &self,
        route: &Route,
        method: &Method,
        op: Option<&str>,
    ) -> Result<&Operation<S>, Problem> {
        self.with_method(route, method).find(|row| row.op == op).ok_or_else(|| {
            let op: String = op.unwrap_or("None").chars().take(100).collect();
            Problem::BadRequest(format!("Unrecognised signature: method={method} op={op}"))
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::{Reply, get};

    fn router(paths: &[&'static str]) -> Result<Router<()>, TableError> {
        let row = |path: &&'static str| get("X", path, "Reads.", |_, _| async { Ok(Reply::ok()) });
        Router::new(paths.iter().map(row).collect())
    }

    fn found(router: &Router<()>, path: &str) -> Option<(&'static str, Vec<String>)> {
        let route = router.route(path)?;
        let row = router.select(&route, &Method::GET, None).unwrap();
        Some((row.path, route.params.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn the_paths_of_a_rack_live_side_by_side() {
        let router = router(&[
            "/ipxe.cfg",
            "/ipxe.cfg-{name}",
            "/grub/grub.cfg",
            "/grub/grub.cfg-{name}",
            "/grub/{*rest}",
            "/pxelinux.cfg/{name}",
            "/images/{*rest}",
            "/MAAS/metadata/{version}/",
            "/MAAS/metadata/{version}/meta-data/{item}",
            "/MAAS/metadata/{v}/by-id/{system_id}/",
            "/MAAS/metadata/status/{system_id}",
            "/{*rest}",
        ])
        .unwrap();
        for (path, row, params) in [
            ("/ipxe.cfg", "/ipxe.cfg", vec![]),
            ("/ipxe.cfg-52:54", "/ipxe.cfg-{name}", vec!["52:54"]),
            ("/grub/grub.cfg-default-amd64", "/grub/grub.cfg-{name}", vec!["default-amd64"]),
            ("/grub/x86_64-efi/fs.lst", "/grub/{*rest}", vec!["x86_64-efi/fs.lst"]),
            ("/images/abc/kernel", "/images/{*rest}", vec!["abc/kernel"]),
            ("/bootx64.efi", "/{*rest}", vec!["bootx64.efi"]),
            ("/MAAS/metadata/latest", "/MAAS/metadata/{version}/", vec!["latest"]),
            ("/MAAS/metadata/status/abc", "/MAAS/metadata/status/{system_id}", vec!["abc"]),
            ("/MAAS/metadata/x/by-id/y", "/MAAS/metadata/{v}/by-id/{system_id}/", vec!["x", "y"]),
        ] {
            let params = params.into_iter().map(str::to_owned).collect();
            assert_eq!(found(&router, path), Some((row, params)), "{path}");
        }
    }

    #[test]
    fn one_pattern_has_one_set_of_names() {
        let error = router(&["/a/{b}", "/a/{c}"]).unwrap_err();
        assert!(matches!(error, TableError::Path { .. }), "{error}");
    }
}
