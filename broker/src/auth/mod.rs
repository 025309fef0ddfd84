//! Who may come in, and what they may do: users, passwords, permissions, and the SASL mechanisms they arrive with.

mod password;
mod permission;
mod record;
mod sasl;
mod users;

pub use password::Secret;
pub(crate) use password::{Algorithm, PasswordHash};
pub(crate) use permission::{Access, Pattern, Permission, Resource, Rights, TopicPermission};
pub(crate) use sasl::{Credentials, Mechanism};
pub(crate) use users::{User, Users};
