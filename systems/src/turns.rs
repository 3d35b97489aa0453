//! Turns: which of the ready connections is served next, and how much of its work is done.
//!
//! A multilevel feedback queue of two levels. A connection whose work fits into a small
//! budget is *light*: it is served in the tick in which it becomes ready. One that has more
//! to do is *heavy*: it takes turns with the other heavy ones. A tick does a bounded amount of
//! work of each level; the connections that got no turn are first in the next tick. So
//! light ones wait for at most one tick, however many heavy ones there are, and neither level
//! starves the other.
//!
//! A command that costs more than its turn leaves a debt, which the connection's next turns
//! pay off.

use std::collections::VecDeque;

use baton_components::costs::{LIGHT_TURN, MESSAGE, RECORD, STORAGE_CALL, TICK};
use baton_components::keys::ConnectionKey;
use rustc_hash::FxHashMap;

/// The ready connections of one kind.
#[derive(Debug, Default)]
pub struct Turns {
    light: VecDeque<ConnectionKey>,
    heavy: VecDeque<ConnectionKey>,
    /// Those in either queue: each is in one of them, once.
    queued: FxHashMap<ConnectionKey, Queued>,
    /// Work that is left of this tick.
    light_left: u64,
    heavy_left: u64,
    /// Work of one turn of a heavy connection.
    heavy_turn: u64,
    /// Turns that light connections have had.
    pub light_served: u64,
    /// Heavy connections whose turn has not come in this tick. Each gets one, at most.
    heavy_to_come: usize,
}

#[derive(Clone, Copy, Debug)]
struct Queued {
    /// Whether there is something to do for it. Without, it only pays its debt.
    is_ready: bool,
    /// Work beyond its turns.
    debt: u64,
}

/// The turn of one connection.
#[derive(Debug)]
pub struct Turn {
    pub connection: ConnectionKey,
    is_light: bool,
    budget: u64,
    spent: u64,
}

impl Turns {
    /// A tick begins. `heavy`: the work on all heavy connections, and that of one turn of them.
    pub fn begin_tick(&mut self, heavy: u64) {
        self.light_left = TICK;
        self.heavy_left = heavy;
        self.heavy_turn = heavy;
        self.heavy_to_come = self.heavy.len();
    }

    /// There is something to do for a connection.
    pub fn ready(&mut self, key: ConnectionKey) {
        if let Some(queued) = self.queued.get_mut(&key) {
            queued.is_ready = true;
        } else {
            self.light.push_back(key);
            self.queue(key, true, 0);
        }
    }

    /// The next turn of this tick. [`Turns::end`] follows.
    pub fn next(&mut self) -> Option<Turn> {
        while self.light_left > 0
            && let Some(key) = self.light.pop_front()
        {
            let queued = self.queued.remove(&key);
            let Some(queued) = queued.filter(|queued| queued.debt > 0) else {
                self.light_served += 1;
                return Some(Turn::new(key, true, LIGHT_TURN));
            };
            self.heavy.push_back(key);
            self.queue(key, queued.is_ready, queued.debt);
        }
        while self.heavy_left > 0 && self.heavy_to_come > 0 {
            self.heavy_to_come -= 1;
            let key = self.heavy.pop_front()?;
            let queued = self.queued.remove(&key);
            let queued = queued.expect("law: each connection in a queue is listed as such");
            if queued.debt >= self.heavy_turn {
                self.heavy.push_back(key);
                self.queue(key, queued.is_ready, queued.debt - self.heavy_turn);
            } else if queued.is_ready {
                return Some(Turn::new(key, false, self.heavy_turn - queued.debt));
            }
        }
        None
    }

    /// A turn is over. `goes_on`: there is more to do for its connection.
    pub fn end(&mut self, turn: &Turn, goes_on: bool) {
        let left = if turn.is_light {
            &mut self.light_left
        } else {
            &mut self.heavy_left
        };
        *left = left.saturating_sub(turn.spent);
        let debt = turn.spent.saturating_sub(turn.budget);
        let key = turn.connection;
        if (goes_on || debt > 0) && !self.queued.contains_key(&key) {
            self.heavy.push_back(key);
            self.queue(key, goes_on, debt);
        }
    }

    /// So many records were made or dropped for a connection when its turn was over.
    pub fn charge(&mut self, key: ConnectionKey, records: u64) {
        if records == 0 {
            return;
        }
        let work = records.saturating_mul(RECORD);
        if let Some(queued) = self.queued.get_mut(&key) {
            queued.debt = queued.debt.saturating_add(work);
        } else {
            self.heavy.push_back(key);
            self.queue(key, false, work);
        }
    }

    /// Nothing is done in a light turn, since it would not suffice: the connection gets its
    /// turn among the heavy ones, in this tick if there is time.
    pub fn defer(&mut self, turn: &Turn) {
        self.heavy_to_come += 1;
        self.end(turn, true);
    }

    /// Whether no connection is queued.
    pub fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }

    fn queue(&mut self, key: ConnectionKey, is_ready: bool, debt: u64) {
        self.queued.insert(key, Queued { is_ready, debt });
    }
}

impl Turn {
    fn new(connection: ConnectionKey, is_light: bool, budget: u64) -> Self {
        Self {
            connection,
            is_light,
            budget,
            spent: 0,
        }
    }

    /// So much work was done.
    pub fn spend(&mut self, work: u64) {
        self.spent = self.spent.saturating_add(work);
    }

    /// A message was executed, with so many bytes of replies and so many calls to storage.
    pub fn spend_message(&mut self, reply_bytes: usize, storage_calls: u64) {
        self.spend(MESSAGE + reply_bytes as u64 + storage_calls * STORAGE_CALL);
    }

    /// So many records were made or dropped.
    pub fn spend_records(&mut self, records: u64) {
        self.spend(records * RECORD);
    }

    /// Work that is left.
    pub fn left(&self) -> u64 {
        self.budget.saturating_sub(self.spent)
    }

    /// Whether so much work is too much for it, and not for a heavy one.
    pub fn is_too_light_for(&self, work: u64) -> bool {
        self.is_light && work > self.budget
    }

    /// Whether anything was done.
    pub fn has_work(&self) -> bool {
        self.spent > 0
    }

    pub fn is_over(&self) -> bool {
        self.left() == 0
    }
}

#[cfg(test)]
mod tests {
    use baton_components::costs::HEAVY_TURN;
    use slotmap::SlotMap;

    use super::*;

    fn keys(count: usize) -> Vec<ConnectionKey> {
        let mut keys = SlotMap::with_key();
        (0..count).map(|_| keys.insert(())).collect()
    }

    /// Runs one tick, in which every connection but `light` goes on for ever. Gives those
    /// that had a turn, and the work that was done.
    fn tick(turns: &mut Turns, light: ConnectionKey) -> (Vec<ConnectionKey>, u64) {
        turns.begin_tick(HEAVY_TURN);
        let mut served = Vec::new();
        let mut work = 0;
        while let Some(mut turn) = turns.next() {
            let goes_on = turn.connection != light;
            turn.spend(if goes_on { turn.left() } else { 1 });
            work += turn.spent;
            served.push(turn.connection);
            turns.end(&turn, goes_on);
        }
        (served, work)
    }

    #[test]
    fn a_light_connection_is_served_in_the_tick_in_which_it_is_ready() {
        let keys = keys(101);
        let (light, crowd) = keys.split_first().unwrap();
        let mut turns = Turns::default();
        for key in crowd {
            turns.ready(*key);
        }
        let mut before_light = 0;
        turns.ready(*light);
        loop {
            let (served, work) = tick(&mut turns, *light);
            assert!(work <= 2 * TICK + LIGHT_TURN, "{work}");
            if served.contains(light) {
                break;
            }
            before_light += 1;
        }
        // The crowd came before it, and was light until then.
        assert!(before_light <= 101 * LIGHT_TURN / TICK, "{before_light}");
        for _ in 0..1000 {
            turns.ready(*light);
            let (served, work) = tick(&mut turns, *light);
            assert_eq!(served[0], *light);
            assert!(served.len() > 1 && work <= 2 * TICK, "{served:?} {work}");
        }
    }

    #[test]
    fn heavy_connections_take_turns() {
        let keys = keys(5);
        let (nobody, crowd) = keys.split_first().unwrap();
        let mut turns = Turns::default();
        for key in crowd {
            turns.ready(*key);
        }
        for _ in 0..2 {
            tick(&mut turns, *nobody);
        }
        let mut served = Vec::new();
        for _ in 0..8 {
            served.extend(tick(&mut turns, *nobody).0);
        }
        assert_eq!(served.len(), 8);
        assert_eq!(served[..4], served[4..], "in the same order each time");
        served.truncate(4);
        served.sort_unstable();
        assert_eq!(served, crowd);
    }

    #[test]
    fn work_beyond_a_turn_is_paid_off_by_later_turns() {
        let keys = keys(2);
        let mut turns = Turns::default();
        turns.ready(keys[0]);
        turns.begin_tick(HEAVY_TURN);
        let mut turn = turns.next().unwrap();
        turn.spend(LIGHT_TURN + 10 * HEAVY_TURN);
        turns.end(&turn, true);
        assert!(turns.next().is_none());
        for passed in 1.. {
            turns.ready(keys[1]);
            turns.begin_tick(HEAVY_TURN);
            let served = turns.next().map(|turn| turn.connection);
            assert_eq!(served, Some(keys[1]), "others are served meanwhile");
            if turns.next().is_some() {
                assert_eq!(passed, 11);
                break;
            }
        }
    }

    #[test]
    fn work_that_is_charged_later_is_paid_off_by_later_turns() {
        let keys = keys(1);
        for is_ready_before in [true, false] {
            let mut turns = Turns::default();
            if is_ready_before {
                turns.ready(keys[0]);
            }
            turns.charge(keys[0], 3 * HEAVY_TURN / RECORD);
            turns.charge(keys[0], 0);
            turns.ready(keys[0]);
            let mut passed = 0;
            loop {
                turns.begin_tick(HEAVY_TURN);
                if turns.next().is_some() {
                    break;
                }
                passed += 1;
            }
            // A light one is heavy from the next tick on.
            assert_eq!(passed, if is_ready_before { 4 } else { 3 });
            assert!(turns.is_empty());
        }
    }

    #[test]
    fn a_connection_without_work_is_forgotten_when_its_debt_is_paid() {
        let keys = keys(1);
        let mut turns = Turns::default();
        turns.ready(keys[0]);
        turns.ready(keys[0]);
        turns.begin_tick(HEAVY_TURN);
        let mut turn = turns.next().unwrap();
        assert!(turns.next().is_none(), "it is queued once");
        turn.spend(LIGHT_TURN + 1);
        turns.end(&turn, false);
        assert!(!turns.is_empty());
        turns.begin_tick(HEAVY_TURN);
        assert!(turns.next().is_none());
        assert!(turns.is_empty());
    }
}
