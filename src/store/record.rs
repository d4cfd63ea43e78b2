//! The record on disk: SQLite, written in one transaction for each turn of the loop.
//!
//! The write-ahead log with `synchronous = NORMAL` survives our crash and a kill at any moment, and waits for no disk
//! when it commits. Checkpoints do wait, so they run elsewhere when nothing happens. Where the disk fails us, the
//! table in memory goes on and is written whole as soon as the disk is there again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, Transaction, params};

use super::seen::MAX_IDENTITIES;
use super::{Change, Delivery, DeliveryState, Entry, Loaded, RunId};
use crate::event::{EntryId, Event};
use crate::paths;
use crate::process::GroupId;
use crate::schema::{Content, EventJson, Retention};
use crate::status::Paused;

/// Of the layout below. A record with a larger number is a newer program's and is left alone.
const LAYOUT: i32 = 1;
const TABLES: &str = "
    CREATE TABLE entry (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, noise INTEGER NOT NULL, event TEXT NOT NULL);
    CREATE TABLE delivery (entry INTEGER NOT NULL, handler TEXT NOT NULL, state INTEGER NOT NULL, run INTEGER,
        crashes INTEGER NOT NULL, outcome TEXT, PRIMARY KEY (entry, handler)) WITHOUT ROWID;
    CREATE INDEX of_kind ON entry (noise);
    CREATE INDEX unfinished ON delivery (entry) WHERE state < 2;
    CREATE INDEX of_run ON delivery (run) WHERE run IS NOT NULL;
    CREATE TABLE run (id INTEGER PRIMARY KEY, pgid INTEGER NOT NULL, started INTEGER NOT NULL, boot TEXT NOT NULL);
    CREATE TABLE seen (n INTEGER PRIMARY KEY, identity INTEGER NOT NULL UNIQUE);
    CREATE TABLE last (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO last VALUES ('entry', 0), ('run', 0);
";
/// Another process may hold the lock for a moment; senders are answered within a second whatever happens.
const PATIENCE: Duration = Duration::from_millis(400);
/// Pruning looks at every entry, so it waits for so many new ones, or for a quiet moment.
const PRUNED_AFTER: usize = 256;
/// At most so many old entries go with one write: a clock that jumps ahead must not take the record with it.
const PRUNED_AT_ONCE: i64 = 20;

/// Why there is no record on disk, or not all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is a newer program's.
    Newer,
    /// What the system said.
    Disk(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Newer => f.write_str("the record was written by a newer version; events are kept in memory only"),
            Self::Disk(why) => write!(f, "the record can't be written: {why}; events are kept in memory"),
        }
    }
}

#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    retention: Retention,
    connection: Option<Connection>,
    fault: Option<Fault>,
    /// Changes were missed; only all of memory makes it whole again.
    is_behind: bool,
    writes_since_checkpoint: u32,
    accepted_since_pruning: usize,
}

impl Record {
    /// Opens or begins the record and reads what it holds. One that can't be read is moved aside; gives the words for
    /// that, where it happened.
    pub fn open(path: &Path, retention: Retention) -> (Self, Loaded, Option<String>) {
        let mut record = Self {
            path: path.to_owned(),
            retention,
            connection: None,
            fault: None,
            is_behind: false,
            writes_since_checkpoint: 0,
            accepted_since_pruning: 0,
        };
        let mut moved = None;
        let mut loaded = record.connect().and_then(|connection| load(connection));
        if let Err(Failure::Corrupt) = loaded {
            moved = Some(record.move_aside());
            loaded = record.connect().and_then(|connection| load(connection));
        }
        let loaded = loaded.unwrap_or_else(|failure| {
            record.fault = Some(failure.into());
            record.is_behind = true;
            // What it holds is unknown, and must not be overwritten when it can be written after all: nobody has ever
            // counted as far as this.
            let beyond = Timestamp::now().as_millisecond().unsigned_abs();
            Loaded { last_entry: beyond, last_run: beyond, ..Loaded::default() }
        });
        (record, loaded, moved)
    }

    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    pub fn retain(&mut self, retention: Retention) {
        self.retention = retention;
    }

    /// The process groups of earlier lives have been ended; their numbers will be somebody else's.
    pub fn forget_groups(&mut self) {
        let forgotten = self.connection.as_ref().map(|connection| connection.execute("DELETE FROM run", []));
        if let Some(Err(error)) = forgotten {
            tracing::debug!("the ledger of runs: {error}");
        }
    }

    /// Whether the next write must be a snapshot.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Writes changes in one transaction; after a failure a snapshot of everything. True where they are on disk.
    pub fn write(&mut self, changes: &[Change]) -> bool {
        if matches!(self.fault, Some(Fault::Newer)) {
            return false;
        }
        let mut written = self.try_write(changes);
        if let Err(Failure::Other(_)) = written {
            // A new connection next time: the disk may be another by then.
            self.connection = None;
        }
        if let Err(Failure::Corrupt) = written {
            tracing::warn!("{}", self.move_aside());
            // The new one begins with these; what else is in memory follows with the next write.
            written = self.try_write(changes);
            self.is_behind = true;
            return written.is_ok();
        }
        self.fault = written.err().map(Fault::from);
        self.is_behind = self.fault.is_some();
        !self.is_behind
    }

    fn try_write(&mut self, changes: &[Change]) -> Result<(), Failure> {
        let retention = self.retention;
        let accepted = changes.iter().filter(|change| matches!(change, Change::Put { .. })).count();
        let unpruned = self.accepted_since_pruning + accepted;
        let transaction = self.connect()?.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for change in changes {
            apply(&transaction, change, retention.content)?;
        }
        let is_pruned = unpruned >= PRUNED_AFTER;
        if is_pruned {
            prune(&transaction, retention)?;
        }
        transaction.commit()?;
        self.accepted_since_pruning = if is_pruned { 0 } else { unpruned };
        self.writes_since_checkpoint += 1;
        Ok(())
    }

    /// What can wait until nothing happens: old entries go, and what has been written moves from the log into the
    /// database. Gives the part that waits for the disk, for a thread of its own.
    pub fn tidy(&mut self) -> Option<impl FnOnce() + Send + 'static + use<>> {
        if self.accepted_since_pruning > 0
            && let Some(connection) = &mut self.connection
        {
            self.accepted_since_pruning = 0;
            let pruned = connection.transaction().map_err(Failure::from).and_then(|transaction| {
                prune(&transaction, self.retention)?;
                Ok(transaction.commit()?)
            });
            if let Err(failure) = pruned {
                tracing::debug!("pruning: {failure}");
            }
        }
        self.checkpoint()
    }

    /// Whether [`Record::tidy`] has anything to do.
    pub fn is_untidy(&self) -> bool {
        self.writes_since_checkpoint > 0
    }

    fn checkpoint(&mut self) -> Option<impl FnOnce() + Send + 'static + use<>> {
        if std::mem::take(&mut self.writes_since_checkpoint) == 0 || self.connection.is_none() {
            return None;
        }
        let path = self.path.clone();
        Some(move || {
            let done = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| {
                connection.busy_timeout(Duration::from_secs(1))?;
                connection.pragma_update(None, "synchronous", "NORMAL")?;
                // Nobody may write during the second; so the disk has its time in the first.
                connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
                connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
                // The first write into an empty log waits for the disk, in case old entries follow it: there are none.
                connection.pragma_update(None, "synchronous", "OFF")?;
                connection.execute("UPDATE last SET value = value WHERE name = 'entry'", []).map(drop)
            });
            if let Err(error) = done {
                tracing::debug!("checkpoint: {error}");
            }
        })
    }

    /// The connection, begun where there is none.
    fn connect(&mut self) -> Result<&mut Connection, Failure> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.begin()?,
        };
        Ok(self.connection.insert(connection))
    }

    fn begin(&self) -> Result<Connection, Failure> {
        create_private(&self.path)?;
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(PATIENCE)?;
        let layout = layout(&connection)?;
        if layout == 0 {
            // There is nothing yet that a power cut could take.
            connection.pragma_update(None, "synchronous", "OFF")?;
        }
        // The log needs memory that processes share, which network file systems don't give.
        let journal = if paths::is_on_network(&self.path) { "TRUNCATE" } else { "WAL" };
        connection.query_row(&format!("PRAGMA journal_mode = {journal}"), [], |_| Ok(()))?;
        // Closing must not wait for the disk either.
        connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.execute_batch(
            "PRAGMA wal_autocheckpoint = 0; PRAGMA cache_size = -256; PRAGMA foreign_keys = OFF;
             PRAGMA temp_store = MEMORY;",
        )?;
        if layout == 0 {
            connection.execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {LAYOUT}; COMMIT"))?;
        }
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        Ok(connection)
    }

    fn move_aside(&mut self) -> String {
        self.connection = None;
        let aside = self.path.with_extension("damaged");
        let moved = fs::rename(&self.path, &aside);
        for end in ["-wal", "-shm", "-journal"] {
            let mut name = self.path.clone().into_os_string();
            name.push(end);
            // What belongs to the old database must not be taken for the new one's.
            let _ = fs::remove_file(name);
        }
        match moved {
            Ok(()) => format!("the record was damaged; it is now {} and a new one begins", aside.display()),
            Err(error) => format!("the record is damaged and can't be moved aside: {error}"),
        }
    }
}

/// Reads entries for people: the newest first, at most `limit`, of those events that are wanted.
pub fn recent(path: &Path, limit: usize, is_wanted: impl Fn(&Event) -> bool) -> Result<Vec<Entry>, String> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let read = || -> Result<Vec<Entry>, Failure> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(2))?;
        if layout(&connection)? == 0 {
            return Ok(Vec::new());
        }
        let mut statement = connection.prepare("SELECT id, at, event FROM entry ORDER BY id DESC")?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let Some(mut entry) = entry(row)? else { continue };
            if !is_wanted(&entry.event) {
                continue;
            }
            entry.deliveries = deliveries(&connection, entry.id)?;
            found.push(entry);
        }
        Ok(found)
    };
    read().map_err(|failure| failure.to_string())
}

/// Takes everything out that is finished; gives how many entries went.
pub fn clear(path: &Path) -> Result<usize, String> {
    if !path.exists() {
        return Ok(0);
    }
    let clear = || -> Result<usize, Failure> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        if layout(&connection)? == 0 {
            return Ok(0);
        }
        // What is deleted is overwritten, and nothing of it stays in the log.
        connection.pragma_update(None, "secure_delete", "ON")?;
        let gone =
            connection.execute("DELETE FROM entry WHERE id NOT IN (SELECT entry FROM delivery WHERE state < 2)", [])?;
        connection.execute("DELETE FROM delivery WHERE entry NOT IN (SELECT id FROM entry)", [])?;
        // Pages that were given up before hold what nobody overwrote.
        connection.execute_batch("PRAGMA temp_store = MEMORY; VACUUM")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(gone)
    };
    clear().map_err(|failure| failure.to_string())
}

/// 0 for a record that is still empty.
fn layout(connection: &Connection) -> Result<i32, Failure> {
    match connection.query_row("PRAGMA user_version", [], |row| row.get(0))? {
        layout if layout > LAYOUT => Err(Failure::Newer),
        layout => Ok(layout),
    }
}

/// Whether any text of the event that people see holds the words, whatever their case.
pub fn holds(event: &Event, search: &str) -> bool {
    let search = search.to_lowercase();
    crate::handler::FIELDS
        .iter()
        .any(|name| crate::handler::field(event, name).is_some_and(|text| text.to_lowercase().contains(&search)))
}

#[derive(Debug)]
enum Failure {
    Corrupt,
    Newer,
    Other(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Corrupt => f.write_str("the record is damaged"),
            Self::Newer => f.write_str("the record was written by a newer version"),
            Self::Other(why) => write!(f, "the record can't be used: {why}"),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt,
            // Tables that aren't as they should be, of a record that says it is ours.
            _ if matches!(&error, rusqlite::Error::SqlInputError { .. }) => Self::Corrupt,
            Some(ErrorCode::Unknown) => Self::Corrupt,
            // A value of another type than any that we write.
            None if matches!(
                &error,
                rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..)
            ) =>
            {
                Self::Corrupt
            }
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Newer => Self::Newer,
            Failure::Corrupt => Self::Disk("it is damaged".to_owned()),
            Failure::Other(why) => Self::Disk(why),
        }
    }
}

/// The file, empty, for our eyes only: SQLite would make it readable to everybody.
fn create_private(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        paths::make_private(directory)?;
    }
    let mut options = fs::OpenOptions::new();
    match paths::private(options.write(true).create_new(true)).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

const WAITING: i64 = 0;
const RUNNING: i64 = 1;
const FINISHED: i64 = 2;

fn apply(transaction: &Transaction<'_>, change: &Change, content: Content) -> Result<(), Failure> {
    let each = |sql: &str, handler: &str, entries: &[EntryId], value: &dyn rusqlite::ToSql| -> Result<(), Failure> {
        let mut statement = transaction.prepare_cached(sql)?;
        for id in entries {
            statement.execute(params![signed(id.0), handler, value])?;
        }
        Ok(())
    };
    match change {
        Change::Put { entry, identity } => put(transaction, entry, *identity, content)?,
        Change::Completed { id, event, read, identity } => {
            let text = at_rest(event, *read, content);
            transaction
                .prepare_cached("UPDATE entry SET event = ?2 WHERE id = ?1")?
                .execute(params![signed(id.0), text])?;
            remember(transaction, *identity)?;
        }
        Change::Read { id, read } => {
            let sql =
                "UPDATE entry SET event = json_set(event, '$.read', json(?2)) WHERE id = ?1 AND json_valid(event)";
            transaction.prepare_cached(sql)?.execute(params![signed(id.0), if *read { "true" } else { "false" }])?;
        }
        Change::Routed { id, deliveries } => {
            transaction.prepare_cached("DELETE FROM delivery WHERE entry = ?1")?.execute([signed(id.0)])?;
            put_deliveries(transaction, *id, deliveries)?;
        }
        Change::Started { run, handler, entries } => {
            let sql =
                "UPDATE delivery SET state = 1, run = ?3, crashes = crashes + 1 WHERE entry = ?1 AND handler = ?2";
            each(sql, handler, entries, &signed(run.0))?;
            transaction.prepare_cached("UPDATE last SET value = ?1 WHERE name = 'run'")?.execute([signed(run.0)])?;
        }
        Change::Settled { handler, entries } => {
            each("UPDATE delivery SET crashes = ?3 WHERE entry = ?1 AND handler = ?2", handler, entries, &0)?;
        }
        Change::Interrupted { run, handler, entries } => {
            each("UPDATE delivery SET crashes = ?3 WHERE entry = ?1 AND handler = ?2", handler, entries, &0)?;
            transaction.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([signed(run.0)])?;
        }
        Change::Waiting { handler, entries } => {
            let sql = "UPDATE delivery SET state = ?3, run = NULL, crashes = 0 WHERE entry = ?1 AND handler = ?2";
            each(sql, handler, entries, &WAITING)?;
        }
        Change::Finished { run, handler, entries, outcome } => {
            let sql = "UPDATE delivery SET state = 2, run = NULL, outcome = ?3 WHERE entry = ?1 AND handler = ?2";
            each(sql, handler, entries, outcome)?;
            if let Some(run) = run {
                transaction.prepare_cached("DELETE FROM run WHERE id = ?1")?.execute([signed(run.0)])?;
            }
        }
        Change::Paused(pause) => {
            let value = match pause {
                // Quiet hours are in the configuration.
                None | Some(Paused::Quiet(_)) => None,
                Some(Paused::UntilResumed) => Some(i64::MAX),
                Some(Paused::Until(end)) => Some(end.as_second()),
            };
            transaction.prepare_cached("DELETE FROM last WHERE name = 'paused'")?.execute([])?;
            transaction
                .prepare_cached("INSERT INTO last SELECT 'paused', ?1 WHERE ?1 IS NOT NULL")?
                .execute([value])?;
        }
        Change::Group { run, group } => {
            let sql = "INSERT OR REPLACE INTO run VALUES (?1, ?2, ?3, ?4)";
            let values = params![signed(run.0), group.id, signed(group.started), group.boot];
            transaction.prepare_cached(sql)?.execute(values)?;
        }
    }
    Ok(())
}

fn put(transaction: &Transaction<'_>, entry: &Entry, identity: Option<u64>, content: Content) -> Result<(), Failure> {
    let id = signed(entry.id.0);
    let text = at_rest(&entry.event, entry.read, content);
    transaction.prepare_cached("INSERT OR REPLACE INTO entry VALUES (?1, ?2, ?3, ?4)")?.execute(params![
        id,
        entry.at.as_millisecond(),
        entry.event.is_noise(),
        text
    ])?;
    transaction.prepare_cached("UPDATE last SET value = max(value, ?1) WHERE name = 'entry'")?.execute([id])?;
    put_deliveries(transaction, entry.id, &entry.deliveries)?;
    remember(transaction, identity)
}

fn put_deliveries(transaction: &Transaction<'_>, id: EntryId, deliveries: &[Delivery]) -> Result<(), Failure> {
    for delivery in deliveries {
        let (state, run, outcome) = match &delivery.state {
            DeliveryState::Waiting => (WAITING, None, None),
            DeliveryState::Running(run) => (RUNNING, Some(signed(run.0)), None),
            DeliveryState::Finished(outcome) => (FINISHED, None, Some(outcome)),
        };
        transaction
            .prepare_cached("INSERT OR REPLACE INTO delivery VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![signed(id.0), delivery.handler, state, run, delivery.crashes, outcome])?;
    }
    Ok(())
}

fn at_rest(event: &Event, read: bool, content: Content) -> String {
    let mut json = EventJson::new(event);
    json.read = read;
    json.at_rest(content)
}

fn remember(transaction: &Transaction<'_>, identity: Option<u64>) -> Result<(), Failure> {
    if let Some(identity) = identity {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO seen (identity) VALUES (?1)")?
            .execute([identity.cast_signed()])?;
    }
    Ok(())
}

/// Lets go of the oldest finished entries, by number and by age, a few at a time.
fn prune(transaction: &Transaction<'_>, retention: Retention) -> Result<(), Failure> {
    let finished = "NOT EXISTS (SELECT 1 FROM delivery WHERE entry = entry.id AND state < 2)";
    for noise in [false, true] {
        let count: i64 = transaction
            .prepare_cached("SELECT count(*) FROM entry WHERE noise = ?1")?
            .query_row([noise], |row| row.get(0))?;
        let excess = count - i64::from(retention.keep);
        if excess > 0 {
            transaction
                .prepare_cached(&format!(
                    "DELETE FROM entry WHERE id IN (SELECT id FROM entry WHERE noise = ?1 AND {finished} ORDER BY id LIMIT ?2)"
                ))?
                .execute(params![noise, excess])?;
        }
    }
    let oldest = Timestamp::now().checked_sub(retention.max_age).unwrap_or(Timestamp::MIN);
    transaction
        .prepare_cached(&format!(
            "DELETE FROM entry WHERE id IN (SELECT id FROM entry WHERE at < ?1 AND {finished} ORDER BY id LIMIT ?2)"
        ))?
        .execute(params![oldest.as_millisecond(), PRUNED_AT_ONCE])?;
    transaction
        .prepare_cached("DELETE FROM delivery WHERE entry < (SELECT coalesce(min(id), 0) FROM entry)")?
        .execute([])?;
    transaction
        .prepare_cached("DELETE FROM seen WHERE n <= (SELECT max(n) FROM seen) - ?1")?
        .execute([MAX_IDENTITIES as i64])?;
    Ok(())
}

fn load(connection: &Connection) -> Result<Loaded, Failure> {
    let mut loaded = Loaded::default();
    let last = |name: &str| {
        connection.query_row("SELECT value FROM last WHERE name = ?1", [name], |row| row.get::<_, i64>(0)).optional()
    };
    loaded.last_entry = last("entry")?.map_or(0, i64::cast_unsigned);
    loaded.last_run = last("run")?.map_or(0, i64::cast_unsigned);
    loaded.paused = last("paused")?.map(|end| match Timestamp::from_second(end) {
        Ok(end) if end < Timestamp::MAX => Paused::Until(end),
        _ => Paused::UntilResumed,
    });
    let mut statement = connection.prepare(
        "SELECT id, at, event FROM entry WHERE id IN (SELECT entry FROM delivery WHERE state < 2)
         UNION SELECT * FROM (SELECT id, at, event FROM entry WHERE NOT noise ORDER BY id DESC LIMIT 30)
         UNION SELECT * FROM (SELECT id, at, event FROM entry WHERE noise ORDER BY id DESC LIMIT 30) ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(mut entry) = entry(row)? else { continue };
        entry.deliveries = deliveries(connection, entry.id)?;
        loaded.entries.push(entry);
    }
    let mut statement = connection.prepare("SELECT identity FROM seen ORDER BY n")?;
    let identities = statement.query_map([], |row| row.get::<_, i64>(0))?;
    loaded.identities = identities.map(|identity| identity.map(i64::cast_unsigned)).collect::<Result<_, _>>()?;
    let mut statement = connection.prepare("SELECT pgid, started, boot FROM run")?;
    let groups = statement.query_map([], |row| {
        Ok(GroupId { id: row.get(0)?, started: row.get::<_, i64>(1)?.cast_unsigned(), boot: row.get(2)? })
    })?;
    loaded.groups = groups.collect::<Result<_, _>>()?;
    Ok(loaded)
}

/// None for an entry that can't be read: the others are worth more than the whole.
fn entry(row: &Row<'_>) -> Result<Option<Entry>, Failure> {
    let id: i64 = row.get(0)?;
    let read = || {
        let at = Timestamp::from_millisecond(row.get(1).ok()?).ok()?;
        let text = row.get_ref(2).ok()?;
        let json = serde_json::from_slice::<EventJson>(text.as_bytes().ok()?).ok()?;
        let (id, read) = (EntryId(id.cast_unsigned()), json.read);
        Some(Entry { id, at, read, event: Arc::new(json.into_event()), deliveries: Vec::new() })
    };
    Ok(read())
}

fn deliveries(connection: &Connection, id: EntryId) -> Result<Vec<Delivery>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT handler, state, run, crashes, outcome FROM delivery WHERE entry = ?1")?;
    let deliveries = statement.query_map([signed(id.0)], |row| {
        let state = match row.get(1)? {
            WAITING => DeliveryState::Waiting,
            RUNNING => DeliveryState::Running(RunId(row.get::<_, Option<i64>>(2)?.unwrap_or(0).cast_unsigned())),
            _ => DeliveryState::Finished(row.get::<_, Option<String>>(4)?.unwrap_or_default()),
        };
        let handler: String = row.get(0)?;
        Ok(Delivery { handler: handler.into(), state, crashes: row.get(3)?, redelivered: false })
    })?;
    Ok(deliveries.collect::<Result<_, _>>()?)
}

/// SQLite's integers are signed; our numbers never come near.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
