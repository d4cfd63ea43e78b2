//! `[tls]`: the certificate that the listener shows, with IMSErious' keys.

use std::path::PathBuf;
use std::time::Duration;

use super::listen::path;
use crate::document::Table;
use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM: our certificate first, then those that lead to a root.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
    /// Both are read again this often.
    pub periodic_reload: Option<Duration>,
}

impl Tls {
    pub(super) fn read(table: &Table<'_, '_>) -> Option<Self> {
        let file = |key: &'static str| match table.get(key) {
            Some(value) => path(&value),
            None => {
                table.report(Problem::error(format!("`tls.{key}` is missing")));
                None
            }
        };
        let (cert, key) = (file("cert"), file("key"));
        let periodic_reload = table.duration("periodic_reload");
        Some(Self { cert: cert?, key: key?, periodic_reload })
    }
}
