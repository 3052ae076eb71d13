//! Places for those who watch batches: so many on one instance, and so many of them for one caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

/// How many may watch at once, on one instance.
const ALL: usize = 256;
/// How many of them may be one key or operator.
const OF_ONE: usize = 16;

/// Who watches how often.
#[derive(Default)]
pub struct Places(Mutex<HashMap<Uuid, usize>>);

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many watch as may.
    All,
    /// The caller watches as often as one may.
    OfOne,
}

/// A place, free again once it is dropped.
pub struct Place {
    places: Arc<Places>,
    caller: Uuid,
}

impl Places {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a caller.
    ///
    /// # Errors
    /// When there is none.
    pub fn take(self: &Arc<Self>, caller: Uuid) -> Result<Place, Full> {
        let mut taken = self.lock();
        if taken.get(&caller).is_some_and(|own| *own >= OF_ONE) {
            return Err(Full::OfOne);
        }
        if taken.values().sum::<usize>() >= ALL {
            return Err(Full::All);
        }
        *taken.entry(caller).or_default() += 1;
        Ok(Place {
            places: Arc::clone(self),
            caller,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        if let Some(own) = taken.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left() {
        let places = Arc::new(Places::default());
        let caller = Uuid::from_u128;
        let mut held: Vec<Place> = Vec::new();
        for number in 0..ALL {
            held.push(places.take(caller((number / OF_ONE) as u128)).unwrap());
        }
        for (who, full) in [(0, Full::OfOne), (99, Full::All)] {
            assert_eq!(places.take(caller(who)).err(), Some(full));
        }
        held.remove(0);
        assert!(places.take(caller(99)).is_ok());
        assert!(places.take(caller(0)).is_ok());
        held.clear();
        assert!(places.lock().is_empty());
    }
}
