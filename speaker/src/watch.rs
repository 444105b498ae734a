//! Tells when the configuration file has changed, however it is changed: written in place, replaced by
//! an editor that renames, or behind a symbolic link that is swapped, as Kubernetes does with a
//! ConfigMap.
//!
//! Every directory that is passed on the way to the file is watched for the one name that matters in
//! it. What is told is that the content is another one; whether it is right is for others to say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use crate::config;

/// How long a file must have been left alone before it is read: some write it several times.
const QUIET: Duration = Duration::from_millis(200);
/// How long it may be written to again and again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked at where the system does not tell of changes.
const POLL: Duration = Duration::from_secs(5);
/// Symbolic links on the way to a file, as the kernel has it.
const MAX_LINKS: usize = 40;

/// Of a directory: what may change what a name in it means. A file that is being written counts when
/// it is closed.
const CHANGES: WatchFlags = WatchFlags::CLOSE_WRITE
    .union(WatchFlags::CREATE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::ONLYDIR);

/// Watches a file while it is on.
#[derive(Debug)]
pub(crate) struct FileWatch {
    file: PathBuf,
    changes: UnboundedSender<()>,
    watching: Option<JoinHandle<()>>,
}

impl FileWatch {
    /// One that is off. `changes` is told when the file has another content than when it was last told,
    /// and once at the beginning.
    pub(crate) const fn new(file: PathBuf, changes: UnboundedSender<()>) -> Self {
        Self {
            file,
            changes,
            watching: None,
        }
    }

    /// Turns it on or off.
    pub(crate) fn set(&mut self, on: bool) {
        if on == self.watching.is_some() {
            return;
        }
        match self.watching.take() {
            Some(watching) => watching.abort(),
            None => {
                let watching = watch(self.file.clone(), self.changes.clone());
                self.watching = Some(tokio::spawn(watching));
            }
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// Runs until nobody listens any more.
async fn watch(file: PathBuf, changes: UnboundedSender<()>) {
    let mut told = None;
    let mut complained = false;
    loop {
        // The way may be another one after each change.
        let watches = Watches::of(&trail(&file));
        let found = content(&file);
        if told != Some(found) {
            told = Some(found);
            if changes.send(()).is_err() {
                return;
            }
        }
        let changed = match watches {
            Ok(watches) => watches.settled_change().await,
            Err(error) => Err(error),
        };
        if let Err(error) = changed {
            if !std::mem::replace(&mut complained, true) {
                warn!(
                    "{}: the system does not tell when it changes, so it is looked at every {POLL:?}: {error}",
                    file.display()
                );
            }
            sleep(POLL).await;
        }
    }
}

/// Something that differs where the content does; `None` for a file that cannot be read.
fn content(file: &Path) -> Option<u64> {
    let octets = config::read_file(file).ok()?;
    let mut hasher = DefaultHasher::new();
    octets.hash(&mut hasher);
    Some(hasher.finish())
}

/// The directories on the way to a file, links followed, and the names that matter in each.
fn trail(file: &Path) -> BTreeMap<PathBuf, BTreeSet<OsString>> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut trail: BTreeMap<PathBuf, BTreeSet<OsString>> = BTreeMap::new();
    let mut here = PathBuf::from("/");
    let mut ahead = names(&absolute);
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            here.pop();
            continue;
        }
        trail.entry(here.clone()).or_default().insert(name.clone());
        match fs::read_link(here.join(&name)) {
            Ok(target) if links < MAX_LINKS => {
                links += 1;
                if target.is_absolute() {
                    here = PathBuf::from("/");
                }
                ahead = names(&target).into_iter().chain(ahead).collect();
            }
            _ => here.push(&name),
        }
    }
    trail
}

/// The parts of a path, without those that say nothing.
fn names(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// What the kernel tells of some directories.
struct Watches {
    /// Not a pipe; what tokio knows of pipes, that they become readable, is true of it too.
    inotify: pipe::Receiver,
    watched: BTreeMap<i32, (PathBuf, BTreeSet<OsString>)>,
}

impl Watches {
    fn of(trail: &BTreeMap<PathBuf, BTreeSet<OsString>>) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let mut watched = BTreeMap::new();
        for (directory, names) in trail {
            match inotify::add_watch(&inotify, directory, CHANGES) {
                Ok(watch) => drop(watched.insert(watch, (directory.clone(), names.clone()))),
                // What is not there is told of by what is above it.
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(Self {
            inotify: pipe::Receiver::from_file_unchecked(File::from(inotify))?,
            watched,
        })
    }

    /// Returns when something has changed, and nothing does any more.
    async fn settled_change(&self) -> io::Result<()> {
        self.change().await?;
        let latest = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                changed = self.change() => changed?,
                () = sleep(QUIET) => return Ok(()),
                () = sleep_until(latest) => return Ok(()),
            }
        }
    }

    async fn change(&self) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            self.inotify.readable().await?;
            match self.inotify.try_read(&mut buffer) {
                Ok(length) if self.has_change(buffer.get(..length).unwrap_or_default()) => {
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether something that matters is among what has happened, in the form of inotify(7).
    fn has_change(&self, mut events: &[u8]) -> bool {
        let mut changed = false;
        while let Some((head, rest)) = events.split_first_chunk::<16>() {
            let [watch, what, _cookie, length] = words(head);
            let (name, rest) = rest.split_at(rest.len().min(length as usize));
            let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
            let what = ReadFlags::from_bits_retain(what);
            changed |= self.matters(watch.cast_signed(), what, OsStr::from_bytes(name));
            events = rest;
        }
        changed
    }

    fn matters(&self, watch: i32, what: ReadFlags, name: &OsStr) -> bool {
        if what.contains(ReadFlags::QUEUE_OVERFLOW) {
            return true;
        }
        let Some((directory, names)) = self.watched.get(&watch) else {
            return false;
        };
        let is_being_written = || {
            let found = fs::symlink_metadata(directory.join(name));
            found.is_ok_and(|found| found.is_file() && found.nlink() == 1)
        };
        names.contains(name) && !(what.contains(ReadFlags::CREATE) && is_being_written())
    }
}

/// The four numbers that an event begins with.
fn words(head: &[u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    let (chunks, _) = head.as_chunks::<4>();
    for (word, octets) in words.iter_mut().zip(chunks) {
        *word = u32::from_ne_bytes(*octets);
    }
    words
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::timeout;

    use super::*;

    /// A watched file that has been told of once.
    struct Scene {
        directory: tempfile::TempDir,
        changes: UnboundedReceiver<()>,
        _watch: FileWatch,
    }

    impl Scene {
        /// `prepare` makes the file, whose path it tells.
        async fn new(prepare: impl FnOnce(&Path) -> PathBuf) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let file = prepare(directory.path());
            let (sender, changes) = unbounded_channel();
            let mut watch = FileWatch::new(file, sender);
            watch.set(true);
            let mut scene = Self {
                directory,
                changes,
                _watch: watch,
            };
            scene.changed("at the beginning").await;
            scene
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        async fn changed(&mut self, what: &str) {
            let change = timeout(Duration::from_secs(30), self.changes.recv()).await;
            assert_eq!(change, Ok(Some(())), "{what}");
        }

        /// Long after it would have been told.
        async fn unchanged(&mut self, what: &str) {
            let change = timeout(Duration::from_secs(1), self.changes.recv()).await;
            assert!(change.is_err(), "{what}");
        }
    }

    fn plain(directory: &Path) -> PathBuf {
        let file = directory.join("herald.toml");
        fs::write(&file, "one").unwrap();
        file
    }

    #[tokio::test]
    async fn a_file_is_written_in_place_or_replaced() {
        let mut scene = Scene::new(plain).await;
        let file = scene.path("herald.toml");
        fs::write(&file, "two").unwrap();
        scene.changed("written").await;
        // As vim does.
        fs::rename(&file, scene.path("herald.toml~")).unwrap();
        fs::write(&file, "three").unwrap();
        fs::remove_file(scene.path("herald.toml~")).unwrap();
        scene.changed("renamed and written anew").await;
        // As careful programs do.
        fs::write(scene.path("new"), "four").unwrap();
        fs::rename(scene.path("new"), &file).unwrap();
        scene.changed("replaced").await;
        fs::remove_file(&file).unwrap();
        scene.changed("removed").await;
        fs::write(&file, "five").unwrap();
        scene.changed("back").await;
        scene.unchanged("and that is all").await;
    }

    #[tokio::test]
    async fn several_writes_are_one_change() {
        let mut scene = Scene::new(plain).await;
        for number in 0..20 {
            fs::write(scene.path("herald.toml"), format!("{number}")).unwrap();
            sleep(QUIET / 20).await;
        }
        scene.changed("written").await;
        scene.unchanged("once").await;
    }

    #[tokio::test]
    async fn what_leaves_the_content_as_it_is_is_no_change() {
        let mut scene = Scene::new(plain).await;
        fs::write(scene.path("herald.toml"), "one").unwrap();
        fs::write(scene.path("another.toml"), "two").unwrap();
        scene.unchanged("the same").await;
    }

    #[tokio::test]
    async fn a_file_counts_when_it_is_closed() {
        use std::io::Write;
        let mut scene = Scene::new(plain).await;
        fs::remove_file(scene.path("herald.toml")).unwrap();
        scene.changed("removed").await;
        let mut file = File::create(scene.path("herald.toml")).unwrap();
        file.write_all(b"tw").unwrap();
        scene.unchanged("half of it").await;
        file.write_all(b"o").unwrap();
        drop(file);
        scene.changed("all of it").await;
    }

    /// herald.toml -> ..data/herald.toml, ..data -> ..2026_1, and `..data` is swapped.
    #[tokio::test]
    async fn a_config_map_is_swapped_behind_its_link() {
        let mut scene = Scene::new(|directory| {
            fs::create_dir(directory.join("..2026_1")).unwrap();
            fs::write(directory.join("..2026_1/herald.toml"), "one").unwrap();
            symlink("..2026_1", directory.join("..data")).unwrap();
            symlink("..data/herald.toml", directory.join("herald.toml")).unwrap();
            directory.join("herald.toml")
        })
        .await;
        for number in 2..4 {
            let version = format!("..2026_{number}");
            fs::create_dir(scene.path(&version)).unwrap();
            fs::write(scene.path(&version).join("herald.toml"), &version).unwrap();
            symlink(&version, scene.path("..data_tmp")).unwrap();
            fs::rename(scene.path("..data_tmp"), scene.path("..data")).unwrap();
            fs::remove_dir_all(scene.path(&format!("..2026_{}", number - 1))).unwrap();
            scene.changed(&version).await;
        }
        // What is behind the links is watched too.
        fs::write(scene.path("..2026_3/herald.toml"), "in place").unwrap();
        scene.changed("in place").await;
    }

    #[tokio::test]
    async fn a_directory_may_come_later() {
        let mut scene = Scene::new(|directory| directory.join("etc/herald/herald.toml")).await;
        let new = scene.path("new");
        fs::create_dir_all(new.join("herald")).unwrap();
        fs::write(new.join("herald/herald.toml"), "one").unwrap();
        fs::rename(new, scene.path("etc")).unwrap();
        scene.changed("it is there").await;
        fs::rename(scene.path("etc"), scene.path("gone")).unwrap();
        scene.changed("it has gone").await;
    }

    #[test]
    fn a_trail_follows_links_and_ends_in_loops() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        symlink("b", root.join("a")).unwrap();
        symlink("a", root.join("b")).unwrap();
        let trail = trail(&root.join("x/../a"));
        assert_eq!(trail[&root], ["a", "b", "x"].map(OsString::from).into());
        assert!(trail.contains_key(Path::new("/")));
    }
}
