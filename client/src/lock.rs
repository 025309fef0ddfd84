//! Locks that are held for a few instructions and never across an await.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic under one of these locks can only be a bug of this crate, and what they guard stays consistent
/// statement by statement, so poison is no reason to fail other tasks.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
