//! What becomes of chores, with chores that do nothing.

use super::*;

const PLACE: Place = Place::Ipvs;

fn shared() -> Shared {
    let board = Board::new(Duration::from_secs(60), None, None);
    let state = Mutex::new(State::new(ipvs_settings(&Settings::default())));
    Shared { state, wake: Condvar::new(), board }
}

/// Takes the chore that is there, whatever its time, and says what has come of it.
fn work_once(shared: &Shared) {
    let mut chore = shared.lock().chores.pop_front().unwrap();
    shared.lock().at_work = chore.place;
    let result = (chore.work)();
    shared.done(chore, result);
}

fn lines(shared: &Shared) -> Vec<String> {
    shared.board.state().leftovers.clone()
}

#[test]
fn what_drains_is_asked_soon_and_costs_no_try() {
    let shared = shared();
    let mut left = 8;
    let work = move || {
        left -= 1;
        Ok(if left == 0 { Retired::Gone(5) } else { Retired::Draining(format!("{left} connections end")) })
    };
    shared.add(Some(PLACE), Box::new(work));
    for left in (1..8).rev() {
        work_once(&shared);
        assert_eq!(lines(&shared), [format!("the old rules of mode ipvs stay until {left} connections end")]);
        let state = shared.lock();
        assert_eq!(state.chores[0].tries, 0);
        assert!(state.chores[0].at <= Instant::now() + DRAINING);
    }
    work_once(&shared);
    assert!(lines(&shared).is_empty() && shared.lock().chores.is_empty());
}

#[test]
fn a_place_that_is_wanted_again_is_let_alone() {
    let drains = || Box::new(|| Ok(Retired::Draining("1 connections end".into())));
    let janitor = Janitor { shared: Arc::new(shared()), takeover: false };
    janitor.shared.add(Some(PLACE), drains());
    work_once(&janitor.shared);
    assert!(janitor.shared.lock().knows(PLACE));
    assert!(janitor.leave(PLACE));
    assert!(!janitor.shared.lock().knows(PLACE) && lines(&janitor.shared).is_empty());

    // At this very moment.
    janitor.shared.add(Some(PLACE), drains());
    let chore = janitor.shared.lock().chores.pop_front().unwrap();
    janitor.shared.lock().at_work = Some(PLACE);
    assert!(!janitor.leave(PLACE));
    janitor.shared.done(chore, Ok(Retired::Draining("1 connections end".into())));
    assert!(!janitor.shared.lock().knows(PLACE) && lines(&janitor.shared).is_empty());
}

#[test]
fn a_failure_is_tried_again_and_shown() {
    let shared = shared();
    shared.add(Some(PLACE), Box::new(|| Err(anyhow::anyhow!("the lock is held"))));
    for tries in 1..7 {
        work_once(&shared);
        assert_eq!(lines(&shared), ["the old rules of mode ipvs are still there: the lock is held"]);
        assert_eq!(shared.lock().chores[0].tries, tries);
    }
}

#[test]
fn kube_proxys_are_given_up_in_the_end() {
    let shared = shared();
    shared.add(None, Box::new(|| Err(anyhow::anyhow!("no permission"))));
    (0..AGAIN.len()).for_each(|_| work_once(&shared));
    let line = "the old rules of kube-proxy are still there: no permission";
    assert_eq!(lines(&shared), [line]);
    work_once(&shared);
    assert!(shared.lock().chores.is_empty() && lines(&shared).is_empty());
}
