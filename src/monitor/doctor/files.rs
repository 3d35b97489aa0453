//! Other relays in the output directory, killed or running.

use super::Finding;
use crate::config::Config;
use crate::os::recording;

pub fn examine(config: &Config, findings: &mut Vec<Finding>) {
    let Some(directory) = config.output.directory() else {
        return;
    };
    let output = directory.display();
    let killed = recording::signs_of_killed(directory).unwrap_or_default();
    if !killed.is_empty() {
        findings.push(Finding::wrong(
            "killed",
            format!("a relay was killed while it recorded in {output}"),
            "its last packets may be torn, and readers stop there",
            format!("baton repair {output}"),
        ));
    }
    let relays = recording::relays(directory);
    if let [one, other, ..] = relays[..] {
        findings.push(Finding::wrong(
            "second-relay",
            format!("more than one relay writes to {output}"),
            format!("processes {one} and {other} have it open"),
            format!("kill {other}; or start it with another --output"),
        ));
    }
}
