//! Workers: threads that do what may wait for the disk, so that the relay's thread does not.
//!
//! Jobs of one place are done one at a time, in their order, so one place has one thread at
//! most. Threads are started when there is nobody to do a job, and end when they were idle
//! for a while.

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
/// Time after which an idle thread ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Something to do. Not everything has an answer.
pub type Job = Box<dyn FnOnce() -> Option<Answer> + Send>;

pub struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// There is a place whose jobs wait, or the workers are to end.
    called: Condvar,
    /// A place has no jobs any more.
    done: Condvar,
    /// Ends a poll of the relay.
    waker: Arc<Waker>,
}

#[derive(Default)]
struct State {
    /// Jobs that wait, by their place. A place is here while one of its jobs runs or waits.
    places: BTreeMap<Place, VecDeque<Job>>,
    /// Places of which no job runs.
    ready: VecDeque<Place>,
    answers: Vec<Answer>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl Workers {
    pub fn new(waker: Arc<Waker>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            called: Condvar::new(),
            done: Condvar::new(),
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
        let jobs = VecDeque::from([job]);
        state.places.insert(place.clone(), jobs);
        state.ready.push_back(place.clone());
        if state.idle >= state.ready.len() || state.threads == THREADS_MAX {
            self.shared.called.notify_one();
        } else if self.start(&mut state) || state.threads > 0 {
            // It, or another one when it is done with its job, takes the place.
        } else {
            drop(state);
            self.shared.work(false);
        }
    }

    fn start(&self, state: &mut State) -> bool {
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("disk".to_owned())
            .spawn(move || shared.work(true));
        if let Err(reason) = &started {
            tracing::warn!("cannot start a thread for the disk: {reason}");
        }
        state.threads += usize::from(started.is_ok());
        started.is_ok()
    }

    /// Waits until all jobs of a place are done.
    pub fn wait(&self, place: &Place) {
        let mut state = self.shared.state();
        while state.places.contains_key(place) {
            let woken = self.shared.done.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds an answer to a job that needs no worker.
    pub fn answer(&self, answer: Answer) {
        self.shared.state().answers.push(answer);
        self.shared.wake();
    }

    /// Adds the answers that have come.
    pub fn answers(&self, into: &mut Vec<Answer>) {
        into.append(&mut self.shared.state().answers);
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

    fn wake(&self) {
        if let Err(reason) = self.waker.wake() {
            tracing::error!("cannot wake the relay for an answer of the disk: {reason}");
        }
    }

    /// Does jobs: those that wait, and as a thread those that come.
    fn work(&self, as_thread: bool) {
        let mut state = self.state();
        loop {
            let Some(place) = state.ready.pop_front().filter(|_| !state.is_over) else {
                if !as_thread {
                    return;
                }
                if state.is_over {
                    state.threads -= 1;
                    return;
                }
                state.idle += 1;
                let (woken, waited) = self
                    .called
                    .wait_timeout(state, IDLE_MAX)
                    .unwrap_or_else(PoisonError::into_inner);
                state = woken;
                state.idle -= 1;
                if waited.timed_out() && state.ready.is_empty() {
                    state.threads -= 1;
                    return;
                }
                continue;
            };
            let job = state.places.get_mut(&place).and_then(VecDeque::pop_front);
            drop(state);
            let answer = job.and_then(|job| job());
            state = self.state();
            let has_more = state
                .places
                .get(&place)
                .is_some_and(|jobs| !jobs.is_empty());
            if has_more {
                state.ready.push_back(place);
            } else {
                state.places.remove(&place);
                self.done.notify_all();
            }
            if let Some(answer) = answer {
                state.answers.push(answer);
                drop(state);
                self.wake();
                state = self.state();
            }
        }
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
            let (sender, receiver) = mpsc::channel();
            let job = move || {
                receiver.recv().unwrap();
                Some(Answer {
                    ticket: Ticket(ticket),
                    outcome: Ok(Outcome::Done),
                })
            };
            let place = RelativePath::parse(place.as_bytes()).unwrap();
            self.workers.give(&Place::Name(place), Box::new(job));
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
