//! The design of the arenas with entities of a bevy world: one component is the record,
//! another has its holds and its reference count. An entity without holders waits for the
//! reclamation pass, which despawns it.

use std::time::Duration;

use baton_components::path::RelativePath;
use baton_components::session::Session;
use bevy_ecs::change_detection::Mut;
use bevy_ecs::component::Component;
use bevy_ecs::entity::Entity;
use bevy_ecs::world::World;
use rustc_hash::FxHashMap;

use super::super::family::is_listed;
use super::records::{Record, for_kind, missing, trace_path};
use super::{Birth, Counts, Kind, Member, Shape};
use crate::churn::timing::time;

pub struct Bevy {
    world: World,
    names: [FxHashMap<u64, Entity>; Kind::ALL.len()],
    /// Traces by their session's number and their path.
    traces: FxHashMap<(u64, RelativePath), Entity>,
    condemned: Vec<Entity>,
    living: Counts,
}

#[derive(Component)]
struct Body<R: Send + Sync + 'static>(R);

#[derive(Component)]
struct Held {
    member: Member,
    /// The owner, if it still is there, and all holds.
    holders: u32,
    /// None has more than three.
    holds: [Option<Entity>; 3],
}

impl Bevy {
    fn find(&self, member: Member) -> Entity {
        let found = self.names[member.kind as usize].get(&member.id).copied();
        found.unwrap_or_else(|| missing(member))
    }

    fn held(&mut self, entity: Entity) -> Mut<'_, Held> {
        let held = self.world.get_mut::<Held>(entity);
        held.expect("law of holds: who is held is there")
    }

    fn let_go(&mut self, entity: Entity) {
        let mut held = self.held(entity);
        held.holders -= 1;
        if held.holders == 0 {
            self.condemned.push(entity);
        }
    }

    fn free_condemned(&mut self) {
        while let Some(entity) = self.condemned.pop() {
            let Held { member, holds, .. } = *self.held(entity);
            self.living[member.kind] -= 1;
            if member.kind == Kind::Trace {
                self.traces.remove(&(member.id, trace_path()));
            }
            self.world.despawn(entity);
            for held in holds.into_iter().flatten() {
                self.list(member.kind, held, false);
                self.let_go(held);
            }
        }
    }

    /// Lists or counts a holder, or strikes it off, if that kind is listed there.
    fn list(&mut self, holder: Kind, entity: Entity, comes: bool) {
        let Held { member, holds, .. } = *self.held(entity);
        match holds {
            _ if !is_listed(holder, member.kind) => {}
            // A trace stands for its session.
            [Some(session), ..] if member.kind == Kind::Trace => {
                self.change::<Session>(session, |record| list(record, holder, comes));
            }
            _ => for_kind!(member.kind, R => {
                self.change::<R>(entity, |record| list(record, holder, comes));
            }),
        }
    }

    fn change<R: Record>(&mut self, entity: Entity, change: impl FnOnce(&mut R)) {
        let body = self.world.get_mut::<Body<R>>(entity);
        change(&mut body.expect("law of holds: who is held is there").0);
    }
}

fn list<R: Record>(record: &mut R, holder: Kind, comes: bool) {
    if comes {
        record.enlist(holder);
    } else {
        record.strike(holder);
    }
}

impl Shape for Bevy {
    const NAME: &'static str = "bevy";

    fn new(_: bool) -> Self {
        Self {
            world: World::new(),
            names: Default::default(),
            traces: FxHashMap::default(),
            condemned: Vec::new(),
            living: Counts::default(),
        }
    }

    fn create(&mut self, births: &[Birth]) {
        for Birth { member, holds } in births {
            let [first, second] = holds.map(|held| held.map(|held| self.find(held)));
            for held in [first, second].into_iter().flatten() {
                self.list(member.kind, held, true);
                self.held(held).holders += 1;
            }
            let held = Held {
                member: *member,
                holders: 1,
                holds: [first, second, None],
            };
            let entity = for_kind!(member.kind, R => {
                self.world.spawn((Body::<R>(R::numbered(member.id)), held)).id()
            });
            self.living[member.kind] += 1;
            if member.kind == Kind::Trace {
                self.traces.insert((member.id, trace_path()), entity);
            }
            self.names[member.kind as usize].insert(member.id, entity);
        }
    }

    fn link(&mut self, links: &[(Member, Member)]) {
        for (holder, held) in links {
            let target = self.find(*held);
            let entity = self.find(*holder);
            self.list(holder.kind, target, true);
            self.held(target).holders += 1;
            for_kind!(holder.kind, R => self.change::<R>(entity, |record| record.note(*held)));
            let mut holder = self.held(entity);
            if let Some(place) = holder.holds.iter_mut().find(|place| place.is_none()) {
                *place = Some(target);
            }
        }
    }

    fn look_up(&mut self, members: &[Member]) {
        for member in members {
            let entity = self.find(*member);
            for_kind!(member.kind, R => self.change::<R>(entity, Record::touch));
        }
    }

    fn release(&mut self, members: &[Member]) {
        for member in members {
            let entity = self.names[member.kind as usize].remove(&member.id);
            self.let_go(entity.unwrap_or_else(|| missing(*member)));
        }
    }

    fn reclaim(&mut self) -> Duration {
        time(|| self.free_condemned())
    }

    fn counts(&self) -> Counts {
        self.living
    }
}
