//! Harbor registries: what a user may write and will read of them.

mod cache;
mod class;
mod components;
mod database;
mod exposure;
mod instance;
mod project;
mod project_parts;
mod robot;
mod status;
mod storage;

pub use cache::{ClassCache, ExternalCache, HarborCache, ManagedCache};
pub use class::{HarborClass, HarborClassSpec, SharedCacheServer, SharedDatabaseServer};
pub use components::{
    CoreComponent, ExporterComponent, HarborComponents, JobServiceComponent, PortalComponent, RegistryComponent,
    TrivyComponent,
};
pub use database::{
    ClassDatabase, ClassServerKind, ExternalDatabase, HarborDatabase, ManagedDatabase, ServerKind, SslMode,
};
pub use exposure::{
    CertificateIssuer, ExposureTls, FrontDoor, HarborExposure, HarborIngress, HarborLoadBalancer, IssuerKind,
};
pub use instance::{DeletionPolicy, Harbor, HarborAdministrator, HarborLogLevel, HarborProxy, HarborSpec, InternalTls};
pub use project::{
    HarborProject, HarborProjectSpec, HarborProjectStatus, ProjectCveAllowlist, ProjectQuotaStatus,
    VulnerabilitySeverity,
};
pub use project_parts::{
    DriftPolicy, MemberGroupType, MemberRole, ProjectMember, ProjectRetention, RetentionKeep, RetentionTemplate,
};
pub use robot::{
    HarborRobot, HarborRobotSpec, HarborRobotStatus, RobotAccess, RobotLevel, RobotPermission, RobotPullSecret,
    RobotRotation,
};
pub use status::{ComponentStatus, ConnectionBudget, HarborStatus, RedisDatabases, StorageStatus, VolumeStatus};
pub use storage::{FilesystemStorage, HarborStorage, S3Storage, StorageKind, SwiftStorage, VolumeRequest};
