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
    /// `per_second` writes on average, twice that at once; at least one.
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
