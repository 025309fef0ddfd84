//! Who calls, and what he may see and do: HTTP Basic, and RabbitMQ's tags.
//!
//! `administrator` may everything, `monitoring` sees everything, `policymaker` and `management` see the virtual hosts that they
//! have permissions in. Nobody else is let in.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Shared;
use super::reply::Error;
use super::server::CallerAddress;
use crate::auth::{Credentials, Rights, User};
use crate::connection::is_loopback;
use crate::vhost::Vhost;

/// The user who calls.
#[derive(Clone)]
pub(super) struct Caller {
    pub(super) name: Arc<str>,
    /// None is the broker itself, which may everything.
    user: Option<Arc<User>>,
    api: Shared,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Shared) -> Result<Self, Error> {
        let given = parts.headers.get(header::AUTHORIZATION).ok_or_else(Error::login_failed)?;
        let credentials = basic(given.as_bytes()).ok_or_else(Error::login_failed)?;
        let address = parts.extensions.get::<CallerAddress>();
        let loopback = address.is_some_and(|CallerAddress(address)| is_loopback(address.ip()));
        let users = &api.node.users;
        if !users.admit(&credentials, loopback) {
            tracing::warn!(user = ?credentials.user, "HTTP login refused");
            return Err(Error::login_failed());
        }
        let user = users.user(&credentials.user).ok_or_else(Error::login_failed)?;
        let caller = Caller { name: credentials.user.into(), user: Some(user), api: api.clone() };
        if !caller.has_any(&["administrator", "monitoring", "policymaker", "management"]) {
            return Err(Error::refused("Not management user"));
        }
        Ok(caller)
    }
}

/// `Basic` and the base64 of user, colon, password.
fn basic(header: &[u8]) -> Option<Credentials> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|&b| b == b':')?;
    let user = String::from_utf8(decoded[..colon].into()).ok()?;
    Some(Credentials { user, password: decoded[colon + 1..].into() })
}

impl Caller {
    /// The broker itself, for what it is told at its start.
    pub(super) fn broker(api: Shared) -> Self {
        Caller { name: "the broker".into(), user: None, api }
    }

    pub(super) fn is_broker(&self) -> bool {
        self.user.is_none()
    }

    fn has_any(&self, tags: &[&str]) -> bool {
        self.user.as_ref().is_none_or(|user| tags.iter().any(|tag| user.has_tag(tag)))
    }

    pub(super) fn tags(&self) -> &[String] {
        self.user.as_ref().map_or(&[], |user| &user.tags)
    }

    pub(super) fn is_administrator(&self) -> bool {
        self.has_any(&["administrator"])
    }

    pub(super) fn is_monitor(&self) -> bool {
        self.has_any(&["administrator", "monitoring"])
    }

    /// # Errors
    /// 401 for everybody but administrators.
    pub(super) fn administers(&self) -> Result<(), Error> {
        if self.is_administrator() { Ok(()) } else { Err(Error::refused("Not administrator user")) }
    }

    /// # Errors
    /// 401 for those who see only their own.
    pub(super) fn monitors(&self) -> Result<(), Error> {
        if self.is_monitor() { Ok(()) } else { Err(Error::refused("Not monitor user")) }
    }

    /// # Errors
    /// 401 for those who set no policies.
    pub(super) fn makes_policies(&self) -> Result<(), Error> {
        match self.has_any(&["administrator", "policymaker"]) {
            true => Ok(()),
            false => Err(Error::refused("Not policymaker user")),
        }
    }

    /// True if what belongs to a user may be shown.
    pub(super) fn sees_user(&self, user: &str) -> bool {
        self.is_monitor() || *self.name == *user
    }

    fn sees(&self, vhost: &str) -> bool {
        self.is_monitor() || self.user.as_ref().is_none_or(|user| user.permissions.contains_key(vhost))
    }

    /// The virtual hosts that he may look into.
    pub(super) fn vhosts(&self) -> Vec<Arc<Vhost>> {
        self.api.node.all_vhosts().into_iter().filter(|vhost| self.sees(&vhost.name)).collect()
    }

    /// A virtual host to look into.
    ///
    /// # Errors
    /// 404 if there is none, 401 if he may not.
    pub(super) fn vhost(&self, name: &str) -> Result<Arc<Vhost>, Error> {
        let vhost = self.api.vhost(name)?;
        match self.sees(name) {
            true => Ok(vhost),
            false => Err(Error::refused("User not authorised to access virtual host")),
        }
    }

    /// A virtual host to change things in, and what he may do there.
    ///
    /// # Errors
    /// 404 if there is none, 401 if he has no permissions there.
    pub(super) fn enters(&self, name: &str) -> Result<(Arc<Vhost>, Arc<Rights>), Error> {
        let vhost = self.api.node.vhost(name).ok_or_else(|| Error::missing("vhost_not_found"))?;
        let rights = match self.user {
            Some(_) => self.api.node.users.rights(&self.name, name),
            None => Some(Arc::new(Rights::everything(self.name.clone(), name.into()))),
        };
        let rights = rights.ok_or_else(|| Error::refused("User not authorised to access virtual host"))?;
        Ok((vhost, rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Option<(String, Vec<u8>)> {
        basic(header.as_bytes()).map(|c| (c.user, c.password))
    }

    #[test]
    fn a_password_may_have_colons() {
        assert_eq!(read("Basic dTphOmI="), Some(("u".into(), b"a:b".to_vec())));
        assert_eq!(read("basic dTo="), Some(("u".into(), vec![])));
    }

    #[test]
    fn what_is_not_basic_is_nobody() {
        for header in ["", "Basic", "Basic !!", "Basic dQ==", "Bearer dTph", "Basic /zph"] {
            assert_eq!(read(header), None, "{header}");
        }
    }
}
