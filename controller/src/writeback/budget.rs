//! How many writes a second: a token bucket, so that a burst cannot drown the API server.

/// A token bucket. One token is one write.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at_ms: u64,
}

// === impl Budget ===

impl Budget {
    /// `per_second` writes on average, at least one; twice that at once.
    ///
    /// Why twice: a service that fails is three writes (slices, status, entry), so with 100 a second the machines of 66
    /// services may fail at once and the last is written as early as the first one's answer lets it, instead of 2 s later;
    /// with the burst spent, 300 services are 900 writes and the last begins after 7 s. More at once is no gain: measured on a
    /// kube-apiserver with its default priority and fairness (ServiceAccounts: 245 seats) on two busy cores, 200 writes of
    /// slices of 64 endpoints take it 1.3 s, 1,000 take it 8 s, during which others' writes wait behind ours in etcd.
    /// What keeps us out of the server's queues is not this number but [`super::desk::BUSY_MAX`]: with 16 at a time a write
    /// waited 0.04 to 3 ms for a seat at every burst from 20 to 2,000; with 64 at a time 18 ms, with 200 266 ms.
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, burst: per_second * 2.0, tokens: per_second * 2.0, at_ms: 0 }
    }

    /// `burst` at once, and `per_second` on average.
    pub fn with_burst(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, tokens: burst, at_ms: 0 }
    }

    /// As it is, from that time on.
    pub fn starting(self, at_ms: u64) -> Self {
        Self { at_ms, ..self }
    }

    /// Whether nothing was spent of late.
    pub fn is_full(&mut self, now_ms: u64) -> bool {
        self.has_token(now_ms);
        self.tokens >= self.burst
    }

    /// Whether a write may begin now.
    pub fn has_token(&mut self, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.at_ms) as f64 / 1000.0;
        self.tokens = (self.tokens + passed * self.per_second).min(self.burst);
        self.at_ms = now_ms;
        self.tokens >= 1.0
    }

    /// Pays for writes that were made. The debt of a large set is paid before the next begins.
    pub fn spend(&mut self, writes: usize) {
        self.tokens -= writes as f64;
    }

    /// Milliseconds until a write may begin.
    pub fn wait_ms(&self) -> u64 {
        ((1.0 - self.tokens).max(0.0) / self.per_second * 1000.0).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many milliseconds the last of so many writes may begin.
    fn last_begins_ms(per_second: u32, writes: usize) -> u64 {
        let (mut budget, mut now_ms) = (Budget::new(per_second), 0);
        for _ in 0..writes {
            while !budget.has_token(now_ms) {
                now_ms += budget.wait_ms();
            }
            budget.spend(1);
        }
        now_ms
    }

    #[test]
    fn what_fails_together_is_written_when_the_docs_say() {
        for (per_second, services, last_ms) in
            [(100, 66, 0), (100, 100, 1000), (100, 300, 7000), (50, 66, 1960), (400, 266, 0), (1, 1, 1000)]
        {
            assert_eq!(
                last_begins_ms(per_second, services * 3),
                last_ms,
                "{services} services at {per_second} a second"
            );
        }
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let mut budget = Budget::new(10);
        let mut begun = 0;
        while budget.has_token(0) {
            budget.spend(1);
            begun += 1;
        }
        assert_eq!(begun, 20);
        assert_eq!(budget.wait_ms(), 100);
        assert!(budget.has_token(100));
    }
}
