//! What a user may write and will read: the custom resources of the group `fairway.dev`, and nothing
//! else. Every doc comment on a field is what `kubectl explain` prints.
#![allow(unreachable_pub, reason = "the derive for schemas makes a public copy of each type in its private module")]

mod class;
mod harbor;
mod listener;
mod loadbalancer;
mod monitor;
mod pods;
mod pool;
mod rule;
mod settings;
mod status;
mod tls;

pub use class::{LoadBalancerClass, LoadBalancerClassSpec};
pub use harbor::{
    CertificateIssuer, ComponentStatus, ConnectionBudget, CoreComponent, DeletionPolicy, DriftPolicy,
    ExporterComponent, ExposureTls, ExternalCache, ExternalDatabase, FilesystemStorage, FrontDoor, Harbor,
    HarborAdministrator, HarborCache, HarborClass, HarborClassSpec, HarborComponents, HarborDatabase, HarborExposure,
    HarborIngress, HarborLoadBalancer, HarborLogLevel, HarborProject, HarborProjectSpec, HarborProjectStatus,
    HarborProxy, HarborRobot, HarborRobotSpec, HarborRobotStatus, HarborSpec, HarborStatus, HarborStorage, InternalTls,
    IssuerKind, JobServiceComponent, ManagedCache, ManagedDatabase, MemberGroupType, MemberRole, PortalComponent,
    ProjectCveAllowlist, ProjectMember, ProjectQuotaStatus, ProjectRetention, RedisDatabases, RegistryComponent,
    RetentionKeep, RetentionTemplate, RobotAccess, RobotLevel, RobotPermission, RobotPullSecret, RobotRotation,
    S3Storage, ServerKind, SharedCacheServer, SharedDatabaseServer, SslMode, StorageKind, StorageStatus, SwiftStorage,
    TrivyComponent, VolumeRequest, VolumeStatus, VulnerabilitySeverity,
};
pub use listener::{
    CertificateReference, Hsts, InsertHeaders, Listener, ListenerTimeouts, Protocol, RateLimit, RedirectToHttps,
};
pub use loadbalancer::{LoadBalancer, LoadBalancerSpec};
pub use monitor::{Monitor, MonitorKind, MonitorMethod};
pub use pods::{LabelOperator, LabelRequirement, PodMembers, PodPort, PodSelector};
pub use pool::{
    Algorithm, Member, Persistence, PersistenceKind, Pool, PoolTimeouts, ProxyProtocol, ServiceMembers, ServicePort,
};
pub use rule::{ListenerRule, Match, MatchKind, MatchOperator, Redirect, Reject};
pub use settings::{Amounts, Exposure, ExposureKind, ExternalTrafficPolicy, Resources, ServiceKind, ServiceSettings};
pub use status::{
    Address, AddressKind, CertificateStatus, ConfigurationStatus, ListenerState, ListenerStatus, LoadBalancerStatus,
    OperatingStatus, PoolStatus, ReplicaStatus,
};
pub use tls::{
    Alpn, CipherSuite, ClientAuthentication, ClientAuthenticationMode, ListenerTls, PoolTls, TlsVersion, Verification,
};

/// The default of what is on unless it is turned off.
fn yes() -> bool {
    true
}
