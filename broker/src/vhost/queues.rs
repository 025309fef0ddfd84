//! Queues: declare and delete.

use std::sync::Arc;

use leveret_spec::ShortBytes;

use super::topology::Topology;
use super::{Vhost, equivalence, records};
use crate::catalog::Kind;
use crate::exchange::{DestinationId, RESERVED_PREFIX};
use crate::failure::Soft;
use crate::queue::{self, Declaration, Queue, Settings, Turn};
use crate::store::QueueId;
use crate::time::Moment;

/// What has to hold for a queue to be deleted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeleteCondition {
    /// It has no consumers.
    pub(crate) unused: bool,
    /// It has no ready messages.
    pub(crate) empty: bool,
}

impl Vhost {
    /// Creates a queue, or checks that the one of that name is the same.
    ///
    /// # Errors
    /// 405 for another connection's exclusive queue, 403 for a reserved name, 406 for bad arguments or another declaration.
    pub(crate) fn declare_queue(
        &self,
        name: &str,
        declaration: Declaration,
        now: Moment,
    ) -> Result<(Arc<Queue>, bool), Soft> {
        if name.starts_with(RESERVED_PREFIX) {
            return Err(Soft::access_refused(format!("queue name '{name}' contains reserved prefix 'amq.*'")));
        }
        let declaration = self.with_default_type(declaration);
        let mut topology = self.topology();
        if let Ok(existing) = self.queue(name) {
            equivalence::check_queue(&existing, &declaration)?;
            existing.renew(now);
            return Ok((existing, false));
        }
        self.create_queue(name, declaration, &mut topology, now).map(|queue| (queue, true))
    }

    /// A declaration that names no type gets the virtual host's, unless its queue may end by itself.
    fn with_default_type(&self, mut declaration: Declaration) -> Declaration {
        const TYPE: &str = "x-queue-type";
        let Declaration { durable, owner, auto_delete, arguments } = &mut declaration;
        if *durable
            && owner.is_none()
            && !*auto_delete
            && arguments.as_table().lookup(TYPE).is_none()
            && let Some(kind) = &self.metadata.read().default_queue_type
        {
            arguments.push(ShortBytes::try_from(TYPE).unwrap_or_default(), kind.as_str().into());
        }
        declaration
    }

    /// Creates a queue under a name that the broker has made up; `None` if somebody has it.
    ///
    /// # Errors
    /// 406 for bad arguments.
    pub(crate) fn declare_named_by_server(
        &self,
        name: &str,
        declaration: Declaration,
        now: Moment,
    ) -> Result<Option<Arc<Queue>>, Soft> {
        queue::check_unnamed(&declaration)?;
        let mut topology = self.topology();
        if self.queues.contains_key(name) {
            return Ok(None);
        }
        self.create_queue(name, declaration, &mut topology, now).map(Some)
    }

    fn create_queue(
        &self,
        name: &str,
        declaration: Declaration,
        topology: &mut Topology<'_>,
        now: Moment,
    ) -> Result<Arc<Queue>, Soft> {
        let place = format!("queue '{name}' in vhost '{}'", self.name);
        let settings = Settings::of(declaration.arguments.as_table(), &place)?;
        self.take_in_queue(name)?;
        queue::check_properties(&declaration, &place).inspect_err(|_| self.census.queues.remove(1))?;
        let id = self.new_queue_id(&declaration).inspect_err(|_| self.census.queues.remove(1))?;
        if let Some(id) = id {
            topology.keep(Kind::Queue, &[name.as_bytes()], || records::of_queue(&declaration, id));
        }
        Ok(self.insert_queue(name, declaration, settings, id, &mut Turn::at(now)))
    }

    /// A number for a queue that stays: one that is durable and belongs to no connection.
    fn new_queue_id(&self, declaration: &Declaration) -> Result<Option<QueueId>, Soft> {
        match &self.storage {
            Some(storage) if declaration.durable && declaration.owner.is_none() => {
                let id = storage.catalog.new_queue_id();
                id.map(Some).ok_or_else(|| Soft::precondition_failed("the disk does not keep up with new queues"))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn insert_queue(
        &self,
        name: &str,
        declaration: Declaration,
        settings: Settings,
        id: Option<QueueId>,
        turn: &mut Turn,
    ) -> Arc<Queue> {
        let name: Arc<str> = name.into();
        let (vhost, timers) = (self.name.clone(), self.timers.clone());
        let log = id.zip(self.storage.as_ref()).map(|(id, storage)| storage.log(id));
        let queue = Queue::new(name.clone(), vhost, declaration, settings, timers, turn.now, log);
        let applied = self.policies.read().effective(queue.policy_target(), &name);
        queue.apply_policy(applied, turn);
        self.queues.insert(name, queue.clone());
        self.topology_changed();
        queue
    }

    /// Counts a new queue, if there may be another one here and in all virtual hosts together.
    fn take_in_queue(&self, name: &str) -> Result<(), Soft> {
        let refused = |place: &str, most: usize| {
            Soft::precondition_failed(format!(
                "cannot declare queue '{name}': queue limit in {place} ({most}) is reached"
            ))
        };
        match self.queues_max() {
            Some(most) if self.queues.len() >= most => Err(refused(&format!("vhost '{}'", self.name), most)),
            _ => self.census.queues.add().map_err(|most| refused("cluster", most)),
        }
    }

    /// Deletes a queue and its bindings if `condition` holds. How many messages were ready; 0 if it was gone already.
    ///
    /// # Errors
    /// 406 if the condition does not hold.
    pub(crate) fn delete_queue(
        &self,
        queue: &Queue,
        condition: DeleteCondition,
        turn: &mut Turn,
    ) -> Result<usize, Soft> {
        let mut topology = self.topology();
        let check = |ready: usize, consumers: usize| {
            if condition.empty && ready > 0 {
                return Err(Soft::precondition_failed(format!("{queue} not empty")));
            }
            if condition.unused && consumers > 0 {
                return Err(Soft::precondition_failed(format!("{queue} in use")));
            }
            Ok(())
        };
        let Some(ready) = queue.delete(check, turn)? else { return Ok(0) };
        if self.queues.remove(&*queue.name).is_some() {
            self.census.queues.remove(1);
        }
        self.replies.remove(&*queue.name);
        self.remove_bindings_to(&DestinationId::Queue(queue.name.clone()), &mut topology);
        let is_kept = queue.id().filter(|_| topology.is_recorded());
        if is_kept.is_some() {
            topology.forget(Kind::Queue, &[queue.name.as_bytes()]);
        }
        self.topology_changed();
        drop(topology);
        if let Some((id, storage)) = is_kept.zip(self.storage.as_ref()) {
            storage.forget_queue(id);
        }
        Ok(ready)
    }
}
