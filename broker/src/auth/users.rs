//! The users of a broker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use super::password::PasswordHash;
use super::permission::{Permission, Rights, TopicPermission};
use super::sasl::Credentials;

/// A user.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    /// None: nobody can log in with a password.
    pub(crate) password: Option<PasswordHash>,
    pub(crate) tags: Vec<String>,
    /// Connections that he may have at once.
    pub(crate) connections_max: Option<usize>,
    /// Channels that he may have at once.
    pub(crate) channels_max: Option<usize>,
    /// By virtual host.
    pub(crate) permissions: BTreeMap<String, Permission>,
    /// By virtual host.
    pub(crate) topics: BTreeMap<String, Vec<TopicPermission>>,
}

impl User {
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|t| t == tag)
    }
}

/// Rights by user, and the epoch they are of.
type Given = BTreeMap<String, (u64, Arc<Rights>)>;

/// All users. Everybody who keeps rights compares `epoch` to know whether they still hold.
#[derive(Default)]
pub(crate) struct Users {
    users: RwLock<BTreeMap<String, Arc<User>>>,
    /// Users who are let in from this machine only (RabbitMQ's loopback_users).
    loopback_only: Vec<String>,
    epoch: AtomicU64,
    /// What `rights` has given out, by virtual host and user, and in which epoch.
    given: Mutex<BTreeMap<String, Given>>,
}

impl Users {
    pub(crate) fn new(loopback_only: Vec<String>) -> Self {
        Users { loopback_only, ..Users::default() }
    }

    /// Changes whenever anybody's rights may have changed.
    #[inline]
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::Release);
        self.given.lock().clear();
    }

    pub(crate) fn user(&self, name: &str) -> Option<Arc<User>> {
        self.users.read().get(name).cloned()
    }

    /// Every user with his name, in the order of the names.
    pub(crate) fn all(&self) -> Vec<(String, Arc<User>)> {
        self.users.read().iter().map(|(name, user)| (name.clone(), user.clone())).collect()
    }

    /// Creates or changes a user; false if he existed.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(&mut User)) -> bool {
        let mut users = self.users.write();
        let new = !users.contains_key(name);
        let user = users.entry(name.into()).or_default();
        change(Arc::make_mut(user));
        drop(users);
        self.changed();
        new
    }

    /// Removes a user; false if there is none.
    pub(crate) fn remove(&self, name: &str) -> bool {
        let removed = self.users.write().remove(name).is_some();
        self.changed();
        removed
    }

    /// Forgets all permissions in a virtual host that is gone; whose they were.
    pub(crate) fn forget_vhost(&self, vhost: &str) -> Vec<(String, Arc<User>)> {
        let mut changed = vec![];
        for (name, user) in self.users.write().iter_mut() {
            if user.permissions.contains_key(vhost) || user.topics.contains_key(vhost) {
                let of_user = Arc::make_mut(user);
                of_user.permissions.remove(vhost);
                of_user.topics.remove(vhost);
                changed.push((name.clone(), user.clone()));
            }
        }
        self.changed();
        changed
    }

    /// True if the credentials are right and may be used from where the peer is.
    pub(crate) fn admit(&self, credentials: &Credentials, from_loopback: bool) -> bool {
        let password = self.user(&credentials.user).and_then(|user| user.password.clone());
        let right = password.is_some_and(|hash| hash.matches(&credentials.password));
        right && (from_loopback || !self.loopback_only.contains(&credentials.user))
    }

    /// What a user may do in a virtual host; none if he may not even enter. All of his connections to it share it.
    pub(crate) fn rights(&self, name: &str, vhost: &str) -> Option<Arc<Rights>> {
        let epoch = self.epoch();
        let given = self.given.lock().get(vhost).and_then(|users| users.get(name)).cloned();
        if let Some((_, rights)) = given.filter(|(of, _)| *of == epoch) {
            return Some(rights);
        }
        // Whatever changes from here on makes the epoch that was read an old one.
        let user = self.user(name)?;
        let permission = user.permissions.get(vhost)?.clone();
        let topics = user.topics.get(vhost).map_or(&[][..], Vec::as_slice);
        let rights = Rights::new(name.into(), vhost.into(), user.has_tag("impersonator"), permission, topics);
        let rights = Arc::new(rights);
        self.given.lock().entry(vhost.into()).or_default().insert(name.into(), (epoch, rights.clone()));
        Some(rights)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Pattern, Secret};

    fn users() -> Users {
        let users = Users::new(vec!["guest".into()]);
        users.change("guest", |user| user.password = Some(PasswordHash::of(&Secret::new("guest"))));
        users
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials { user: user.into(), password: password.into() }
    }

    #[test]
    fn a_password_must_be_right_to_the_last_byte() {
        let users = users();
        assert!(users.admit(&credentials("guest", "guest"), true));
        for wrong in ["", "gues", "guesT", "guestt"] {
            assert!(!users.admit(&credentials("guest", wrong), true), "{wrong}");
        }
        assert!(!users.admit(&credentials("nobody", "guest"), true));
        users.change("guest", |user| user.password = None);
        assert!(!users.admit(&credentials("guest", ""), true), "without a password nobody gets in");
    }

    #[test]
    fn a_loopback_user_is_refused_from_elsewhere() {
        assert!(!users().admit(&credentials("guest", "guest"), false));
    }

    #[test]
    fn connections_share_rights_until_they_change() {
        let users = users();
        let all = || Pattern::new(".*").unwrap();
        let permission = || Permission { configure: all(), write: all(), read: all() };
        users.change("guest", |user| drop(user.permissions.insert("/".into(), permission())));
        users.change("guest", |user| drop(user.permissions.insert("other".into(), permission())));
        let rights = || users.rights("guest", "/").unwrap();
        let first = rights();
        assert!(Arc::ptr_eq(&first, &rights()));
        assert_eq!(&*users.rights("guest", "other").unwrap().vhost, "other");
        users.change("guest", |user| user.tags.push("impersonator".into()));
        assert!(rights().impersonator && !first.impersonator);
    }

    #[test]
    fn rights_end_with_their_vhost_and_the_epoch_tells() {
        let users = users();
        let all = || Pattern::new(".*").unwrap();
        let permission = Permission { configure: all(), write: all(), read: all() };
        users.change("guest", |user| drop(user.permissions.insert("/".into(), permission)));
        assert!(users.rights("guest", "/").is_some() && users.rights("guest", "other").is_none());
        let before = users.epoch();
        let changed = users.forget_vhost("/");
        assert_eq!(changed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["guest"]);
        assert!(users.rights("guest", "/").is_none() && users.epoch() != before);
    }
}
