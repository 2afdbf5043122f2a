//! Which agent has which endpoint: of two machines of one name, only the first is heard.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::instance::InstanceKey;

/// Endpoints of the agents whose streams are open on this replica.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<InstanceKey, Claim>>);

#[derive(Debug)]
struct Claim {
    agent: Box<str>,
    session: u64,
}

// === impl Claims ===

impl Claims {
    /// Takes an endpoint for an agent. A newer stream of the same agent takes it from the older one.
    ///
    /// # Errors
    /// When another agent has it, with the remedy.
    pub fn take(&self, key: &InstanceKey, agent: &str, session: u64) -> Result<(), String> {
        let mut claims = self.claims();
        match claims.get_mut(key) {
            Some(claim) if *claim.agent != *agent => Err(format!(
                "endpoint {} of {} is another agent's, whose stream is open: two machines have one name, or one was copied \
                 with its state; give this one another `machine`, and remove its state file",
                key.endpoint, key.service
            )),
            Some(claim) => {
                claim.session = session;
                Ok(())
            }
            None => {
                claims.insert(key.clone(), Claim { agent: agent.into(), session });
                Ok(())
            }
        }
    }

    /// Gives an endpoint back, if it is still this stream's; whether it was.
    pub fn give_back(&self, key: &InstanceKey, session: u64) -> bool {
        let mut claims = self.claims();
        let is_own = claims.get(key).is_some_and(|claim| claim.session == session);
        if is_own {
            claims.remove(key);
        }
        is_own
    }

    fn claims(&self) -> MutexGuard<'_, HashMap<InstanceKey, Claim>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use rollcall_catalog::ServiceKey;

    use super::*;

    #[test]
    fn two_machines_of_one_name_are_told_apart_and_one_that_comes_again_is_not_refused() {
        let key = InstanceKey { service: ServiceKey::new("shop", "payments"), endpoint: "vm-1".into() };
        let claims = Claims::default();
        assert_eq!(claims.take(&key, "a", 1), Ok(()));
        assert_eq!(claims.take(&key, "a", 2), Ok(()), "before its old stream was found dead");
        assert!(claims.take(&key, "b", 3).expect_err("refused").contains("give this one another `machine`"));
        assert!(!claims.give_back(&key, 1), "the old stream has it no longer");
        assert!(claims.give_back(&key, 2));
        assert_eq!(claims.take(&key, "b", 3), Ok(()));
    }
}
