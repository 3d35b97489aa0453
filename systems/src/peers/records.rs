//! The resources for a connection's state, whatever its protocol is.

use baton_components::time::Now;

use crate::agenda::Agenda;
use crate::entities::Entities;
use crate::settings::Settings;

/// The resources for a connection's state.
pub struct Records<'a> {
    pub entities: &'a mut Entities,
    pub agenda: &'a mut Agenda,
    pub settings: &'a Settings,
    pub now: &'a Now,
}
