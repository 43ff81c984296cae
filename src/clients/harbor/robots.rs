//! Robot accounts of the system and of projects.

use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{HarborClient, HarborError, exchange::Ask};

/// Where a robot lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobotLevel {
    /// It may be let into any project.
    System,
    /// It is let into this project alone, and goes with it.
    Project(i64),
}

/// A robot, as Harbor tells it; its secret is never told again.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Robot {
    /// For all other calls.
    pub id: i64,
    /// With its prefix, as it logs in: `robot$ci`, or `robot$project+ci`. Harbor lets nobody change it.
    pub name: String,
    /// Free.
    #[serde(default)]
    pub description: String,
    /// `system` or `project`; Harbor lets nobody change it.
    pub level: String,
    /// In days, from when it was made; -1 is for ever.
    pub duration: i64,
    /// It can't log in.
    #[serde(default)]
    pub disable: bool,
    /// In seconds of Unix time; -1 is never.
    #[serde(default)]
    pub expires_at: i64,
    /// What it may do.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// When it was made, as RFC 3339.
    #[serde(default, skip_serializing)]
    pub creation_time: String,
}

/// What a robot may do in one place.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Permission {
    /// `project` or `system`.
    pub kind: String,
    /// The project's name, `*` for all projects, `/` for the system.
    pub namespace: String,
    /// At least one.
    pub access: Vec<Access>,
}

/// One thing that a robot may do.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Access {
    /// Such as `repository`.
    pub resource: String,
    /// Such as `pull`.
    pub action: String,
    /// `deny` for what it may not do; `allow`, or empty, else.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub effect: String,
}

/// A robot that shall be.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct NewRobot {
    /// Without prefix.
    pub name: String,
    /// Free.
    pub description: String,
    /// `system`, or `project` with one permission, whose namespace is the project.
    pub level: String,
    /// In days; -1 is for ever.
    pub duration: i64,
    /// What it may do.
    pub permissions: Vec<Permission>,
}

/// A robot that was just made.
#[derive(Clone, Debug)]
pub struct CreatedRobot {
    /// For all other calls.
    pub id: i64,
    /// With its prefix, as it logs in.
    pub name: String,
    /// Told this once.
    pub secret: SecretString,
    /// In seconds of Unix time; -1 is never.
    pub expires_at: i64,
}

#[derive(Deserialize)]
struct ToldCreated {
    id: i64,
    name: String,
    secret: SecretString,
    #[serde(default)]
    expires_at: i64,
}

#[derive(Deserialize)]
struct ToldSecret {
    secret: Option<SecretString>,
}

impl HarborClient {
    /// All robots of the system, or of one project.
    ///
    /// # Errors
    /// As any question.
    pub async fn robots(&self, level: RobotLevel) -> Result<Vec<Robot>, HarborError> {
        match level {
            RobotLevel::System => self.list("/robots?q=Level%3Dsystem").await,
            RobotLevel::Project(id) => self.list(&format!("/robots?q=Level%3Dproject%2CProjectID%3D{id}")).await,
        }
    }

    /// One robot by its id.
    ///
    /// # Errors
    /// As any question.
    pub async fn robot(&self, id: i64) -> Result<Option<Robot>, HarborError> {
        self.find(Ask::new(Method::GET, &format!("/robots/{id}"))).await
    }

    /// Whether Harbor accepts the credentials, which are to be this robot's: it may not look at itself, and is told
    /// so only when it has logged in.
    ///
    /// # Errors
    /// As any question, but for Unauthorized and Forbidden.
    pub async fn accepts_robot(&self, id: i64) -> Result<bool, HarborError> {
        match self.ask(Ask::new(Method::GET, &format!("/robots/{id}"))).await {
            Ok(_) | Err(HarborError::Forbidden { .. }) => Ok(true),
            Err(HarborError::Unauthorized { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a robot. Its secret is told here and never again: one whose secret was lost needs
    /// [`Self::refresh_robot`].
    ///
    /// # Errors
    /// Conflict when there is one of this name, Invalid for what Harbor does not take.
    pub async fn create_robot(&self, robot: &NewRobot) -> Result<CreatedRobot, HarborError> {
        let told: ToldCreated = self.ask(Ask::new(Method::POST, "/robots").body(robot)).await?.read()?;
        Ok(CreatedRobot { id: told.id, name: told.name, secret: told.secret, expires_at: told.expires_at })
    }

    /// Makes of a robot what is given, but for its name and level. A changed duration counts from when the
    /// robot was made.
    ///
    /// # Errors
    /// Invalid for what Harbor does not take, Conflict as of [`Self::create_robot`].
    pub async fn update_robot(&self, robot: &Robot) -> Result<(), HarborError> {
        self.change(Ask::new(Method::PUT, &format!("/robots/{}", robot.id)).body(robot)).await
    }

    /// Gives a robot this secret (8 to 128 characters with a capital, a small letter and a digit), or one
    /// that Harbor makes; the old one no longer counts. Tells which it is.
    ///
    /// # Errors
    /// Invalid for a secret that Harbor does not take.
    pub async fn refresh_robot(&self, id: i64, secret: Option<&SecretString>) -> Result<SecretString, HarborError> {
        let body = json!({ "secret": secret.map_or("", ExposeSecret::expose_secret) });
        let answer = self.ask(Ask::new(Method::PATCH, &format!("/robots/{id}")).body(&body)).await?;
        // Harbor does not repeat what it was given.
        match secret {
            Some(secret) => Ok(secret.clone()),
            None => answer.read::<ToldSecret>()?.secret.ok_or_else(|| answer.strange("no secret")),
        }
    }

    /// Deletes a robot; its secret no longer counts.
    ///
    /// # Errors
    /// As any change.
    pub async fn delete_robot(&self, id: i64) -> Result<(), HarborError> {
        self.change(Ask::new(Method::DELETE, &format!("/robots/{id}"))).await
    }
}
