//! Workers: threads that do what may wait for the disk, so that the relay's thread does not.
//!
//! Jobs of one place are done one at a time, in their order. Most jobs do not wait, since the
//! system has a cache, and so one thread does them all, one after another: a change of threads
//! costs more than a job. While jobs wait, a second thread watches. If none was begun for a
//! while, the disk keeps the first waiting, and the second goes on with jobs of other places. A cold
//! read is known to wait, and so another thread goes on at once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use baton_systems::ports::Answer;
use baton_systems::requests::Place;
use mio::Waker;

/// Maximum number of threads: as many places can wait for slow disks until others wait for
/// them.
const THREADS_MAX: usize = 32;
/// Time after which a job is taken to wait for the disk, if other jobs wait for it.
const STALL: Duration = Duration::from_millis(1);
/// Time after which an idle thread ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Something to do. Not everything has an answer.
pub struct Job {
    /// It has little to do, and does not wait for all that have much.
    pub is_light: bool,
    pub work: Work,
}

pub type Work = Box<dyn FnOnce() -> Option<Answer> + Send>;

/// Places whose next job can be done, in turn: a light one and a heavy one alternate, so a light one
/// waits for one heavy one at most. A probe is the first of the light ones: all who make names wait
/// for it, and it does nothing that takes long.
#[derive(Default)]
struct Ready {
    light: VecDeque<Place>,
    heavy: VecDeque<Place>,
    /// The last one was light.
    is_heavy_next: bool,
}

impl Ready {
    fn push(&mut self, place: Place, is_light: bool) {
        let queue = if is_light {
            &mut self.light
        } else {
            &mut self.heavy
        };
        if place == Place::Probe {
            queue.push_front(place);
        } else {
            queue.push_back(place);
        }
    }

    fn pop(&mut self) -> Option<Place> {
        let is_light = !self.light.is_empty() && (self.heavy.is_empty() || !self.is_heavy_next);
        self.is_heavy_next = is_light;
        if is_light {
            self.light.pop_front()
        } else {
            self.heavy.pop_front()
        }
    }

    fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }
}

pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// There is a job to do or to watch, or the workers are to end.
    called: Condvar,
    /// Ends a poll of the relay.
    waker: Arc<Waker>,
}

#[derive(Default)]
struct State {
    /// Jobs that wait, by their place. A place is here while one of its jobs runs or waits.
    places: BTreeMap<Place, VecDeque<Job>>,
    /// Places of which no job runs, and at least one waits.
    ready: Ready,
    answers: Vec<Answer>,
    threads: usize,
    /// Threads that wait to be called.
    idle: usize,
    /// A thread was called, and has not come yet.
    is_called: bool,
    /// A thread waits for a stall.
    is_watched: bool,
    /// Threads that have a job and are not taken to wait for the disk.
    active: usize,
    /// Number of times that those were taken to wait.
    stalls: u64,
    /// Number of jobs that were begun.
    begun: u64,
    is_over: bool,
}

impl Workers {
    pub fn new(waker: Arc<Waker>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            called: Condvar::new(),
            waker,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Has a job done. If no thread can be started, it is done now.
    pub fn give(&self, place: &Place, job: Job) {
        let mut state = self.shared.state();
        if let Some(jobs) = state.places.get_mut(place) {
            jobs.push_back(job);
            return;
        }
        state.ready.push(place.clone(), job.is_light);
        let jobs = VecDeque::from([job]);
        state.places.insert(place.clone(), jobs);
        self.shared.call(&mut state);
        while state.threads == 0 && !state.ready.is_empty() {
            state = self.shared.do_next(state);
        }
    }

    /// Adds an answer to a job that needs no worker.
    pub fn answer(&self, answer: Answer) {
        self.shared.answer(&mut self.shared.state(), answer);
    }

    /// Adds the answers that have come.
    pub fn answers(&self, into: &mut Vec<Answer>) {
        into.append(&mut self.shared.state().answers);
    }
}

/// A job that panics ends the process, as a panic of the relay's thread does: its session would
/// wait for it for ever.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::process::abort();
    }
}

/// Jobs that are being done go on: a disk may not answer. Others are dropped.
impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.called.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer, and wakes the relay unless it was woken for those that are there.
    fn answer(&self, state: &mut State, answer: Answer) {
        let is_first = state.answers.is_empty();
        state.answers.push(answer);
        if is_first && let Err(reason) = self.waker.wake() {
            tracing::error!("cannot wake the relay for an answer of the disk: {reason}");
        }
    }

    /// Calls a thread if one is needed, to do a job or to watch.
    fn call(self: &Arc<Self>, state: &mut State) {
        let is_needed = state.active == 0 || !state.is_watched;
        if state.ready.is_empty() || !is_needed || state.is_called {
            return;
        }
        if state.idle > 0 {
            state.is_called = true;
            self.called.notify_one();
        } else if state.threads < THREADS_MAX {
            let shared = Arc::clone(self);
            let thread = thread::Builder::new().name("disk".to_owned());
            match thread.spawn(move || shared.work()) {
                Ok(_) => {
                    state.is_called = true;
                    state.threads += 1;
                }
                Err(reason) => tracing::warn!("cannot start a thread for the disk: {reason}"),
            }
        }
    }

    /// The work of a thread, until it was idle for a while.
    fn work(self: &Arc<Self>) {
        let mut state = self.state();
        state.is_called = false;
        while !state.is_over {
            if state.ready.is_empty() || state.active > 0 && state.is_watched {
                state.idle += 1;
                let (woken, is_late) = self.wait(state, IDLE_MAX);
                state = woken;
                state.idle -= 1;
                if is_late && state.ready.is_empty() {
                    break;
                }
            } else if state.active > 0 {
                state = self.watch(state);
            } else {
                state = self.do_next(state);
            }
        }
        state.threads -= 1;
    }

    /// Waits for a call; tells whether none came in time.
    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Duration,
    ) -> (MutexGuard<'a, State>, bool) {
        let waited = self.called.wait_timeout(state, time);
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        // It looks at what there is, whoever was called.
        state.is_called = false;
        (state, waited.timed_out())
    }

    /// Waits for a while. If no job was begun meanwhile, those that run wait for the disk.
    fn watch<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let begun = state.begun;
        state.is_watched = true;
        let (mut state, is_late) = self.wait(state, STALL);
        state.is_watched = false;
        if is_late && state.begun == begun {
            state.active = 0;
            state.stalls += 1;
        }
        state
    }

    /// Does the next job.
    fn do_next<'a>(self: &'a Arc<Self>, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let Some(place) = state.ready.pop() else {
            return state;
        };
        let job = state.places.get_mut(&place).and_then(VecDeque::pop_front);
        let is_active = !matches!(place, Place::Reads(_));
        state.active += usize::from(is_active);
        state.begun += 1;
        let stalls = state.stalls;
        self.call(&mut state);
        drop(state);
        let bomb = Bomb;
        let answer = job.and_then(|job| (job.work)());
        std::mem::forget(bomb);
        let mut state = self.state();
        if is_active && state.stalls == stalls {
            state.active -= 1;
        }
        let next = state.places.get(&place).and_then(VecDeque::front);
        if let Some(is_light) = next.map(|job| job.is_light) {
            state.ready.push(place, is_light);
        } else {
            state.places.remove(&place);
        }
        if let Some(answer) = answer {
            self.answer(&mut state, answer);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use baton_components::path::RelativePath;
    use baton_components::waits::Ticket;
    use baton_systems::requests::Outcome;
    use mio::{Events, Poll, Token};

    use super::*;

    struct Test {
        poll: Poll,
        workers: Workers,
        answers: Vec<Answer>,
    }

    impl Test {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let waker = Waker::new(poll.registry(), Token(1)).unwrap();
            Self {
                workers: Workers::new(Arc::new(waker)),
                poll,
                answers: Vec::new(),
            }
        }

        /// Gives a job that waits for its message.
        fn give(&self, place: &str, ticket: u64) -> mpsc::Sender<()> {
            let place = RelativePath::parse(place.as_bytes()).unwrap();
            self.give_at(&Place::Name(place), ticket)
        }

        fn give_at(&self, place: &Place, ticket: u64) -> mpsc::Sender<()> {
            let (sender, receiver) = mpsc::channel();
            let job = move || {
                receiver.recv().unwrap();
                Some(Answer {
                    ticket: Ticket(ticket),
                    outcome: Ok(Outcome::Done),
                })
            };
            let (is_light, work) = (false, Box::new(job));
            self.workers.give(place, Job { is_light, work });
            sender
        }

        /// Polls until there are as many answers; gives their tickets.
        fn wait(&mut self, count: usize) -> Vec<u64> {
            let mut events = Events::with_capacity(8);
            while self.answers.len() < count {
                self.poll.poll(&mut events, None).unwrap();
                self.workers.answers(&mut self.answers);
            }
            let answers = self.answers.drain(..);
            answers.map(|answer| answer.ticket.0).collect()
        }
    }

    #[test]
    fn jobs_of_a_place_are_done_in_order_and_others_do_not_wait_for_them() {
        let mut test = Test::new();
        let slow = test.give("slow", 1);
        let after: Vec<_> = (2..5).map(|ticket| test.give("slow", ticket)).collect();
        for sender in &after {
            sender.send(()).unwrap();
        }
        for ticket in 5..8 {
            test.give("other", ticket).send(()).unwrap();
        }
        assert_eq!(test.wait(3), [5, 6, 7]);
        slow.send(()).unwrap();
        assert_eq!(test.wait(4), [1, 2, 3, 4]);
    }

    #[test]
    fn a_job_does_not_wait_for_reads_that_hang() {
        let mut test = Test::new();
        let reads: Vec<_> = (1..9)
            .map(|at| test.give_at(&Place::Reads(at), at))
            .collect();
        while test.workers.shared.state().begun < reads.len() as u64 {
            thread::yield_now();
        }
        assert_eq!(
            test.workers.shared.state().stalls,
            0,
            "one had to be watched"
        );
        test.give("quick", 0).send(()).unwrap();
        assert_eq!(test.wait(1), [0]);
        for sender in &reads {
            sender.send(()).unwrap();
        }
        assert_eq!(test.wait(reads.len()).len(), reads.len());
    }

    #[test]
    fn a_light_job_waits_for_one_heavy_one_at_most() {
        let mut ready = Ready::default();
        for at in 0..3 {
            ready.push(Place::Reads(at), false);
        }
        for at in 3..6 {
            ready.push(Place::Reads(at), true);
        }
        let order = std::iter::from_fn(|| ready.pop());
        let order: Vec<_> = order.collect();
        assert_eq!(order, [3, 0, 4, 1, 5, 2].map(Place::Reads));
        assert!(ready.is_empty());
    }

    #[test]
    fn a_probe_waits_for_no_light_job() {
        let mut ready = Ready::default();
        ready.push(Place::Reads(0), false);
        ready.push(Place::Reads(1), true);
        ready.push(Place::Probe, true);
        assert_eq!(ready.pop(), Some(Place::Probe));
    }

    #[test]
    fn as_many_places_as_there_are_threads_may_be_slow() {
        let mut test = Test::new();
        let slow: Vec<_> = (1..THREADS_MAX as u64)
            .map(|ticket| test.give(&format!("slow{ticket}"), ticket))
            .collect();
        test.give("quick", 0).send(()).unwrap();
        assert_eq!(test.wait(1), [0]);
        for sender in &slow {
            sender.send(()).unwrap();
        }
        assert_eq!(test.wait(slow.len()).len(), slow.len());
        assert!(test.workers.shared.state().places.is_empty());
    }
}
