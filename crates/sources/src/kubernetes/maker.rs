//! Making the client: beside everything else, one at a time, and without giving up the last one that was good.
//!
//! Files are read and the credential plugin runs on a thread of its own: watches, pings and the order to stop go on.
//! What cannot be made anew, since a file is being edited or the plugin fails, leaves the client of before in use.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use kube::Client;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::access::Access;
use super::connect::client;
use super::failure::Failure;
use super::link::About;
use super::reason::Reason;
use super::{KubernetesError, Limits};

/// Has the client, and makes it anew when credentials change.
pub(super) struct Maker {
    access: Access,
    limits: Limits,
    made: RefCell<Option<Made>>,
    /// There is to be another one.
    renew: Cell<bool>,
    /// Why there is no other one yet.
    stale: RefCell<Option<String>>,
    generation: Cell<u64>,
    about: RefCell<About>,
    making: Mutex<Option<Making>>,
}

/// A client.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) client: Client,
    pub(super) token_file: Option<Arc<Path>>,
    pub(super) generation: u64,
    /// Who we are is told by a program, which is run again when what it gave has expired.
    pub(super) runs_program: bool,
    digest: u64,
}

/// One on its way.
struct Making {
    since: Instant,
    work: JoinHandle<Result<Fresh, KubernetesError>>,
}

struct Fresh {
    client: Client,
    digest: u64,
    token_file: Option<Arc<Path>>,
    runs_program: bool,
    about: About,
}

/// Why there is none.
struct Unmade {
    why: String,
    /// It takes too long.
    late: bool,
}

impl Maker {
    /// Makes none yet.
    pub(super) fn new(access: Access, limits: Limits) -> Self {
        let about =
            About { url: "the API server".into(), ca: "its CA".into(), who: "the credentials".into() };
        Self {
            access,
            limits,
            made: RefCell::default(),
            renew: Cell::new(false),
            stale: RefCell::default(),
            generation: Cell::new(0),
            about: RefCell::new(about),
            making: Mutex::default(),
        }
    }

    /// Whether the server's address is a ClusterIP.
    pub(super) fn is_cluster_ip(&self) -> bool {
        self.access.is_cluster_ip()
    }

    /// What the present client talks to, or the last one did.
    pub(super) fn about(&self) -> About {
        self.about.borrow().clone()
    }

    /// The number of the client that would be used now; 0 when it must be made first.
    pub(super) fn generation(&self) -> u64 {
        if self.renew.get() { 0 } else { self.generation.get() }
    }

    /// The next request makes a new client, unless that has happened since this one.
    pub(super) fn discard(&self, generation: u64) {
        if self.generation.get() == generation {
            self.renew.set(true);
        }
    }

    /// Looks whether the files of the credentials have changed: a new client is made if so. Watches that are open go on.
    pub(super) fn refresh(&self) {
        let known = self.made.borrow().as_ref().map(|made| (made.digest, made.generation));
        if let Some((digest, generation)) = known.filter(|_| !self.renew.get())
            && self.access.find().is_ok_and(|found| found.digest != digest)
        {
            tracing::info!("kubernetes: credentials have changed, connecting anew");
            self.discard(generation);
        }
    }

    /// A failure, and that its credentials may be to blame, if they are not the ones that should be in use.
    pub(super) fn blame(&self, mut failure: Failure) -> Failure {
        if let Some(why) = &*self.stale.borrow() {
            failure.text.push_str(&format!("; newer credentials cannot be used: {why}"));
        }
        failure
    }

    /// The client.
    pub(super) async fn made(&self) -> Result<Made, Failure> {
        if let Some(made) = self.usable() {
            return Ok(made);
        }
        let mut making = self.making.lock().await;
        // Another request has waited for the same.
        if let Some(made) = self.usable() {
            return Ok(made);
        }
        match self.fresh(&mut making).await {
            Ok(fresh) => Ok(self.adopt(fresh)),
            Err(unmade) => self.go_on(unmade),
        }
    }

    fn usable(&self) -> Option<Made> {
        self.made.borrow().clone().filter(|_| !self.renew.get())
    }

    /// Waits for the client that is being made; begins to make one if none is. A plugin cannot be ended: one that hangs
    /// is left alone after a while, and run again.
    async fn fresh(&self, slot: &mut Option<Making>) -> Result<Fresh, Unmade> {
        let (limit, again) = (self.limits.answer, self.limits.ask_again);
        let making = slot.get_or_insert_with(|| self.begin());
        let since = making.since;
        let left = limit.saturating_sub(since.elapsed());
        let ended = tokio::time::timeout(left, &mut making.work).await;
        if ended.is_ok() || since.elapsed() >= limit + again {
            *slot = None;
        }
        let late = ended.is_err();
        let why = match ended {
            Ok(Ok(Ok(fresh))) => return Ok(fresh),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "reading the credentials has failed inside this program".into(),
            Err(_) => {
                format!(
                    "no credentials within {limit:?}: a credential plugin hangs, or a file cannot be read"
                )
            }
        };
        Err(Unmade { why, late })
    }

    fn begin(&self) -> Making {
        let (access, limits) = (self.access.clone(), self.limits.clone());
        Making { since: Instant::now(), work: tokio::task::spawn_blocking(move || make(&access, &limits)) }
    }

    fn adopt(&self, fresh: Fresh) -> Made {
        let Fresh { client, digest, token_file, runs_program, about } = fresh;
        let generation = self.generation.get() + 1;
        let made = Made { client, token_file, generation, runs_program, digest };
        self.generation.set(generation);
        self.about.replace(about);
        self.made.replace(Some(made.clone()));
        self.renew.set(false);
        if self.stale.take().is_some() {
            tracing::info!("kubernetes: the newer credentials are in use");
        }
        made
    }

    /// There is no new client: the last one will do, if there is one.
    fn go_on(&self, Unmade { why, late }: Unmade) -> Result<Made, Failure> {
        // The last one would run the plugin that hangs once more, and once more with each request.
        let last = self.made.borrow().clone().filter(|last| !(late && last.runs_program));
        let Some(last) = last else {
            return Err(Failure::new(Reason::Unauthorized, why));
        };
        if self.stale.borrow().as_ref() != Some(&why) {
            tracing::warn!("kubernetes: going on with the credentials of before: {why}");
            self.stale.replace(Some(why));
        }
        Ok(last)
    }
}

fn make(access: &Access, limits: &Limits) -> Result<Fresh, KubernetesError> {
    let found = access.find()?;
    let client = client(&found, limits)?;
    let url = found.config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let about = About { url, ca: found.ca, who: found.who };
    let (digest, runs_program) = (found.digest, found.runs_program);
    Ok(Fresh { client, digest, token_file: found.token_file.map(Arc::from), runs_program, about })
}
