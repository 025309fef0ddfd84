//! The policies of a virtual host, and the queues and exchanges that they hold for.

use std::sync::Arc;

use super::topology::Topology;
use super::{Vhost, records};
use crate::catalog::Kind;
use crate::policy::{Policy, PolicyKind, Target};
use crate::queue::Turn;

impl Vhost {
    /// Sets a policy, and applies it; it has been checked. False if one of that name was there.
    pub(crate) fn set_policy(&self, kind: PolicyKind, policy: Policy, turn: &mut Turn) -> bool {
        let mut topology = self.topology();
        topology.keep(recorded_as(kind), &[policy.name.as_bytes()], || records::of_policy(&policy));
        let new = self.policies.write().of(kind).insert(policy.name.clone(), Arc::new(policy)).is_none();
        self.apply_policies(&topology, turn);
        new
    }

    /// Removes a policy; false if there is none of that name.
    pub(crate) fn clear_policy(&self, kind: PolicyKind, name: &str, turn: &mut Turn) -> bool {
        let mut topology = self.topology();
        topology.forget(recorded_as(kind), &[name.as_bytes()]);
        let removed = self.policies.write().of(kind).remove(name).is_some();
        self.apply_policies(&topology, turn);
        removed
    }

    /// The policies of a kind, in the order of their names.
    pub(crate) fn policies(&self, kind: PolicyKind) -> Vec<Arc<Policy>> {
        self.policies.write().of(kind).values().cloned().collect()
    }

    /// Lets what holds now hold. Under the topology's lock, so that a queue that is being declared is not missed.
    fn apply_policies(&self, _: &Topology<'_>, turn: &mut Turn) {
        let policies = self.policies.read();
        for queue in self.queues.iter() {
            queue.apply_policy(policies.effective(queue.policy_target(), &queue.name), turn);
        }
        for exchange in self.exchanges.iter() {
            exchange.apply_policy(policies.effective(Target::Exchange, &exchange.name));
        }
        self.topology_changed();
    }
}

fn recorded_as(kind: PolicyKind) -> Kind {
    match kind {
        PolicyKind::User => Kind::Policy,
        PolicyKind::Operator => Kind::OperatorPolicy,
    }
}
