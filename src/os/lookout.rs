//! A lookout: looks at what may not answer for long, such as a disk, so that the relay's thread
//! does not wait for it. Each look has a thread of its own, one at a time.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

pub struct Lookout<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T> {
    look: Box<dyn Fn() -> T + Send + Sync>,
    state: Mutex<State<T>>,
    seen: Condvar,
}

struct State<T> {
    last: T,
    is_looking: bool,
}

/// Time that a look may take until the last one is told instead. Most take some microseconds.
const PATIENCE: Duration = Duration::from_millis(2);

impl<T: Clone + Send + 'static> Lookout<T> {
    /// Looks for the first time at once.
    pub fn new(look: impl Fn() -> T + Send + Sync + 'static) -> Self {
        let state = State {
            last: look(),
            is_looking: false,
        };
        let shared = Shared {
            look: Box::new(look),
            state: Mutex::new(state),
            seen: Condvar::new(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Looks, and returns what it sees; or what was seen last, if that takes too long. A look that
    /// does is waited for once.
    pub fn tell(&self) -> T {
        let mut state = self.shared.state();
        if state.is_looking {
            // It takes long, and was waited for once.
            return state.last.clone();
        }
        let shared = Arc::clone(&self.shared);
        let started = thread::Builder::new()
            .name("lookout".to_owned())
            .spawn(move || shared.look());
        // Without a thread, the last look has to do.
        state.is_looking = started.is_ok();
        let waited = self
            .shared
            .seen
            .wait_timeout_while(state, PATIENCE, |state| state.is_looking);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.last.clone()
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let seen = (self.look)();
        let mut state = self.state();
        state.last = seen;
        state.is_looking = false;
        self.seen.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_last_look_is_told_while_another_takes_long() {
        let (go_on, wait) = mpsc::channel();
        let wait = Mutex::new(wait);
        let looks = AtomicU32::new(0);
        let lookout = Lookout::new(move || {
            let number = looks.fetch_add(1, Ordering::Relaxed);
            if number > 0 {
                wait.lock().unwrap().recv().unwrap();
            }
            number
        });
        assert_eq!((lookout.tell(), lookout.tell()), (0, 0));
        for _ in 0..2 {
            go_on.send(()).unwrap();
        }
        // The look that was begun ends, and others see what is there then.
        while lookout.tell() == 0 {}
    }
}
