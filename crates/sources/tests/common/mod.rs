//! A directory, a running `Manifests`, and the changes that it sends, as short texts.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use model::Change;
use towpath_sources::{Manifests, ManifestsError, Stopper, stop_pair};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A directory of one test, removed at its end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("towpath-manifests-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes beside it, then renames over it.
    pub fn replace(&self, name: &str, text: &str) {
        let temporary = self.path(".new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.path(name)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A source at work.
pub struct Running {
    changes: Receiver<Change>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<Result<(), ManifestsError>>>,
    markers: u32,
}

/// What a first list brings, as short texts.
pub fn load(path: &Path) -> Vec<String> {
    let mut seen = Vec::new();
    let mut manifests = Manifests::open(path).unwrap();
    manifests
        .load(&mut |change| {
            seen.push(short(&change));
            true
        })
        .unwrap();
    seen
}

impl Running {
    /// Loads, and starts to watch; also the first list.
    pub fn start(path: &Path) -> (Self, Vec<String>) {
        Self::start_after(path, || {})
    }

    /// The same, with something done between the first list and the first look at events.
    pub fn start_after(path: &Path, between: impl FnOnce()) -> (Self, Vec<String>) {
        Self::begin(Manifests::open(path).unwrap(), between)
    }

    /// The same with a source that was opened already.
    pub fn begin(mut manifests: Manifests, between: impl FnOnce()) -> (Self, Vec<String>) {
        let mut first = Vec::new();
        manifests
            .load(&mut |change| {
                first.push(short(&change));
                true
            })
            .unwrap();
        between();
        let (sender, changes) = channel();
        let (stopper, signal) = stop_pair().unwrap();
        let thread =
            std::thread::spawn(move || manifests.run(&signal, &mut |change| sender.send(change).is_ok()));
        (Self { changes, stopper: Some(stopper), thread: Some(thread), markers: 0 }, first)
    }

    /// The next change.
    pub fn next(&self) -> String {
        loop {
            match self.changes.recv_timeout(PATIENCE).expect("no change came") {
                Change::BatchBegins | Change::BatchEnds => {}
                change => return short(&change),
            }
        }
    }

    /// The next `count` changes.
    pub fn take(&self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next()).collect()
    }

    /// Every change up to now: a bad file is written behind what was done before, and its Problem waited for,
    /// which is the last thing to come even if all was handled at once.
    pub fn settle(&mut self, scratch: &Scratch) -> Vec<String> {
        self.markers += 1;
        let name = format!("marker {}!", self.markers);
        scratch.write("zz-marker.yaml", format!("kind: Node\nmetadata: {{name: {name}}}\n"));
        let is_marker = |text: &String| text.starts_with("problem zz-marker.yaml") && text.contains(&name);
        std::iter::from_fn(|| Some(self.next())).take_while(|text| !is_marker(text)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stopper.take());
        let result = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(result, Some(Ok(Ok(())))), "{result:?}");
        }
    }
}

/// A change in a few words; of paths only the last part.
pub fn short(change: &Change) -> String {
    let file = |origin: &str| origin.rsplit('/').next().unwrap_or_default().to_owned();
    match change {
        Change::Service(s) => {
            let ports: Vec<String> = s.ports.iter().map(|p| p.port.to_string()).collect();
            format!("service {} {}", s.name, ports.join(","))
        }
        Change::ServiceGone(name) => format!("service gone {name}"),
        Change::Slice(s) => format!("slice {} of {} x{}", s.name, s.service, s.endpoints.len()),
        Change::SliceGone(name) => format!("slice gone {name}"),
        Change::Node(node) => format!("node {}", node.name),
        Change::Namespace(namespace) => format!("namespace {}", namespace.name),
        Change::NamespaceGone(name) => format!("namespace gone {name}"),
        Change::Problem(p) => {
            format!(
                "problem {} | {} | {} | {}",
                file(&p.subject.origin),
                p.subject.object,
                p.field,
                p.message
            )
        }
        Change::ProblemSolved(s) => format!("solved {} | {}", file(&s.origin), s.object),
        Change::Synced(name) => format!("synced {name}"),
        Change::Cause(cause) => {
            let gone = if cause.gone { " gone" } else { "" };
            format!("cause {} {} {}{gone}", cause.kind, cause.name, cause.version.as_deref().unwrap_or("-"))
        }
        other => format!("{other:?}"),
    }
}

/// A Service manifest with one port.
pub fn service(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: None, ports: [{{port: {port}}}]}}\n"
    )
}

/// Several documents in one text.
pub fn documents(parts: &[String]) -> String {
    parts.join("---\n")
}

/// Asserts that the texts begin as expected, one by one.
#[track_caller]
pub fn assert_starts(found: &[String], expected: &[&str]) {
    let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.starts_with(e));
    assert!(fits, "found {found:#?}\nexpected {expected:#?}");
}
