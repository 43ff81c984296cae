//! All that a plan of a robot may depend on, as plain data.

use super::secret::PullSecret;
use crate::{
    clients::harbor::Robot,
    harbor::{access::Registry, world::Problem},
};

/// What was seen in one go.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The registry that the spec names, when it is there.
    pub registry: Option<Registry>,
    /// The Secret of the robot, when it is there.
    pub secret: Option<PullSecret>,
    /// What Harbor told, when it was asked.
    pub asked: Option<Result<Seen, Problem>>,
}

/// What Harbor told of a robot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The robot, when it is there.
    pub robot: Option<Robot>,
    /// Whether one of its name is there that is not this resource's.
    pub taken: bool,
    /// Whether it can log in with what the Secret holds; nothing when that was not tried.
    pub accepted: Option<bool>,
    /// The projects that the spec names and Harbor does not have; looked for only when the robot is to be made or
    /// changed.
    pub missing: Vec<String>,
}
