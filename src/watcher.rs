//! Notices that a file has changed, the configuration's or a socket's, however an editor changes it: written in place, renamed over,
//! deleted and made again, a symlink pointed elsewhere. No polling: directories are watched, and the file is looked at
//! when something happens in one of them.

#[cfg(target_os = "linux")]
pub use linux::Watcher;
#[cfg(any(windows, target_os = "macos"))]
pub use notified::Watcher;

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use futures_util::StreamExt;
    use inotify::{EventStream, Inotify, WatchMask};

    /// An editor writes a file in several steps; this long nothing must have happened.
    const QUIET: Duration = Duration::from_millis(500);

    /// What tells one state of a file from another; none while it isn't there.
    type Look = Option<(u64, std::time::SystemTime, u64)>;

    fn look(path: &Path) -> Look {
        let found = std::fs::metadata(path).ok()?;
        Some((std::os::unix::fs::MetadataExt::ino(&found), found.modified().ok()?, found.len()))
    }

    /// The directories in which something can happen to the file: where it is, where each symlink on the way to it is, and
    /// the nearest one that exists where it isn't there yet.
    fn directories(file: &Path) -> BTreeSet<PathBuf> {
        const MAX_LINKS: usize = 16;
        let mut found = BTreeSet::new();
        let mut links = BTreeSet::new();
        let mut waiting = vec![file.to_owned()];
        while let Some(path) = waiting.pop()
            && links.len() < MAX_LINKS
        {
            for step in path.ancestors() {
                let Ok(about) = step.symlink_metadata() else { continue };
                if about.is_symlink()
                    && let (Some(directory), Ok(target)) = (step.parent(), step.read_link())
                    && links.insert(step.to_owned())
                {
                    found.insert(directory.to_owned());
                    waiting.push(directory.join(target));
                }
            }
            if let Some(nearest) = path.ancestors().skip(1).find(|directory| directory.is_dir()) {
                found.insert(nearest.to_owned());
            }
        }
        found
    }

    pub struct Watcher {
        file: PathBuf,
        last: Look,
        events: Option<Events>,
    }

    struct Events {
        stream: EventStream<[u8; 1024]>,
        watched: BTreeSet<PathBuf>,
    }

    impl Watcher {
        pub fn new(file: PathBuf) -> Self {
            let last = look(&file);
            Self { file, last, events: None }
        }

        /// Resolves when the file is another than at the last time, and has been left alone for a moment.
        pub async fn changed(&mut self) {
            loop {
                let watched = directories(&self.file);
                if self.events.as_ref().is_none_or(|events| events.watched != watched) {
                    match watch(&watched) {
                        Ok(stream) => self.events = Some(Events { stream, watched }),
                        Err(error) => {
                            let file = crate::paths::display(&self.file);
                            tracing::warn!("{file} is not watched for changes: {error}");
                            return std::future::pending().await;
                        }
                    }
                }
                // Looked at after the watch begins, so that nothing falls in between.
                if look(&self.file) != self.last {
                    self.wait_for_quiet().await;
                    let now = look(&self.file);
                    if now != self.last {
                        self.last = now;
                        return;
                    }
                }
                if let Some(events) = &mut self.events
                    && events.stream.next().await.is_none()
                {
                    self.events = None;
                }
            }
        }

        async fn wait_for_quiet(&mut self) {
            let Some(events) = &mut self.events else { return };
            while let Ok(Some(_)) = tokio::time::timeout(QUIET, events.stream.next()).await {}
        }
    }

    fn watch(directories: &BTreeSet<PathBuf>) -> std::io::Result<EventStream<[u8; 1024]>> {
        let inotify = Inotify::init()?;
        let mask = WatchMask::CREATE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::CLOSE_WRITE
            | WatchMask::MODIFY
            | WatchMask::DELETE_SELF
            | WatchMask::MOVE_SELF;
        for directory in directories {
            match inotify.watches().add(directory, mask) {
                // Gone again in the meantime: the directory above it is looked at next time.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => drop(other?),
            }
        }
        inotify.into_event_stream([0; 1024])
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::fs;
        use std::os::unix::fs::symlink;

        /// Changes the file in some way and waits until that is noticed.
        async fn noticed(watcher: &mut Watcher, change: impl FnOnce()) {
            let waiting = watcher.changed();
            tokio::pin!(waiting);
            // Once polled, it watches.
            assert!(futures_util::poll!(&mut waiting).is_pending());
            change();
            tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the change is noticed");
        }

        #[tokio::test]
        async fn every_way_in_which_editors_change_a_file() {
            let root = tempfile::tempdir().unwrap();
            let file = root.path().join("mailknock/config.toml");
            let mut watcher = Watcher::new(file.clone());
            noticed(&mut watcher, || {
                fs::create_dir(root.path().join("mailknock")).unwrap();
                fs::write(&file, "a").unwrap();
            })
            .await;
            noticed(&mut watcher, || fs::write(&file, "in place").unwrap()).await;
            noticed(&mut watcher, || {
                fs::write(root.path().join("new"), "renamed over").unwrap();
                fs::rename(root.path().join("new"), &file).unwrap();
            })
            .await;
            noticed(&mut watcher, || fs::remove_file(&file).unwrap()).await;
            noticed(&mut watcher, || fs::write(&file, "made again").unwrap()).await;
            noticed(&mut watcher, || {
                fs::write(root.path().join("one"), "behind a link").unwrap();
                fs::remove_file(&file).unwrap();
                symlink(root.path().join("one"), &file).unwrap();
            })
            .await;
            noticed(&mut watcher, || fs::write(root.path().join("one"), "the target has changed").unwrap()).await;
            noticed(&mut watcher, || {
                fs::write(root.path().join("two"), "the other").unwrap();
                symlink(root.path().join("two"), root.path().join("link")).unwrap();
                fs::rename(root.path().join("link"), &file).unwrap();
            })
            .await;
        }

        #[tokio::test]
        async fn a_directory_that_is_a_link_to_another_generation() {
            let root = tempfile::tempdir().unwrap();
            for generation in ["one", "two"] {
                fs::create_dir(root.path().join(generation)).unwrap();
                fs::write(root.path().join(generation).join("config.toml"), generation.repeat(2)).unwrap();
            }
            symlink(root.path().join("one"), root.path().join("current")).unwrap();
            let mut watcher = Watcher::new(root.path().join("current/config.toml"));
            noticed(&mut watcher, || {
                symlink(root.path().join("two"), root.path().join("next")).unwrap();
                fs::rename(root.path().join("next"), root.path().join("current")).unwrap();
            })
            .await;
        }
    }
}

#[cfg(any(windows, target_os = "macos"))]
mod notified {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
    use tokio::sync::Notify;

    /// An editor writes a file in several steps; this long nothing must have happened.
    const QUIET: Duration = Duration::from_millis(500);

    /// What tells one state of a file from another; none while it isn't there.
    type Look = Option<(SystemTime, u64)>;

    fn look(path: &Path) -> Look {
        let found = std::fs::metadata(path).ok()?;
        Some((found.modified().ok()?, found.len()))
    }

    /// Of links on the way to the file only the last step is watched: they are rare here.
    pub struct Watcher {
        file: PathBuf,
        last: Look,
        watching: Option<Watching>,
        happened: Arc<Notify>,
    }

    /// A thread of the system's, asleep until something happens.
    struct Watching {
        directory: PathBuf,
        _watcher: RecommendedWatcher,
    }

    impl Watcher {
        pub fn new(file: PathBuf) -> Self {
            let last = look(&file);
            Self { file, last, watching: None, happened: Arc::default() }
        }

        /// Resolves when the file is another than at the last time, and has been left alone for a moment.
        pub async fn changed(&mut self) {
            loop {
                // Where the file is, or the nearest that exists where it isn't there yet.
                let nearest = self.file.ancestors().skip(1).find(|directory| directory.is_dir());
                let nearest = nearest.unwrap_or(Path::new("."));
                if self.watching.as_ref().is_none_or(|watching| watching.directory != nearest) {
                    match watch(nearest, self.happened.clone()) {
                        Ok(watching) => self.watching = Some(watching),
                        Err(error) => {
                            let file = crate::paths::display(&self.file);
                            tracing::warn!("{file} is not watched for changes: {error}");
                            return std::future::pending().await;
                        }
                    }
                }
                // Looked at after the watch begins, so that nothing falls in between.
                if look(&self.file) != self.last {
                    while tokio::time::timeout(QUIET, self.happened.notified()).await.is_ok() {}
                    let now = look(&self.file);
                    if now != self.last {
                        self.last = now;
                        return;
                    }
                }
                self.happened.notified().await;
            }
        }
    }

    fn watch(directory: &Path, happened: Arc<Notify>) -> notify::Result<Watching> {
        let mut watcher = notify::recommended_watcher(move |_| happened.notify_one())?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Watching { directory: directory.to_owned(), _watcher: watcher })
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::fs;
        use std::task::Poll;

        async fn noticed(watcher: &mut Watcher, change: impl FnOnce()) {
            let waiting = watcher.changed();
            tokio::pin!(waiting);
            // Once polled, it watches.
            let is_pending = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
            assert!(is_pending);
            change();
            tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("the change is noticed");
        }

        #[tokio::test]
        async fn every_way_in_which_editors_change_a_file() {
            let root = tempfile::tempdir().unwrap();
            let file = root.path().join("a b ü/config.toml");
            let mut watcher = Watcher::new(file.clone());
            noticed(&mut watcher, || {
                fs::create_dir(root.path().join("a b ü")).unwrap();
                fs::write(&file, "a").unwrap();
            })
            .await;
            noticed(&mut watcher, || fs::write(&file, "in place").unwrap()).await;
            noticed(&mut watcher, || {
                fs::write(root.path().join("new"), "renamed over").unwrap();
                fs::rename(root.path().join("new"), &file).unwrap();
            })
            .await;
            noticed(&mut watcher, || fs::remove_file(&file).unwrap()).await;
            noticed(&mut watcher, || fs::write(&file, "made again").unwrap()).await;
        }
    }
}

/// Elsewhere a reload is asked for.
#[cfg(not(any(target_os = "linux", windows, target_os = "macos")))]
pub struct Watcher;

#[cfg(not(any(target_os = "linux", windows, target_os = "macos")))]
impl Watcher {
    pub fn new(_file: std::path::PathBuf) -> Self {
        Self
    }

    pub async fn changed(&mut self) {
        std::future::pending().await
    }
}
